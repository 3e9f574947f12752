"""Retention: the only thing that deletes. It makes room under the cap and says in a gap record what went, and why.

Given up in this order: raw, summary, event; in each class what every destination has acknowledged before the rest,
the oldest first; audit after all other events. The newest event of each condition stays: it is state.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.store import intervals
from agent.store.intervals import Ranges
from agent.store.record import CAP, CAP_UNSENT, CHECKPOINT, CLASSES, DAMAGED, EVENT, LAYOUT, RAW, Gap

AT_ONCE = 32
HOUR_NS = 3_600_000_000_000
KEEP_CHECKPOINTS = 3

# Destinations by class: who still wants to read it.
Wanted = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    class_: str
    epoch: int
    seq: int
    boot: int
    t_ns: int
    end_ns: int
    n: int


COLUMNS = "id, class, epoch, seq, boot, t_ns, end_ns, n"
FREE = "kind {} 'audit' AND NOT EXISTS (SELECT 1 FROM latest WHERE latest.record = record.id)"


def pages(db: sqlite3.Connection) -> tuple[int, int]:
    """(pages of the file, those of them in use)."""
    (count,), (free,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count"))
    return count, count - free


def make_room(
    db: sqlite3.Connection, need_pages: int, limit_pages: int, wanted: Wanted, classes: Sequence[str] = CLASSES
) -> bool:
    """Delete of these classes until `need_pages` fit under `limit_pages`; False if not all that may go is enough."""
    if pages(db)[1] + need_pages <= limit_pages:
        return True
    for row, reason in _oldest(db, wanted, classes):
        _delete(db, row, reason)
        if pages(db)[1] + need_pages <= limit_pages:
            return True
    return False


def _oldest(db: sqlite3.Connection, wanted: Wanted, classes: Sequence[str]) -> Iterator[tuple[_Row, str]]:
    for class_ in classes:
        for kinds in ("<>", "=") if class_ == EVENT else ("<>",):
            for epoch, ranges in acknowledged_by_all(db, class_, wanted.get(class_, ())).items():
                for first, last in ranges:
                    where = f"class = ? AND epoch = ? AND seq BETWEEN ? AND ? AND {FREE.format(kinds)}"
                    yield from _some(db, where, (class_, epoch, first, last), CAP)
            reason = CAP_UNSENT if wanted.get(class_) else CAP
            yield from _some(db, f"class = ? AND {FREE.format(kinds)}", (class_,), reason)


def _some(db: sqlite3.Connection, where: str, arguments: tuple[object, ...], reason: str) -> Iterator[tuple[_Row, str]]:
    """The oldest rows; the taker deletes each before it asks for the next."""
    statement = f"SELECT {COLUMNS} FROM record WHERE {where} ORDER BY epoch, seq LIMIT {AT_ONCE}"
    while rows := [_Row(*row) for row in db.execute(statement, arguments)]:
        for row in rows:
            yield row, reason


def acknowledged_by_all(db: sqlite3.Connection, class_: str, dests: Sequence[str]) -> dict[int, Ranges]:
    """Ranges of each epoch that every destination has acknowledged; none where there is no destination."""
    common: dict[int, Ranges] | None = None
    for dest in dests:
        own = acknowledged(db, dest, class_)
        common = own if common is None else {e: intervals.intersection(common.get(e, []), r) for e, r in own.items()}
    return dict(sorted((common or {}).items()))


def acknowledged(db: sqlite3.Connection, dest: str, class_: str) -> dict[int, Ranges]:
    """Ranges of each epoch that a destination has acknowledged."""
    ranges: dict[int, Ranges] = {}
    rows = db.execute(
        "SELECT epoch, first, last FROM ack WHERE dest = ? AND class = ? ORDER BY epoch, first", (dest, class_)
    )
    for epoch, first, last in rows:
        ranges.setdefault(epoch, []).append((first, last))
    return ranges


def note(
    db: sqlite3.Connection,
    class_: str,
    epoch: int,
    seq: int,
    count: int,
    reason: str,
    start: tuple[int, int],
    end: tuple[int, int],
) -> None:
    """A gap record for one sequence number, joined to its neighbour's where the reason is the same.

    `start` and `end` are (boot number, boot clock ns).
    """
    joined = db.execute(
        "UPDATE gap SET last = ?, count = count + ?, to_boot = ?, to_ns = ?"
        " WHERE class = ? AND epoch = ? AND last = ? AND reason = ?",
        (seq, count, *end, class_, epoch, seq - 1, reason),
    )
    if joined.rowcount == 0:
        db.execute(
            "INSERT INTO gap (class, epoch, first, last, count, reason, from_boot, from_ns, to_boot, to_ns)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (class_, epoch, seq, seq, count, reason, *start, *end),
        )


def _delete(db: sqlite3.Connection, row: _Row, reason: str) -> None:
    db.execute("DELETE FROM record WHERE id = ?", (row.id,))
    end_ns = max(row.t_ns, row.end_ns)
    note(db, row.class_, row.epoch, row.seq, row.n, reason, (row.boot, row.t_ns), (row.boot, end_ns))


def drop_damaged(db: sqlite3.Connection, record: int) -> None:
    """Delete a record whose bytes are not what was written, and say so."""
    rows = db.execute(f"SELECT {COLUMNS} FROM record WHERE id = ?", (record,)).fetchall()
    for row in rows:
        _delete(db, _Row(*row), DAMAGED)


def gaps(db: sqlite3.Connection, boots: Mapping[int, str]) -> list[Gap]:
    """All gap records, oldest first."""
    rows = db.execute(
        "SELECT class, epoch, first, last, count, reason, from_boot, from_ns, to_boot, to_ns FROM gap ORDER BY id"
    ).fetchall()
    return [
        Gap(class_, epoch, first, last, count, reason, boots.get(a, ""), from_ns, boots.get(b, ""), to_ns)
        for class_, epoch, first, last, count, reason, a, from_ns, b, to_ns in rows
    ]


def thin_checkpoints(db: sqlite3.Connection, asset: str) -> None:
    """Keep of an asset's checkpoints those that can be of use, delete the rest.

    Kept: the last three; the newest before the oldest raw block (where a backtest begins); after that one an hour,
    so that the next to be needed for it is there when raw history has moved on.
    """
    rows = db.execute(
        "SELECT id, boot, t_ns FROM record WHERE class = ? AND asset = ? ORDER BY id", (CHECKPOINT, asset)
    ).fetchall()
    (oldest,) = db.execute("SELECT min(id) FROM record WHERE class = ? AND asset = ?", (RAW, asset)).fetchone()
    keep = {row[0] for row in rows[-KEEP_CHECKPOINTS:]}
    if oldest is not None:
        before = [row[0] for row in rows if row[0] < oldest]
        keep.update(before[-1:])
        hourly = {(boot, t_ns // HOUR_NS): number for number, boot, t_ns in reversed(rows) if number > oldest}
        keep.update(hourly.values())
    db.executemany("DELETE FROM record WHERE id = ?", [(row[0],) for row in rows if row[0] not in keep])


def thin_layouts(db: sqlite3.Connection, asset: str) -> None:
    """Keep the layouts that raw history is read by: the newest before its oldest block, and those after."""
    db.execute(
        "DELETE FROM record WHERE class = ? AND asset = ? AND id < (SELECT max(id) FROM record WHERE class = ?"
        " AND asset = ? AND id < coalesce((SELECT min(id) FROM record WHERE class = ? AND asset = ?), 1 << 62))",
        (LAYOUT, asset, LAYOUT, asset, RAW, asset),
    )
