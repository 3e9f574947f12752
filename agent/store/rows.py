"""A read-only connection, and records that are what was written: what `read.Reader` asks its questions with.

Each statement is a transaction of its own over a few rows (at most some ten milliseconds), so that the writer can
always fold its log into the database. Records whose checksum is wrong are never given out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from agent.store import clocks
from agent.store.record import BLOCK, Record, checksum, unstored
from agent.store.schema import APPLICATION_ID, VERSION, StoreError, translated

Place = tuple[int, int]  # (epoch, seq)
COLUMNS = "class, epoch, seq, boot, t_ns, end_ns, asset, kind, n, crc, body, id"
BYTES_AT_ONCE = 1 << 20


@dataclass(slots=True)
class Found:
    """Records in order, the ids of damaged ones that were passed over, and place and id of the last row seen."""

    records: list[Record] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    after: Place = (0, 0)
    last: int = 0


class Rows:
    """A read-only connection. Not for two threads at once."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Use `open`."""
        self.db = db
        self.clocks = clocks.Clocks()

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
        self.db.close()

    def one(self, where: str, arguments: tuple[Any, ...], most: int = 1) -> Record | None:
        """The first undamaged row of a question, of its first `most`."""
        records = self.found(where, arguments, most, first_only=True).records
        return records[0] if records else None

    def found(self, where: str, arguments: tuple[Any, ...], most: int, first_only: bool = False) -> Found:
        """The first rows of a question: at most so many, and not many more bytes than fit one short read."""
        found, size = Found(), 0
        with translated(), self._at_once():
            self.clocks.refresh(self.db)
            rows = self.db.execute(f"SELECT {COLUMNS} FROM record WHERE {where} LIMIT {most}", arguments)
            for row in rows:
                record = self.record(row)
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

    def record(self, row: tuple[Any, ...]) -> Record | None:
        """The record of a row, None where it is not what was written."""
        *key, crc, body, number = row
        if not isinstance(body, bytes) or checksum(tuple(key), body) != crc:
            return None
        class_, epoch, seq, boot, t_ns, end_ns, asset, kind, n = key
        wall_ns, quality = self.clocks.wall_ns(boot, t_ns)
        boot_id = self.clocks.boot(boot)
        whole = body if kind == BLOCK else unstored(body)
        return Record(number, class_, epoch, seq, boot_id, t_ns, wall_ns, quality, asset, kind, whole, n, end_ns)

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """All that is read within is of one moment: a record must not meet a clock table older than itself."""
        self.db.execute("BEGIN")
        try:
            yield
        finally:
            self.db.rollback()

    def refresh(self) -> None:
        """Learn what the clock table says by now."""
        with translated():
            self.clocks.refresh(self.db)

    def all(self, statement: str, arguments: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement: few, or of few columns."""
        with translated():
            return self.db.execute(statement, arguments).fetchall()
