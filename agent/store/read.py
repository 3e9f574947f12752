"""Reading, in the daemon or beside it: many short reads, none of them holding the database for long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.core import wire
from agent.core.nouns import Point
from agent.store import between, blocks, intervals, retain
from agent.store.between import FOREVER_NS
from agent.store.intervals import Ranges
from agent.store.record import BLOCK, CHECKPOINT, LAYOUT, RAW, Gap, Layout, Record
from agent.store.rows import Found, Place, Rows
from agent.store.schema import StoreDamagedError, translated

__all__ = ["Found", "Message", "Place", "Reader"]

AT_ONCE = 128


@dataclass(frozen=True, slots=True)
class Message:
    """One tick or snapshot out of a block: a core.wire message, its time, and the record it stands in."""

    kind: str
    boot: str
    t_ns: int
    wall_ns: int
    body: bytes
    record: int


class Reader(Rows):
    """The questions that are asked of a store. Not for two threads at once."""

    def epoch(self) -> int:
        """The epoch that new records get."""
        return int(self.all("SELECT value FROM meta WHERE name = 'epoch'")[0][0])

    def counts(self) -> dict[str, int]:
        """How many records there are of each class (a block is one)."""
        return dict(self.all("SELECT class, count(*) FROM record GROUP BY class ORDER BY class"))

    def gaps(self) -> list[Gap]:
        """What is missing and why, oldest first."""
        self.refresh()
        with translated():
            return retain.gaps(self.db, {n: boot for boot, n in self.clocks.boots().items()})

    def acknowledged(self, dest: str, class_: str) -> dict[int, Ranges]:
        """Ranges of each epoch that a destination has acknowledged."""
        with translated():
            return retain.acknowledged(self.db, dest, class_)

    def wall_ns(self, boot: str, t_ns: int) -> tuple[int, str]:
        """(UTC ns, quality) of a time of that boot's clock; (0, "unknown") where nothing is known of the boot."""
        self.refresh()
        return self.clocks.wall_ns(self.clocks.boots().get(boot, -1), t_ns)

    def find(self, class_: str, epoch: int, seq: int) -> Record | None:
        """The record of that name."""
        return self.one("class = ? AND epoch = ? AND seq = ?", (class_, epoch, seq))

    def latest_events(self, asset: str) -> list[Record]:
        """The newest event of each condition and of the case of an asset, oldest first."""
        where = "id IN (SELECT record FROM latest WHERE asset = ?) AND id > ? ORDER BY id"
        records: list[Record] = []
        last = 0
        while (found := self.found(where, (asset, last), AT_ONCE)).last:
            records, last = records + found.records, found.last
        return records

    def latest_checkpoint(self, asset: str, before: int | None = None) -> Record | None:
        """The newest undamaged checkpoint of an asset (older than record `before`)."""
        where = "class = ? AND asset = ? AND id < ? ORDER BY id DESC"
        return self.one(where, (CHECKPOINT, asset, (1 << 62) if before is None else before), most=1 << 10)

    def records(self, class_: str, asset: str) -> Iterator[Record]:
        """All records of a class of an asset, in the order in which they were written. Damaged ones are passed over."""
        where, last = "class = ? AND asset = ? AND id > ? ORDER BY id", 0
        while (found := self.found(where, (class_, asset, last), AT_ONCE)).last:
            last = found.last
            yield from found.records

    def layouts(self, asset: str) -> list[tuple[int, tuple[Point, ...]]]:
        """(id of the record, points) of each order of an asset's points: it holds for the blocks after it."""
        return [(r.id, wire.decode(Layout, r.body).points) for r in self.records(LAYOUT, asset)]

    def checkpoint_of_history(self, asset: str) -> Record | None:
        """Where a backtest over all raw history begins: the last checkpoint before it, else the first in it."""
        rows = self.all("SELECT min(id) FROM record WHERE class = ? AND asset = ?", (RAW, asset))
        if rows[0][0] is None:
            return None
        before = self.latest_checkpoint(asset, rows[0][0])
        return before or self.one("class = ? AND asset = ? ORDER BY id", (CHECKPOINT, asset), most=1 << 10)

    def messages(
        self,
        asset: str,
        kinds: Sequence[str] = ("tick",),
        *,
        after: int = 0,
        start_ns: int = 0,
        end_ns: int = FOREVER_NS,
    ) -> Iterator[Message]:
        """Ticks and snapshots of an asset, those of blocks written after record `after`, in their order.

        Only those with start_ns <= wall time < end_ns (UTC). Damaged blocks are passed over.
        """
        for record in between.records(self, RAW, asset, start_ns, end_ns, after=after):
            yield from _within(record, kinds, start_ns, end_ns)

    def history(self, asset: str, start_ns: int, end_ns: int, after: int = 0) -> Record | None:
        """The next block of raw history of an asset after record `after`, of start_ns <= wall time < end_ns."""
        return next(between.records(self, RAW, asset, start_ns, end_ns, after=after, at_once=1), None)

    def back(self, asset: str, number: int, most: int = 1) -> Found:
        """Blocks of raw history of an asset from record `number` back."""
        return self.found("class = ? AND asset = ? AND id <= ? ORDER BY id DESC", (RAW, asset, number), most)

    def of_sequence(self, class_: str, epoch: int, first: int, last: int, most: int = AT_ONCE) -> Found:
        """Records of a class and epoch, of the sequence numbers first to last."""
        return self.found(
            "class = ? AND epoch = ? AND seq BETWEEN ? AND ? ORDER BY seq", (class_, epoch, first, last), most
        )

    def unacknowledged(
        self,
        dest: str,
        class_: str,
        after: Place = (0, 0),
        held: Mapping[int, Ranges] | None = None,
        most: int = AT_ONCE,
    ) -> Found:
        """The next records of a class, after a place, that `dest` has not acknowledged.

        `held`: ranges of each epoch that it has acknowledged, but that are not written yet.
        """
        known = self._known(dest, class_, held)
        while True:
            rows = self.all(
                "SELECT epoch, seq FROM record WHERE class = ? AND (epoch, seq) > (?, ?) ORDER BY epoch, seq LIMIT 1",
                (class_, *after),
            )
            if not rows:
                return Found(after=after)
            epoch, seq = rows[0]
            inside = intervals.around(known.get(epoch, []), seq)
            if inside is None:
                break
            after = (epoch, inside[1])
        where = "class = ? AND (epoch, seq) > (?, ?) ORDER BY epoch, seq"
        found = self.found(where, (class_, *after), most)
        found.records = [r for r in found.records if intervals.around(known.get(r.epoch, []), r.seq) is None]
        return found

    def pending(self, dest: str, class_: str, held: Mapping[int, Ranges] | None = None) -> int:
        """How many records of a class `dest` has not acknowledged: arithmetic over ranges, whatever the backlog."""
        known, missing = self._known(dest, class_, held), 0
        holes: dict[int, Ranges] = {}
        for epoch, first, last in self.all("SELECT epoch, first, last FROM gap WHERE class = ?", (class_,)):
            holes.setdefault(epoch, []).append((first, last))
        for epoch, first, last in self.spans(class_):
            done = intervals.union([*known.get(epoch, []), *holes.get(epoch, [])])
            missing += last - first + 1 - intervals.size(intervals.intersection([(first, last)], done))
        return missing

    def _known(self, dest: str, class_: str, held: Mapping[int, Ranges] | None) -> dict[int, Ranges]:
        """What a destination has acknowledged, written or not."""
        known = self.acknowledged(dest, class_)
        for epoch, ranges in (held or {}).items():
            known[epoch] = intervals.union([*known.get(epoch, []), *ranges])
        return known

    def spans(self, class_: str) -> Iterator[tuple[int, int, int]]:
        """(epoch, first seq, last seq) of each epoch of a class that has records."""
        epoch = -1
        while True:
            rows = self.all("SELECT min(epoch) FROM record WHERE class = ? AND epoch > ?", (class_, epoch))
            if rows[0][0] is None:
                return
            epoch = rows[0][0]
            yield (
                epoch,
                *self.all("SELECT min(seq), max(seq) FROM record WHERE class = ? AND epoch = ?", (class_, epoch))[0],
            )


def _within(record: Record, kinds: Sequence[str], start_ns: int, end_ns: int) -> Iterator[Message]:
    if record.kind != BLOCK:
        return
    offset_ns = record.wall_ns - record.t_ns
    try:
        unpacked = blocks.unpack(record.body)
    except ValueError as error:
        raise StoreDamagedError(f"block {record.id}: {error}") from error
    for kind, t_ns, body in unpacked:
        if kind in kinds and start_ns <= t_ns + offset_ns < end_ns:
            yield Message(kind, record.boot, t_ns, t_ns + offset_ns, body, record.id)
