"""Ask gateways to send again what has not come: `resend` on `<prefix>/request`, told by them on `<prefix>/answer`."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio
import psycopg
from anyio.streams.memory import MemoryObjectReceiveStream

from agent.ingest import sequence
from agent.ingest.missing import Gap
from agent.ingest.options import Options
from agent.sinks.mqtt import link
from agent.store import intervals
from agent.store.intervals import Range

ANSWER_S = 15.0

PREFIXES = "SELECT gateway, prefix FROM edgetwin.gateway WHERE gateway IS NOT NULL"
SPLIT = """
INSERT INTO edgetwin.gap (gateway, class, epoch, first, last, noticed, gone)
VALUES (%s, %s, %s, %s, %s, %s, CASE WHEN %s THEN now() END)
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What came of asking for a gap: whether the gateway did it, in its words; what it does not have any more."""

    gap: Gap
    ok: bool
    text: str
    missing: tuple[Range, ...] = ()


def prefixes(conninfo: str) -> dict[str, str]:
    """Where each gateway that has been born is to be asked."""
    with psycopg.connect(conninfo) as db:
        return dict(db.execute(PREFIXES).fetchall())


def note(conninfo: str, told: Told) -> None:
    """Keep what a gateway said it does not have: nobody needs to wait for that."""
    gap = told.gap
    stream = (gap.gateway, gap.class_, gap.epoch)
    with psycopg.connect(conninfo) as db:
        db.execute("SELECT last FROM edgetwin.stream WHERE (gateway, class, epoch) = (%s, %s, %s) FOR UPDATE", stream)
        of = "WHERE (gateway, class, epoch) = (%s, %s, %s) AND first <= %s AND last >= %s AND gone IS NULL"
        found = db.execute(
            f"DELETE FROM edgetwin.gap {of} RETURNING first, last, noticed", (*stream, gap.last, gap.first)
        )
        rows = [
            (*stream, *part, noticed, gone)
            for first, last, noticed in found.fetchall()
            for gone, parts in (
                (True, intervals.intersection([(first, last)], told.missing)),
                (False, sequence.without([(first, last)], told.missing)),
            )
            for part in parts
        ]
        db.cursor().executemany(SPLIT, rows)


async def resend(options: Options, where: Mapping[str, str], gaps: Sequence[Gap], tell: Callable[[Told], None]) -> None:
    """Ask for one gap after the other; `tell` gets what came of each. OSError: the broker is not there."""
    config = options.broker.model_copy(update={"client_id": f"{options.broker.client_id}-asking"})
    send, receive = anyio.create_memory_object_stream[bytes](1000)

    def take(topic: str, payload: bytes) -> None:
        with suppress(anyio.WouldBlock):
            send.send_nowait(payload)

    with send, receive:
        async with link.connected(config, config.client_id, None) as connection:
            for prefix in sorted({where[gap.gateway] for gap in gaps if gap.gateway in where}):
                await connection.subscribe(f"{prefix}/answer", take)
            for gap in gaps:
                if gap.gateway in where:
                    await _ask(connection, f"{where[gap.gateway]}/request", gap, receive, tell)
                else:
                    tell(Told(gap, False, "where it is to be asked is not known: its birth has not come"))


async def _ask(
    connection: link.Link,
    topic: str,
    gap: Gap,
    answers: MemoryObjectReceiveStream[bytes],
    tell: Callable[[Told], None],
) -> None:
    """A gateway sends so many for one request, and says where to go on."""
    first: int | None = gap.first
    while first is not None:
        number = f"ingest-{secrets.token_hex(6)}"
        wish = {"id": number, "do": "resend", "class": gap.class_, "epoch": gap.epoch, "from": first, "to": gap.last}
        await connection.publish(topic, json.dumps(wish).encode())
        said = await _answer(number, answers)
        tell(Told(gap, said.get("ok") is True, str(said.get("text")), _ranges(said.get("missing"))))
        after = said.get("next")
        first = after if isinstance(after, int) and after > first else None


async def _answer(number: str, answers: MemoryObjectReceiveStream[bytes]) -> dict[str, Any]:
    """The answer to that request. Others may come: a broker keeps those to requests of an earlier time."""
    with anyio.move_on_after(ANSWER_S):
        async for payload in answers:
            with suppress(ValueError, AttributeError):
                said = json.loads(payload)
                if said.get("id") == number:
                    return dict(said)
    return {"text": f"no answer within {ANSWER_S:g} s"}


def _ranges(said: Any) -> tuple[Range, ...]:
    """Sorted and disjoint."""
    pairs = [pair for pair in (said if isinstance(said, list) else []) if isinstance(pair, list) and len(pair) == 2]
    return tuple(intervals.union((a, b) for a, b in pairs if isinstance(a, int) and isinstance(b, int) and a <= b))
