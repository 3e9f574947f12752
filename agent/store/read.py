"""Reading, in the daemon or beside it: many short reads, none of them holding the database for long.

Each statement is a transaction of its own over a few rows (at most some ten milliseconds), so that the writer can
always fold its log into the database. Records whose checksum is wrong are never given out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from agent.store import blocks, clocks, intervals, retain
from agent.store.intervals import Ranges
from agent.store.record import BLOCK, CHECKPOINT, RAW, Gap, Record, checksum
from agent.store.schema import APPLICATION_ID, VERSION, StoreDamagedError, StoreError, translated

Place = tuple[int, int]  # (epoch, seq)
COLUMNS = "class, epoch, seq, boot, t_ns, end_ns, asset, kind, n, crc, body, id"
AT_ONCE = 128
BYTES_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Message:
    """One tick or snapshot out of a block: a core.wire message, its time, and the record it stands in."""

    kind: str
    boot: str
    t_ns: int
    wall_ns: int
    body: bytes
    record: int


@dataclass(slots=True)
class Found:
    """Records in order, the ids of damaged ones that were passed over, and place and id of the last row seen."""

    records: list[Record] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    after: Place = (0, 0)
    last: int = 0


class Reader:
    """A read-only connection. Not for two threads at once."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Use `open`."""
        self._db = db
        self._clocks = clocks.Clocks()

    @classmethod
    def open(cls, path: Path) -> Self:
        """A reader of the store at `path`. StoreError where there is none, or none that this version can read."""
        with translated():
            db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0, check_same_thread=False)
            try:
                db.text_factory = lambda raw: raw.decode(errors="replace")
                (ours,) = db.execute("PRAGMA application_id").fetchone()
                (version,) = db.execute("PRAGMA user_version").fetchone()
            except sqlite3.Error:
                db.close()
                raise
        if ours != APPLICATION_ID or version > VERSION:
            db.close()
            raise StoreError(f"{path} is not a store that this edgetwin can read (schema {version}, known {VERSION})")
        return cls(db)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def epoch(self) -> int:
        """The epoch that new records get."""
        return int(self._all("SELECT value FROM meta WHERE name = 'epoch'")[0][0])

    def counts(self) -> dict[str, int]:
        """How many records there are of each class (a block is one)."""
        return dict(self._all("SELECT class, count(*) FROM record GROUP BY class ORDER BY class"))

    def gaps(self) -> list[Gap]:
        """What is missing and why, oldest first."""
        self._refresh()
        with translated():
            return retain.gaps(self._db, {n: boot for boot, n in self._clocks.boots().items()})

    def acknowledged(self, dest: str, class_: str) -> dict[int, Ranges]:
        """Ranges of each epoch that a destination has acknowledged."""
        with translated():
            return retain.acknowledged(self._db, dest, class_)

    def wall_ns(self, boot: str, t_ns: int) -> tuple[int, str]:
        """(UTC ns, quality) of a time of that boot's clock; (0, "unknown") where nothing is known of the boot."""
        self._refresh()
        return self._clocks.wall_ns(self._clocks.boots().get(boot, -1), t_ns)

    def find(self, class_: str, epoch: int, seq: int) -> Record | None:
        """The record of that name."""
        return self._one("class = ? AND epoch = ? AND seq = ?", (class_, epoch, seq))

    def latest_events(self, asset: str) -> list[Record]:
        """The newest event of each condition and of the case of an asset, oldest first."""
        where = "id IN (SELECT record FROM latest WHERE asset = ?) AND id > ? ORDER BY id"
        records: list[Record] = []
        last = 0
        while (found := self._found(where, (asset, last), AT_ONCE)).last:
            records, last = records + found.records, found.last
        return records

    def latest_checkpoint(self, asset: str, before: int | None = None) -> Record | None:
        """The newest undamaged checkpoint of an asset (older than record `before`)."""
        where = "class = ? AND asset = ? AND id < ? ORDER BY id DESC"
        return self._one(where, (CHECKPOINT, asset, (1 << 62) if before is None else before), most=1 << 10)

    def records(self, class_: str, asset: str) -> Iterator[Record]:
        """All records of a class of an asset, in the order in which they were written. Damaged ones are passed over."""
        where, last = "class = ? AND asset = ? AND id > ? ORDER BY id", 0
        while (found := self._found(where, (class_, asset, last), AT_ONCE)).last:
            last = found.last
            yield from found.records

    def checkpoint_of_history(self, asset: str) -> Record | None:
        """Where a backtest over all raw history begins: the last checkpoint before it, else the first in it."""
        rows = self._all("SELECT min(id) FROM record WHERE class = ? AND asset = ?", (RAW, asset))
        if rows[0][0] is None:
            return None
        before = self.latest_checkpoint(asset, rows[0][0])
        return before or self._one("class = ? AND asset = ? ORDER BY id", (CHECKPOINT, asset), most=1 << 10)

    def messages(
        self, asset: str, kinds: Sequence[str] = ("tick",), *, after: int = 0, start_ns: int = 0, end_ns: int = 1 << 62
    ) -> Iterator[Message]:
        """Ticks and snapshots of an asset, those of blocks written after record `after`, in their order.

        Only those with start_ns <= wall time < end_ns (UTC). Damaged blocks are passed over.
        """
        after = max(after, self._before(asset, start_ns) if start_ns else 0)
        where = "class = ? AND asset = ? AND id > ? ORDER BY id"
        while (found := self._found(where, (RAW, asset, after), 4)).last:
            after = found.last
            for record in found.records:
                if record.wall_ns >= end_ns:
                    return
                yield from _within(record, kinds, start_ns, end_ns)

    def history(self, asset: str, start_ns: int, end_ns: int, after: int = 0, most: int = 1) -> Found:
        """The next blocks of raw history of an asset after record `after`, of start_ns <= wall time < end_ns."""
        after = max(after, self._before(asset, start_ns))
        found = self._found("class = ? AND asset = ? AND id > ? ORDER BY id", (RAW, asset, after), most)
        inside = [r for r in found.records if r.wall_ns < end_ns]
        if len(inside) < len(found.records):
            return Found(inside, found.damaged)
        found.records = [r for r in inside if r.end_ns - r.t_ns + r.wall_ns >= start_ns]
        return found

    def back(self, asset: str, number: int, most: int = 1) -> Found:
        """Blocks of raw history of an asset from record `number` back."""
        return self._found("class = ? AND asset = ? AND id <= ? ORDER BY id DESC", (RAW, asset, number), most)

    def between(self, class_: str, epoch: int, first: int, last: int, most: int = AT_ONCE) -> Found:
        """Records of a class and epoch, of the sequence numbers first to last."""
        where = "class = ? AND epoch = ? AND seq BETWEEN ? AND ? ORDER BY seq"
        return self._found(where, (class_, epoch, first, last), most)

    def spans(self, class_: str) -> list[tuple[int, int, int]]:
        """(epoch, first seq, last seq) of each epoch of a class that has records."""
        return list(self._spans(class_))

    def _before(self, asset: str, wall_ns: int) -> int:
        """A record id below all blocks of the asset that reach to `wall_ns` or beyond: bisection over the blocks."""
        self._refresh()
        (first, last) = self._all("SELECT min(id), max(id) FROM record WHERE class = ? AND asset = ?", (RAW, asset))[0]
        low, high = int(first or 1) - 1, int(last or 0)
        while low < high:
            middle = (low + high + 1) // 2
            where = "class = ? AND asset = ? AND id <= ? ORDER BY id DESC LIMIT 1"
            rows = self._all(f"SELECT id, boot, end_ns FROM record WHERE {where}", (RAW, asset, middle))
            if rows and self._clocks.wall_ns(rows[0][1], rows[0][2])[0] >= wall_ns:
                high = int(rows[0][0]) - 1
            else:
                low = middle
        return low

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
        known = self.acknowledged(dest, class_)
        for epoch, ranges in (held or {}).items():
            known[epoch] = intervals.union([*known.get(epoch, []), *ranges])
        while True:
            rows = self._all(
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
        found = self._found(where, (class_, *after), most)
        found.records = [r for r in found.records if intervals.around(known.get(r.epoch, []), r.seq) is None]
        return found

    def pending(self, dest: str, class_: str) -> int:
        """How many records of a class `dest` has not acknowledged: arithmetic over ranges, whatever the backlog."""
        known, missing = self.acknowledged(dest, class_), 0
        holes: dict[int, Ranges] = {}
        for epoch, first, last in self._all("SELECT epoch, first, last FROM gap WHERE class = ?", (class_,)):
            holes.setdefault(epoch, []).append((first, last))
        for epoch, first, last in self._spans(class_):
            done = intervals.union([*known.get(epoch, []), *holes.get(epoch, [])])
            missing += last - first + 1 - intervals.size(intervals.intersection([(first, last)], done))
        return missing

    def _spans(self, class_: str) -> Iterator[tuple[int, int, int]]:
        """(epoch, first seq, last seq) of each epoch of a class that has records."""
        epoch = -1
        while True:
            rows = self._all("SELECT min(epoch) FROM record WHERE class = ? AND epoch > ?", (class_, epoch))
            if rows[0][0] is None:
                return
            epoch = rows[0][0]
            yield (
                epoch,
                *self._all("SELECT min(seq), max(seq) FROM record WHERE class = ? AND epoch = ?", (class_, epoch))[0],
            )

    def _one(self, where: str, arguments: tuple[Any, ...], most: int = 1) -> Record | None:
        records = self._found(where, arguments, most, first_only=True).records
        return records[0] if records else None

    def _found(self, where: str, arguments: tuple[Any, ...], most: int, first_only: bool = False) -> Found:
        """The first rows of a question: at most so many, and not many more bytes than fit one short read."""
        found, size = Found(), 0
        with translated(), self._at_once():
            self._clocks.refresh(self._db)
            rows = self._db.execute(f"SELECT {COLUMNS} FROM record WHERE {where} LIMIT {most}", arguments)
            for row in rows:
                record = self._record(row)
                *_, found.last = row
                found.after = (row[1], row[2])
                if record is None:
                    found.damaged.append(found.last)
                else:
                    found.records.append(record)
                    size += len(record.body)
                if size >= BYTES_AT_ONCE or (first_only and found.records):
                    break
            rows.close()
        return found

    def _record(self, row: tuple[Any, ...]) -> Record | None:
        """The record of a row, None where it is not what was written."""
        *key, crc, body, number = row
        if not isinstance(body, bytes) or checksum(tuple(key), body) != crc:
            return None
        class_, epoch, seq, boot, t_ns, end_ns, asset, kind, n = key
        wall_ns, quality = self._clocks.wall_ns(boot, t_ns)
        boot_id = self._clocks.boot(boot)
        return Record(number, class_, epoch, seq, boot_id, t_ns, wall_ns, quality, asset, kind, body, n, end_ns)

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """All that is read within is of one moment: a record must not meet a clock table older than itself."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.rollback()

    def _refresh(self) -> None:
        with translated():
            self._clocks.refresh(self._db)

    def _all(self, statement: str, arguments: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with translated():
            return self._db.execute(statement, arguments).fetchall()


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
