"""The connection to PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any

import anyio
import psycopg

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


async def opened(conninfo: str) -> Connection:
    """A connection on which a commit is on the disk before it is told. psycopg.Error: it cannot be had now."""
    db: Connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
    async with AsyncExitStack() as otherwise:
        otherwise.push_async_callback(_closed, db)
        # A stronger setting of the server's (remote_apply) stays.
        await db.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        await db.execute("SET client_min_messages = warning")
        otherwise.pop_all()
    return db


async def _closed(db: Connection) -> None:
    with anyio.CancelScope(shield=True):
        await db.close()


def arrays(rows: Iterable[tuple[object, ...]]) -> list[list[object]]:
    """Rows as columns, for `unnest`. At least one row."""
    return [list(column) for column in zip(*rows, strict=True)]
