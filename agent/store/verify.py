"""Whether every record is what was written, and whether every one that is missing is accounted for. Changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agent.core import wire
from agent.core.nouns import Event, Snapshot, Summary, Tick
from agent.store import blocks, intervals
from agent.store.intervals import Ranges
from agent.store.read import Reader
from agent.store.record import BLOCK, CLASSES, CLOCK, ClockRow, Layout, Record
from agent.store.rows import COLUMNS

AT_ONCE = 8
SHOWN = 20
NOUNS: dict[str, Any] = {"event": Event, "audit": Event, "summary": Summary, "tick": Tick, "snapshot": Snapshot,
                         "layout": Layout, CLOCK: ClockRow}  # fmt: skip


@dataclass(slots=True)
class Tally:
    """Of a class: records, bytes of their bodies as stored, ticks and snapshots in blocks; of which time (UTC)."""

    records: int = 0
    bytes: int = 0
    messages: int = 0
    first_ns: int = 0
    last_ns: int = 0


def records(reader: Reader, tallies: dict[str, Tally]) -> Iterator[str]:
    """What is wrong with each record, in words; counts all in `tallies`. Many short reads."""
    last = 0
    while rows := _rows(reader, last):
        for number, class_, size, kept, name in rows:
            tally = tallies.setdefault(class_, Tally())
            tally.records += 1
            tally.bytes += size
            if kept is None:
                yield f"{name}: damaged, its checksum is wrong"
            else:
                tally.first_ns = tally.first_ns or kept.wall_ns
                tally.last_ns = kept.wall_ns + max(0, kept.end_ns - kept.t_ns)
                yield from (f"{name}: {text}" for text in _unreadable(kept, tally))
            last = number


def _rows(reader: Reader, after: int) -> list[tuple[int, str, int, Record | None, str]]:
    """(id, class, bytes stored, record or None where it is damaged, its name) of the next rows."""
    reader.refresh()
    found = []
    statement = f"SELECT {COLUMNS} FROM record WHERE id > ? ORDER BY id LIMIT {AT_ONCE}"
    for row in reader.all(statement, (after,)):
        class_, epoch, seq, asset, kind, body = (row[i] for i in (0, 1, 2, 6, 7, 10))
        name = f"{class_} {epoch}/{seq} ({kind} of {asset}, record {row[-1]})"
        found.append((row[-1], str(class_), len(body), reader.record(row), name))
    return found


def _unreadable(kept: Record, tally: Tally) -> Iterator[str]:
    """A record with the right checksum that is not what it should be: a bug of ours."""
    try:
        if kept.kind == BLOCK:
            inside = blocks.unpack(kept.body)
            tally.messages += len(inside)
            if len(inside) != kept.n:
                yield f"holds {len(inside)} messages, {kept.n} were put in"
            for kind, _, message in inside:
                if kind in NOUNS:
                    wire.decode(NOUNS[kind], message)
        elif kept.kind in NOUNS:
            wire.decode(NOUNS[kept.kind], kept.body)
    except ValueError as error:
        yield f"cannot be read: {error}"


def missing(reader: Reader) -> Iterator[str]:
    """Sequence numbers that neither a record nor a gap record has: something would be missing silently."""
    gaps: dict[tuple[str, int], Ranges] = {}
    for class_, epoch, first, last in reader.all("SELECT class, epoch, first, last FROM gap WHERE last > 0"):
        gaps.setdefault((class_, epoch), []).append((first, last))
    for class_ in CLASSES:
        for epoch in sorted({e for e, *_ in reader.spans(class_)} | {e for c, e in gaps if c == class_}):
            known = intervals.union([*_present(reader, class_, epoch), *gaps.get((class_, epoch), [])])
            for (_, before), (after, _) in zip([(0, 0), *known], known, strict=False):
                if after > before + 1:
                    yield f"{class_} {epoch}/{before + 1} to {epoch}/{after - 1}: neither there nor noted as missing"


def _present(reader: Reader, class_: str, epoch: int) -> Ranges:
    """Ranges of sequences that are there, read some thousands at a time."""
    ranges: Ranges = []
    last = 0
    statement = "SELECT seq FROM record WHERE class = ? AND epoch = ? AND seq > ? ORDER BY seq LIMIT 5000"
    while rows := reader.all(statement, (class_, epoch, last)):
        ranges = intervals.union([*ranges, *((seq, seq) for (seq,) in rows)])
        last = rows[-1][0]
    return ranges


def structure(reader: Reader) -> list[str]:
    """What SQLite itself finds wrong (pages, indexes); one long read, so only where no daemon writes."""
    try:
        found = [str(text) for (text,) in reader.db.execute(f"PRAGMA integrity_check({SHOWN})")]
    except sqlite3.DatabaseError as error:
        return [f"database: {error}"]
    return [f"database: {text}" for text in found if text != "ok"]
