"""What a point was, and what happened, between two times: for OPC UA history (HistoryRead of raw values) and export.

Values are as they were published, one a cycle of the asset; where nothing new came in a cycle there is no second one.
A page is bounded, and says where the next one begins; it stays valid while the daemon writes and deletes.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Self

import numpy as np

from agent.core import wire
from agent.core.nouns import F8, I8, U4, Event, Kind, Point, Snapshot
from agent.store import between, blocks, columnar
from agent.store.read import Reader
from agent.store.record import BLOCK, CLOCK, EVENT, RAW, Record

# A sample is published by the cycle that follows it, at most so much later.
LATE_NS = 60_000_000_000
MOST = 10_000

# (id of the record from which on they hold, points in order)
Layouts = Sequence[tuple[int, Sequence[Point]]]


class After(NamedTuple):
    """The place of the last one that was given: a record, and the number of the snapshot in it. A token in text."""

    record: int
    number: int

    def __str__(self) -> str:
        return f"{self.record}.{self.number}"

    @classmethod
    def of(cls, token: str) -> Self:
        """The place that a token names. ValueError where it names none."""
        record, _, number = token.partition(".")
        return cls(int(record), int(number))


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Values of a point, columns of length n: time_ns i8[n] (UTC, of the sample), value f8[n] (NaN for text and array),
    status u4[n], source_ns i8[n] (the source's own stamp, UTC; 0 where it gave none); texts and arrays by row.

    clock: the worst that was known of the clock (synchronised, unsynchronised, unknown). after: where the next page
    begins, None where this is the last.
    """

    time_ns: I8
    value: F8
    status: U4
    source_ns: I8
    texts: Mapping[int, str] = field(default_factory=dict)
    arrays: Mapping[int, F8] = field(default_factory=dict)
    clock: str = "synchronised"
    after: After | None = None


@dataclass(frozen=True, slots=True)
class Happened:
    """An event with the record that holds it; UTC of its time is in `record.wall_ns`."""

    record: Record
    event: Event


class _One(NamedTuple):
    """What one snapshot says of a point; times are of the boot clock."""

    number: int
    time_ns: int
    value: float
    status: int
    source_ns: int
    text: str | None = None
    array: F8 | None = None

    def same(self, other: _One | None) -> bool:
        """Whether nothing new was published since the other."""
        return other is not None and (self.time_ns, self.status) == (other.time_ns, other.status)


def values(
    reader: Reader,
    point: str,
    start_ns: int,
    end_ns: int,
    most: int = MOST,
    after: After | None = None,
    *,
    backward: bool = False,
) -> Series:
    """What was published of a point (`asset/group/name`) with start_ns <= time < end_ns (UTC), at most so many.

    after: of the page before. backward: the newest first. StoreError where the store cannot be read; a point that was
    never published has no values.
    """
    asset = point.partition("/")[0]
    layouts = reader.layouts(asset)
    rows: list[_One] = []
    times: list[int] = []
    before: _One | None = None
    clock, last = "synchronised", after
    for record in _blocks(reader, asset, start_ns, end_ns, after, backward):
        offset_ns = record.wall_ns - record.t_ns
        for one in _new(record, _place(layouts, record.id, point), backward):
            here, wall_ns = After(record.id, one.number), one.time_ns + offset_ns
            repeated, before = one.same(before), one
            outside = not start_ns <= wall_ns < end_ns or not one.time_ns
            if repeated or outside or not _beyond(here, after, backward):
                continue
            if len(rows) >= most:
                return _series(rows, times, clock, last)
            rows.append(one)
            times.append(wall_ns)
            clock, last = max(clock, record.clock, key=_doubt), here
    return _series(rows, times, clock, None)


def events(
    reader: Reader, assets: Sequence[str], start_ns: int, end_ns: int, most: int = MOST, after: int = 0
) -> tuple[list[Happened], int | None]:
    """Events and audit entries of assets with start_ns <= time < end_ns (UTC) in the order in which they were written,
    after record `after`; at most so many, and the record to go on after, None where these were the last."""
    each = (
        between.records(reader, EVENT, asset, start_ns, end_ns, after=after, at_once=128)
        for asset in dict.fromkeys(assets)
    )
    merged = (r for r in heapq.merge(*each, key=lambda record: record.id) if r.kind != CLOCK)
    found = [Happened(r, wire.decode(Event, r.body)) for r in islice(merged, most + 1)]
    return found[:most], found[most - 1].record.id if len(found) > most else None


def _blocks(
    reader: Reader, asset: str, start_ns: int, end_ns: int, after: After | None, backward: bool
) -> Iterator[Record]:
    first = after.record - 1 if after and not backward else 0
    last = after.record + 1 if after and backward else between.NEWEST
    found = between.records(
        reader, RAW, asset, start_ns, min(end_ns + LATE_NS, between.FOREVER_NS),
        after=first, before=last, backward=backward, at_once=1,
    )  # fmt: skip
    yield from (record for record in found if record.kind == BLOCK)


def _beyond(here: After, after: After | None, backward: bool) -> bool:
    return after is None or (here < after if backward else here > after)


def _doubt(clock: str) -> int:
    return ("synchronised", "unsynchronised", "unknown").index(clock)


def _place(layouts: Layouts, record: int, point: str) -> tuple[int, Kind] | None:
    """(row in a snapshot, kind) of a point in a block, None where it was not published then."""
    points = layout_at(layouts, record)
    return next(((row, p.kind) for row, p in enumerate(points) if p.id == point), None)


def layout_at(layouts: Layouts, record: int) -> Sequence[Point]:
    """The points of an asset in the order that held for a block."""
    return next((points for number, points in reversed(layouts) if number < record), ())


def _new(record: Record, place: tuple[int, Kind] | None, backward: bool) -> list[_One]:
    """What the snapshots of a block say of a point, each where it was new."""
    if place is None:
        return []
    row, kind = place
    columns = record.body[:1] == bytes([columnar.VERSION]) and kind in (Kind.NUMBER, Kind.ENUMERATION)
    found = sorted(_of_columns(record.body, row) if columns else _of_messages(record.body, row))
    new = [one for one, before in zip(found, [None, *found], strict=False) if not one.same(before)]
    return new[::-1] if backward else new


def _of_columns(body: bytes, row: int) -> Iterator[_One]:
    for group in columnar.groups(body):
        if group.kind != "snapshot" or not group.template:
            continue
        fields = columnar.tree(group.template)
        columns = [columnar.column(group, fields[name]) for name in ("time_ns", "value", "status", "source_ns")]
        if columns[0].shape[1] > row:
            each = [column[:, row].tolist() for column in columns]
            yield from map(_One, group.number.tolist(), *each)


def _of_messages(body: bytes, row: int) -> Iterator[_One]:
    for number, (kind, _, message) in enumerate(blocks.unpack(body)):
        if kind != "snapshot":
            continue
        s = wire.decode(Snapshot, message)
        if row < len(s.value):
            at = int(s.time_ns[row]), float(s.value[row]), int(s.status[row]), int(s.source_ns[row])
            yield _One(number, *at, s.texts.get(row), s.arrays.get(row))


def _series(rows: Sequence[_One], times: Sequence[int], clock: str, after: After | None) -> Series:
    return Series(
        np.array(times, np.int64),
        np.array([one.value for one in rows], np.float64),
        np.array([one.status for one in rows], np.uint32),
        np.array([one.source_ns for one in rows], np.int64),
        {n: one.text for n, one in enumerate(rows) if one.text is not None},
        {n: one.array for n, one in enumerate(rows) if one.array is not None},
        clock,
        after,
    )
