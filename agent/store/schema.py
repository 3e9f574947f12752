"""The tables, and how the file is opened: made anew where there is none, set aside where it is damaged.

A new file gets a new epoch, so that (class, epoch, seq) never names two things; the epoch is also written beside the
database, because a damaged one cannot be asked. Older schema versions are brought up by MIGRATIONS; a newer is refused.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = 2
APPLICATION_ID = 0x45445457  # "EDTW"
PAGE = 4096

# Damaged files that are kept to be looked at; they do not count towards the cap.
KEEP_DAMAGED = 2

TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE boot (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
CREATE TABLE clock (id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, mono_ns INTEGER NOT NULL,
    wall_ns INTEGER NOT NULL, quality TEXT NOT NULL);
CREATE TABLE record (id INTEGER PRIMARY KEY, class TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
    boot INTEGER NOT NULL, t_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, asset TEXT NOT NULL, kind TEXT NOT NULL,
    n INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX record_key ON record (class, epoch, seq);
CREATE INDEX record_asset ON record (class, asset);
CREATE TABLE latest (asset TEXT NOT NULL, subject TEXT NOT NULL, record INTEGER NOT NULL,
    PRIMARY KEY (asset, subject)) WITHOUT ROWID;
CREATE TABLE ack (dest TEXT NOT NULL, class TEXT NOT NULL, epoch INTEGER NOT NULL, first INTEGER NOT NULL,
    last INTEGER NOT NULL, PRIMARY KEY (dest, class, epoch, first)) WITHOUT ROWID;
CREATE TABLE gap (id INTEGER PRIMARY KEY, class TEXT NOT NULL, epoch INTEGER NOT NULL, first INTEGER NOT NULL,
    last INTEGER NOT NULL, count INTEGER NOT NULL, reason TEXT NOT NULL, from_boot INTEGER NOT NULL,
    from_ns INTEGER NOT NULL, to_boot INTEGER NOT NULL, to_ns INTEGER NOT NULL);
CREATE INDEX gap_key ON gap (class, epoch, last);
"""

# From version k to k+1, at index k-1.
MIGRATIONS = (
    "PRAGMA user_version = 2",  # bodies may be compressed, blocks may be columns
)


class StoreError(OSError):
    """The store cannot be read or written now; the message says why."""


class StoreFullError(StoreError):
    """There is no room: the disk or the cap is full."""


class StoreDamagedError(StoreError):
    """The file is not, or no longer, a database of ours."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn sqlite3's errors into ours. Errors of use (a wrong statement) stay what they are: bugs."""
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
        raise
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise StoreFullError(str(error)) from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise StoreDamagedError(str(error)) from error
        if code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISUSE):
            raise
        raise StoreError(f"{getattr(error, 'sqlite_errorname', 'error')}: {error}") from error


def lock(path: Path) -> int:
    """The file descriptor of a lock beside the database, which the kernel frees however we end. StoreError: in use."""
    held = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(held)
        raise StoreError(f"{path} is being written by another process; is edgetwin running already?") from error
    return held


def in_use(path: Path) -> bool:
    """Whether a process writes the store now."""
    try:
        held = os.open(path.with_name(path.name + ".lock"), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(held)
    return False


def connect(path: Path, wal_pages: int) -> sqlite3.Connection:
    """A writing connection, with every commit synced. It may be handed to another thread as a whole."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0, cached_statements=64)
    try:
        for pragma in (
            f"page_size = {PAGE}",
            "auto_vacuum = INCREMENTAL",
            "journal_mode = WAL",
            "synchronous = FULL",
            f"wal_autocheckpoint = {wal_pages}",
            f"journal_size_limit = {2 * wal_pages * PAGE}",
            "secure_delete = OFF",
            "cache_size = -2000",
        ):
            db.execute(f"PRAGMA {pragma}").fetchall()
    except sqlite3.Error:
        db.close()
        raise
    return db


def prepare(db: sqlite3.Connection, path: Path, gateway: str) -> int:
    """Make or check the tables; gives the epoch. StoreDamagedError: not ours; StoreError: of a newer version."""
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables:
        return _create(db, path, gateway)
    (ours,) = db.execute("PRAGMA application_id").fetchone()
    if ours != APPLICATION_ID:
        raise StoreDamagedError(f"{path} is a database of something else")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StoreError(f"{path} has schema version {version}, this edgetwin knows up to {VERSION}")
    for step in MIGRATIONS[version - 1 :]:
        db.executescript(step)
    return int(db.execute("SELECT value FROM meta WHERE name = 'epoch'").fetchone()[0])


def _create(db: sqlite3.Connection, path: Path, gateway: str) -> int:
    epoch = _next_epoch(path)
    db.execute("BEGIN IMMEDIATE")
    for statement in TABLES.split(";"):
        db.execute(statement)
    db.executemany("INSERT INTO meta VALUES (?, ?)", [("epoch", str(epoch)), ("gateway", gateway)])
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")
    return epoch


def _next_epoch(path: Path) -> int:
    """One more than the epoch beside the database, written there before it is used."""
    beside = path.with_name(path.name + ".epoch")
    try:
        epoch = int(beside.read_text()) + 1
    except (FileNotFoundError, ValueError):
        epoch = 1 + max(damaged_numbers(path), default=0)
    fresh = beside.with_name(beside.name + ".new")
    with fresh.open("w") as file:
        file.write(f"{epoch}\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(beside)
    sync_folder(path)
    return epoch


def damaged_numbers(path: Path) -> list[int]:
    """N of each `*.corrupt-N` beside the database, sorted."""
    ends = (p.name.rpartition(".corrupt-")[2] for p in path.parent.glob(f"{path.name}.corrupt-*"))
    return sorted(int(end) for end in ends if end.isdigit())


def set_aside(path: Path) -> Path:
    """Rename a damaged database (and its log) out of the way; gives its new name. Old ones beyond two are deleted."""
    known = damaged_numbers(path)
    number = 1 + max(known, default=0)
    aside = path.with_name(f"{path.name}.corrupt-{number}")
    for end in ("-wal", "-shm", ""):
        part = path.with_name(path.name + end)
        if part.exists():
            part.rename(aside.with_name(aside.name + end))
    for old in [*known, number][:-KEEP_DAMAGED]:
        for end in ("-wal", "-shm", ""):
            path.with_name(f"{path.name}.corrupt-{old}{end}").unlink(missing_ok=True)
    sync_folder(path)
    return aside


def sync_folder(path: Path) -> None:
    """Make renames beside `path` durable."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
