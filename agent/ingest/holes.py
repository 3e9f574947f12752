"""The tables `stream` and `gap`: up to which number each stream has come, and which numbers below are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from agent.ingest import sequence
from agent.ingest.database import Connection, arrays
from agent.ingest.sequence import Stream
from agent.store import intervals
from agent.store.intervals import Range

StreamName = tuple[str, str, int]  # gateway, class, epoch
Streams = Mapping[StreamName, set[int]]
Holes = dict[StreamName, dict[Range, datetime]]

# Raw history is sent only where it is asked for: what is not sent is not missing.
WHOLE = ("event", "summary")


async def locked(db: Connection, streams: Streams) -> dict[StreamName, int]:
    """The last number of each stream; held until the transaction ends, so that receivers take their turns."""
    if not streams:
        return {}
    found = await db.execute(
        "INSERT INTO edgetwin.stream AS known SELECT *, 0 FROM unnest(%s::text[], %s::text[], %s::integer[])"
        " ON CONFLICT (gateway, class, epoch) DO UPDATE SET last = known.last RETURNING gateway, class, epoch, last",
        arrays(sorted(streams)),
    )
    return {(gateway, class_, epoch): last for gateway, class_, epoch, last in await found.fetchall()}


async def note(db: Connection, streams: Streams, last: Mapping[StreamName, int]) -> None:
    """What the arrival of these numbers makes of the holes."""
    if not streams:
        return
    known = await _touched(db, streams)
    after = {s: sequence.seen(Stream(last[s], tuple(known.get(s, ()))), streams[s]) for s in streams}
    holes = {s: after[s].holes if s[1] in WHOLE else () for s in streams}
    filled = [(*s, first) for s in known for first, last in known[s] if (first, last) not in holes[s]]
    left = [(s, hole, known.get(s, {})) for s in holes for hole in holes[s] if hole not in known.get(s, {})]
    await _replace(db, filled, [(*s, *hole, _noticed(before, hole)) for s, hole, before in left])
    if grown := [(*s, after[s].last) for s in streams if after[s].last > last[s]]:
        await db.execute(
            "UPDATE edgetwin.stream s SET last = n.last"
            " FROM unnest(%s::text[], %s::text[], %s::integer[], %s::bigint[]) AS n (gateway, class, epoch, last)"
            " WHERE (s.gateway, s.class, s.epoch) = (n.gateway, n.class, n.epoch)",
            arrays(grown),
        )


async def _touched(db: Connection, streams: Streams) -> Holes:
    """Holes that these numbers may lie in, each with the time at which it was noticed."""
    found = await db.execute(
        "SELECT g.gateway, g.class, g.epoch, g.first, g.last, g.noticed FROM edgetwin.gap g JOIN"
        " unnest(%s::text[], %s::text[], %s::integer[], %s::bigint[], %s::bigint[])"
        " AS n (gateway, class, epoch, low, high)"
        " ON (g.gateway, g.class, g.epoch) = (n.gateway, n.class, n.epoch) AND g.last >= n.low AND g.first <= n.high"
        " ORDER BY g.first",
        arrays((*s, min(numbers), max(numbers)) for s, numbers in streams.items()),
    )
    holes: Holes = {}
    for gateway, class_, epoch, first, last, noticed in await found.fetchall():
        holes.setdefault((gateway, class_, epoch), {})[first, last] = noticed
    return holes


def _noticed(known: Mapping[Range, datetime], hole: Range) -> datetime | None:
    """What is left of a hole was noticed when it was; None: it is new."""
    inside = intervals.around(sorted(known), hole[0])
    return None if inside is None else known[inside]


async def _replace(db: Connection, filled: Sequence[tuple[object, ...]], left: Sequence[tuple[object, ...]]) -> None:
    if filled:
        await db.execute(
            "DELETE FROM edgetwin.gap g USING unnest(%s::text[], %s::text[], %s::integer[], %s::bigint[])"
            " AS o (gateway, class, epoch, first)"
            " WHERE (g.gateway, g.class, g.epoch, g.first) = (o.gateway, o.class, o.epoch, o.first)",
            arrays(filled),
        )
    if left:
        await db.execute(
            "INSERT INTO edgetwin.gap (gateway, class, epoch, first, last, noticed)"
            " SELECT gateway, class, epoch, first, last, coalesce(noticed, now()) FROM"
            " unnest(%s::text[], %s::text[], %s::integer[], %s::bigint[], %s::bigint[], %s::timestamptz[])"
            " AS n (gateway, class, epoch, first, last, noticed)",
            arrays(left),
        )
