"""The one writer. All that waits is committed together in one synced transaction, or not at all."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from agent.store import clocks, intervals, retain, schema, space
from agent.store.record import (
    BLOCK,
    CAP,
    CHECKPOINT,
    CLASSES,
    DAMAGED,
    GONE,
    LAYOUT,
    RAW,
    TOO_LARGE,
    Ack,
    ClockRow,
    Entry,
    Lost,
    checksum,
    clock,
    stored,
)
from agent.store.schema import PAGE, StoreDamagedError, translated

# Pages that a commit may need for the inner pages of tables and indexes.
SPARE_PAGES = 8

# Pages given back to the disk in one commit after the cap was lowered.
VACUUM_PAGES = 256


@dataclass(slots=True)
class Work:
    """What one commit writes: entries in their order, and what is known about losses, sendings and the clock."""

    entries: list[Entry] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    clock: list[ClockRow] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)

    def split(self, size: int) -> tuple[Work, Work]:
        """The first entries, of at least one and about `size` bytes, with all that is no entry; and the rest."""
        total = 0
        for n, entry in enumerate(self.entries):
            total += len(entry.body)
            if total >= size:
                return replace(self, entries=self.entries[: n + 1]), Work(entries=self.entries[n + 1 :])
        return self, Work()

    def __bool__(self) -> bool:
        return bool(self.entries or self.lost or self.acks or self.clock or self.damaged)


class Store:
    """An open database and the last sequence number of each class. Not for two threads at once."""

    def __init__(
        self, db: sqlite3.Connection, lock: int, path: Path, epoch: int, boot: str, cap_bytes: int, room_bytes: int
    ) -> None:
        """Use `open`. room_bytes: what the disk has of the cap; where it is less, log and commits are small too."""
        self.path, self.epoch = path, epoch
        self._db, self._lock = db, lock
        self._wanted: dict[str, tuple[str, ...]] = {}
        self.batch_bytes = min(space.BATCH_BYTES, room_bytes // 16)
        self._limit_pages, self._reserve_pages = space.limit_pages(cap_bytes), 4 * space.wal_pages(room_bytes)
        self._boot = _boot_number(db, boot)
        self._seq = {class_: _last_seq(db, class_, epoch) for class_ in (*CLASSES, CHECKPOINT, LAYOUT)}
        db.execute(f"PRAGMA max_page_count = {self._limit_pages}").fetchone()

    @classmethod
    def open(
        cls, path: Path, cap_bytes: int, boot: str, gateway: str = "", damaged: bool = False
    ) -> tuple[Self, Path | None]:
        """The store, and the name under which a damaged one was set aside, if any. StoreError: cannot be used now.

        `cap_bytes` holds for the database with its log; `boot` is the boot id that times of new entries belong to;
        `damaged`: reading or writing has found damage, so that the file is set aside although it opens.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = schema.lock(path)
        try:
            return cls._opened_or_new(path, lock, cap_bytes, boot, gateway, damaged)
        except OSError:
            os.close(lock)
            raise

    @classmethod
    def _opened_or_new(
        cls, path: Path, lock: int, cap_bytes: int, boot: str, gateway: str, damaged: bool
    ) -> tuple[Self, Path | None]:
        try:
            if damaged:
                raise StoreDamagedError(f"{path} was found to be damaged")
            store = cls._opened(path, lock, cap_bytes, boot, gateway)
            if store.epoch > 1 and store.is_new():
                store.note_epoch_lost(GONE)
            return store, None
        except StoreDamagedError:
            aside = schema.set_aside(path)
        store = cls._opened(path, lock, cap_bytes, boot, gateway)
        store.note_epoch_lost(DAMAGED)
        return store, aside

    @classmethod
    def _opened(cls, path: Path, lock: int, cap_bytes: int, boot: str, gateway: str) -> Self:
        db: sqlite3.Connection | None = None
        try:
            with translated():
                room_bytes = min(cap_bytes, space.size(path) + space.free(path))
                db = schema.connect(path, space.wal_pages(room_bytes))
                return cls(db, lock, path, schema.prepare(db, path, gateway), boot, cap_bytes, room_bytes)
        except (OSError, sqlite3.Error, TypeError, ValueError) as error:
            if db is not None:
                db.close()
            if isinstance(error, OSError):
                raise
            # The tables are there and do not answer as they must: that is damage too.
            raise StoreDamagedError(f"{path}: {error}") from error

    def close(self) -> None:
        """Close the file; what was committed stays. The log is folded in now if possible, else at the next start."""
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._db.close()
        os.close(self._lock)

    def want(self, class_: str, dests: Sequence[str]) -> None:
        """Who reads a class: retention gives up what they all have acknowledged before anything else of the class."""
        self._wanted[class_] = tuple(dests)

    def commit(self, work: Work) -> list[Lost]:
        """Write it all, synced, making room if need be. Gives what is lost of it: too large, or no room for its class.

        StoreFullError, StoreDamagedError, StoreError: nothing of it was written.
        """
        with translated():
            try:
                return self._commit(work, min(self._limit_pages, self._most_pages()))
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                    raise
            # The disk is full before the cap is: make do with the pages that the file has.
            count, _ = retain.pages(self._db)
            return self._commit(work, min(count, self._limit_pages) - SPARE_PAGES)

    def _commit(self, work: Work, limit_pages: int) -> list[Lost]:
        seq = dict(self._seq)
        largest = self._limit_pages * PAGE // 4
        too_large = [_lost(e, TOO_LARGE) for e in work.entries if len(e.body) > largest]
        with _transaction(self._db):
            fitting, given_up = self._room([e for e in work.entries if len(e.body) <= largest], limit_pages)
            lost = [*too_large, *(_lost(e, CAP) for e in given_up)]
            self._add_lost(seq, [*work.lost, *lost])
            self._add(seq, [*self._clock_come_right(work), *fitting])
            self._add_notes(work)
        self._seq = seq
        return lost

    def _most_pages(self) -> int:
        """Pages that the database may have without taking the last of the disk, which the log needs to give up raw
        history for an event; never fewer than it has: what others write must not eat into it."""
        count, _ = retain.pages(self._db)
        return max(count, (self.size() + space.free(self.path)) // PAGE - self._reserve_pages)

    def _room(self, entries: Sequence[Entry], limit_pages: int) -> tuple[list[Entry], list[Entry]]:
        """(entries for which there is room now, those that are given up): an entry may push out what is of its own
        class or a lower one, never what is above it. Only raw history is given up where that is not enough."""
        need, given_up = SPARE_PAGES, list[Entry]()
        for n in reversed(range(len(CLASSES))):
            mine = [e for e in entries if _rank(e.class_) == n]
            need += sum(map(_pages, mine))
            while not retain.make_room(self._db, need, limit_pages, self._wanted, CLASSES[: n + 1]) and mine:
                if n > _rank(RAW):
                    break  # it is tried nevertheless, and if it fails kept in memory
                need -= _pages(mine[0])
                given_up.append(mine.pop(0))
        self._give_back()
        gone = set(map(id, given_up))
        return [e for e in entries if id(e) not in gone], given_up

    def _give_back(self) -> None:
        """Pages to the disk, some at a time, after the cap was lowered."""
        count, used = retain.pages(self._db)
        if used < self._limit_pages < count:
            for _ in range(min(VACUUM_PAGES, count - max(used, self._limit_pages))):
                self._db.execute("PRAGMA incremental_vacuum(1)")  # one step of a statement gives back one page
            self._db.execute(f"PRAGMA max_page_count = {self._limit_pages}").fetchone()

    def _add(self, seq: dict[str, int], entries: Sequence[Entry]) -> None:
        for e in entries:
            if e.class_ == LAYOUT and self._is_newest(e):
                continue
            seq[e.class_] += 1
            key = (e.class_, self.epoch, seq[e.class_], self._boot, e.t_ns, e.end_ns, e.asset, e.kind, e.n)
            body = e.body if e.kind == BLOCK else stored(e.body)
            added = self._db.execute(
                "INSERT INTO record (class, epoch, seq, boot, t_ns, end_ns, asset, kind, n, crc, body)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*key, checksum(key, body), body),
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO latest VALUES (?, ?, ?)",
                [(e.asset, subject, added.lastrowid) for subject in e.subjects],
            )

    def _is_newest(self, e: Entry) -> bool:
        """Whether the last record of its class and asset says the same."""
        where = "class = ? AND asset = ? ORDER BY id DESC LIMIT 1"
        found = self._db.execute(f"SELECT body FROM record WHERE {where}", (e.class_, e.asset)).fetchone()
        return found is not None and found[0] == stored(e.body)

    def _add_lost(self, seq: dict[str, int], losses: Sequence[Lost]) -> None:
        """What was lost takes one sequence number, so that a reader of the sequence sees that something is missing."""
        for lost in losses:
            seq[lost.class_] += 1
            start, end = (self._boot, lost.from_ns), (self._boot, lost.to_ns)
            retain.note(self._db, lost.class_, self.epoch, seq[lost.class_], lost.count, lost.reason, start, end)

    def _clock_come_right(self, work: Work) -> list[Entry]:
        return [clock(row) for row in work.clock if clocks.comes_right(self._db, self._boot, row)][:1]

    def _add_notes(self, work: Work) -> None:
        for row in work.clock:
            clocks.add(self._db, self._boot, row)
        for ack in work.acks:
            _merge(self._db, ack)
        for record in work.damaged:
            retain.drop_damaged(self._db, record)
        for asset in {e.asset for e in work.entries if e.class_ == CHECKPOINT}:
            retain.thin_checkpoints(self._db, asset)
        for asset in {e.asset for e in work.entries if e.class_ == LAYOUT}:
            retain.thin_layouts(self._db, asset)

    def is_new(self) -> bool:
        """Whether nothing was ever written here."""
        with translated():
            (used,) = self._db.execute("SELECT EXISTS (SELECT 1 FROM record) OR EXISTS (SELECT 1 FROM gap)").fetchone()
        return not used

    def note_epoch_lost(self, why: str) -> None:
        """Say that everything of the epoch before this one is missing here."""
        with translated():
            for class_ in CLASSES:
                retain.note(self._db, class_, self.epoch - 1, 0, 0, why, (self._boot, 0), (self._boot, 0))

    def newest(self) -> dict[str, tuple[int, int]]:
        """(epoch, sequence) of the last record of each class."""
        return {class_: (self.epoch, seq) for class_, seq in self._seq.items()}

    def size(self) -> int:
        """Bytes on disk: the database and its log."""
        return space.size(self.path)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of it is committed, or none."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _merge(db: sqlite3.Connection, ack: Ack) -> None:
    """Add a range to a destination's, joined with those it touches."""
    near = db.execute(
        "SELECT first, last FROM ack WHERE dest = ? AND class = ? AND epoch = ? AND first <= ? AND last >= ?",
        (ack.dest, ack.class_, ack.epoch, ack.last + 1, ack.first - 1),
    ).fetchall()
    ((first, last),) = intervals.union([(ack.first, ack.last), *near])
    key = (ack.dest, ack.class_, ack.epoch)
    db.executemany(
        "DELETE FROM ack WHERE dest = ? AND class = ? AND epoch = ? AND first = ?", [(*key, f) for f, _ in near]
    )
    db.execute("INSERT INTO ack VALUES (?, ?, ?, ?, ?)", (*key, first, last))


def _boot_number(db: sqlite3.Connection, boot: str) -> int:
    db.execute("INSERT OR IGNORE INTO boot (id) VALUES (?)", (boot,))
    return int(db.execute("SELECT n FROM boot WHERE id = ?", (boot,)).fetchone()[0])


def _last_seq(db: sqlite3.Connection, class_: str, epoch: int) -> int:
    known = [
        db.execute(f"SELECT max({column}) FROM {table} WHERE class = ? AND epoch = ?", (class_, epoch)).fetchone()[0]
        for table, column in (("record", "seq"), ("gap", "last"), ("ack", "last"))
    ]
    return max(int(k or 0) for k in known)


def _rank(class_: str) -> int:
    """How long a class is kept: that of its place in CLASSES, of states the longest."""
    return CLASSES.index(class_) if class_ in CLASSES else len(CLASSES) - 1


def _pages(e: Entry) -> int:
    """A row of its own page, its share of three indexes, and the body's own pages."""
    return 2 + len(e.body) // PAGE


def _lost(e: Entry, why: str) -> Lost:
    return Lost(e.class_, e.n, why, e.t_ns, max(e.t_ns, e.end_ns))
