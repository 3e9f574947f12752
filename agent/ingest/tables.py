"""One transaction: what many messages say, into the tables, which are the same in whatever order and however often.

Locks are taken in one order (streams, records, gateways, names, rejected), each sorted: receivers side by side wait for
each other where they hold messages of one gateway, and never for ever.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from agent.ingest import beside, columns, holes, rows
from agent.ingest.beside import Rejected
from agent.ingest.database import Connection, arrays
from agent.ingest.holes import StreamName
from agent.ingest.message import Birth, Name, Names, Record, RefusedError

AT_ONCE = 100


@dataclass(slots=True)
class Content:
    """What a number of messages say together."""

    records: dict[Name, Record] = field(default_factory=dict)
    names: dict[str, Names] = field(default_factory=dict)
    births: dict[str, Birth] = field(default_factory=dict)  # by prefix
    online: dict[str, bool] = field(default_factory=dict)  # by prefix
    rejected: list[Rejected] = field(default_factory=list)
    came_by: dict[Name, str] = field(default_factory=dict)  # prefixes of all records, those too that are rejected

    @property
    def streams(self) -> dict[StreamName, set[int]]:
        """Sequence numbers that are here for good after the transaction, by stream."""
        found: dict[StreamName, set[int]] = {}
        for name in self.came_by:
            found.setdefault((name.gateway, name.class_, name.epoch), set()).add(name.seq)
        return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of records: new ones, better ones in the place of others, and those that were there already."""

    new: int = 0
    replaced: int = 0
    known: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.new + other.new, self.replaced + other.replaced, self.known + other.known)


async def put(db: Connection, content: Content) -> Counts:
    """Store it all; when this returns it is committed. psycopg.Error: nothing of it is."""
    if db.info.transaction_status is not TransactionStatus.IDLE:
        raise psycopg.OperationalError("the connection is still in another transaction")
    async with db.transaction():
        streams = content.streams
        before = await holes.locked(db, streams)
        counts = Counts()
        for table in columns.TABLES:
            records = [r for name, r in sorted(content.records.items()) if name.class_ == table.name]
            counts += await _put_records(db, table, records) if records else Counts()
        await holes.note(db, streams, before)
        for prefix, online in sorted(content.online.items()):
            await beside.put_status(db, prefix, online)
        for prefix, birth in sorted(content.births.items()):
            await beside.put_birth(db, prefix, birth)
        await beside.put_names(db, content.names.values())
        await beside.put_rejected(db, content.rejected)
    return counts


async def _put_records(db: Connection, table: columns.Table, records: Sequence[Record]) -> Counts:
    values = table.values(records)
    known = await db.execute(table.known, {n: values[n] for n in columns.KEY})
    old = {Name(g, table.name, e, s): time for g, e, s, time in await known.fetchall()}
    kept = await db.execute(table.upsert, values)
    changed = {Name(g, table.name, e, s) for g, e, s in await kept.fetchall()}
    if table is columns.SUMMARY:
        await _forget_rows(db, {n: old[n] for n in changed if old.get(n) is not None})
        await _put_rows(db, [r for r in records if r.name in changed])
    new = sum(name not in old for name in changed)
    return Counts(new, len(changed) - new, len(records) - len(changed))


async def _forget_rows(db: Connection, old: Mapping[Name, Any]) -> None:
    """Rows of summaries that another one has taken the place of; `old`: at which time they stand."""
    if not old:
        return
    await db.execute(
        "DELETE FROM edgetwin.tag_summary t USING unnest(%s::text[], %s::integer[], %s::bigint[], %s::timestamptz[])"
        " AS o (gateway, epoch, seq, time)"
        " WHERE (t.gateway, t.epoch, t.seq, t.time) = (o.gateway, o.epoch, o.seq, o.time)",
        arrays([(n.gateway, n.epoch, n.seq, time) for n, time in old.items()]),
    )


async def _put_rows(db: Connection, records: Sequence[Record]) -> None:
    """Rows for charts. Of a summary whose names have not come yet they follow when those do; without a time, never."""
    wanted = sorted({key for r in records if (key := rows.key_of(r.tree))})
    found = await db.execute("SELECT key, tags FROM edgetwin.names WHERE key = ANY(%s)", (wanted,)) if wanted else None
    tags: dict[str, list[str]] = {"": [], **dict(await found.fetchall() if found else [])}
    told = [r for r in records if rows.key_of(r.tree) in tags]
    async with db.cursor() as cursor, cursor.copy(columns.COPY_ROWS) as copy:
        copy.set_types(columns.ROW_TYPES)
        for record in told:
            for row in _rows(record, tags[rows.key_of(record.tree)]):
                await copy.write_row(row)
    await _told(db, [r.name for r in told if rows.key_of(r.tree)])


async def _told(db: Connection, names: Sequence[Name]) -> None:
    if names:
        await db.execute(
            "UPDATE edgetwin.summary s SET pending = false FROM unnest(%s::text[], %s::integer[], %s::bigint[])"
            " AS t (gateway, epoch, seq) WHERE (s.gateway, s.epoch, s.seq) = (t.gateway, t.epoch, t.seq)",
            arrays((n.gateway, n.epoch, n.seq) for n in names),
        )


def _rows(record: Record, tags: Sequence[str]) -> list[tuple[Any, ...]]:
    """None where columns are not what their names say, or without a time: it is kept as the record that it is."""
    time = columns.time_of(record.tree, "end")
    name, asset = record.name, columns.clean(record.asset)
    try:
        found = rows.rows(record.tree, tags) if time is not None else []
    except RefusedError:
        return []
    return [(time, name.gateway, asset, columns.clean(tag), *figures, name.epoch, name.seq) for tag, *figures in found]


async def put_pending_rows(db: Connection, keys: Sequence[str]) -> bool:
    """Rows of some summaries that have waited for these names, in a transaction of their own; False: none has."""
    statement = (
        "SELECT gateway, epoch, seq, asset, kind, clock, hash, body::text FROM edgetwin.summary"
        " WHERE pending AND names = ANY(%s) ORDER BY gateway, epoch, seq LIMIT %s FOR UPDATE"
    )
    async with db.transaction():
        found = await (await db.execute(statement, (list(keys), AT_ONCE))).fetchall()
        if found:
            await _put_rows(db, [_record(*row) for row in found])
    return bool(found)


def _record(gateway: str, epoch: int, seq: int, *said: str) -> Record:
    asset, kind, clock, seal, body = said
    return Record(Name(gateway, "summary", epoch, seq), asset, kind, clock, seal, body, json.loads(body))
