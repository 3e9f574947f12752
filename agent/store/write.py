"""The one writer. All that waits is committed together in one synced transaction, or not at all."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from agent.store import clocks, intervals, retain, schema
from agent.store.record import (
    BLOCK,
    CHECKPOINT,
    CLASSES,
    DAMAGED,
    LAYOUT,
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

LEAST_CAP = 64 * PAGE

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

    def __init__(self, db: sqlite3.Connection, lock: int, path: Path, epoch: int, boot: str, cap_bytes: int) -> None:
        """Use `open`."""
        self.path, self.epoch = path, epoch
        self._db, self._lock = db, lock
        self._wanted: dict[str, tuple[str, ...]] = {}
        self._limit_pages = _limit_pages(cap_bytes)
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
            return cls._opened(path, lock, cap_bytes, boot, gateway), None
        except StoreDamagedError:
            aside = schema.set_aside(path)
        store = cls._opened(path, lock, cap_bytes, boot, gateway)
        store.note_epoch_lost()
        return store, aside

    @classmethod
    def _opened(cls, path: Path, lock: int, cap_bytes: int, boot: str, gateway: str) -> Self:
        db: sqlite3.Connection | None = None
        try:
            with translated():
                db = schema.connect(path, _wal_pages(cap_bytes))
                return cls(db, lock, path, schema.prepare(db, path, gateway), boot, cap_bytes)
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
        """Write it all, synced, making room if need be. Gives the entries that are too large ever to be kept.

        StoreFullError, StoreDamagedError, StoreError: nothing of it was written.
        """
        with translated():
            try:
                return self._commit(work, self._limit_pages)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                    raise
            # The disk is full before the cap is: make do with the pages that the file has.
            count, _ = retain.pages(self._db)
            return self._commit(work, min(count, self._limit_pages) - SPARE_PAGES)

    def _commit(self, work: Work, limit_pages: int) -> list[Lost]:
        seq = dict(self._seq)
        largest = self._limit_pages * PAGE // 4
        too_large = [Lost(e.class_, e.n, TOO_LARGE, e.t_ns, e.t_ns) for e in work.entries if len(e.body) > largest]
        fitting = [e for e in work.entries if len(e.body) <= largest]
        with _transaction(self._db):
            self._room(fitting, limit_pages)
            self._add_lost(seq, [*work.lost, *too_large])
            self._add(seq, [*self._clock_come_right(work), *fitting])
            self._add_notes(work)
        self._seq = seq
        return too_large

    def _room(self, entries: Sequence[Entry], limit_pages: int) -> None:
        # A row of its own page, its share of three indexes, and the body's own pages.
        need = SPARE_PAGES + sum(2 + len(e.body) // PAGE for e in entries)
        retain.make_room(self._db, need, limit_pages, self._wanted)
        count, used = retain.pages(self._db)
        if used < self._limit_pages < count:  # the cap was lowered
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

    def note_epoch_lost(self) -> None:
        """Say that everything of the epoch before this one is missing here."""
        with translated():
            for class_ in CLASSES:
                retain.note(self._db, class_, self.epoch - 1, 0, 0, DAMAGED, (self._boot, 0), (self._boot, 0))

    def newest(self) -> dict[str, tuple[int, int]]:
        """(epoch, sequence) of the last record of each class."""
        return {class_: (self.epoch, seq) for class_, seq in self._seq.items()}

    def size(self) -> int:
        """Bytes on disk: the database and its log."""
        beside = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(p.stat().st_size for p in beside if p.exists())


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


def _wal_pages(cap_bytes: int) -> int:
    """Pages in the log before it is folded into the database: 2 MiB, less where the cap is small."""
    return max(16, min(512, cap_bytes // PAGE // 16))


def limit_bytes(cap_bytes: int) -> int:
    """What of a cap the database itself may take."""
    return _limit_pages(cap_bytes) * PAGE


def _limit_pages(cap_bytes: int) -> int:
    """Pages the database may have: the cap less twice the log, for a commit may begin with a full one."""
    return max(LEAST_CAP, cap_bytes) // PAGE - 2 * _wal_pages(cap_bytes)
