"""Which wall time a time of the boot clock was. Re-stamping is a new row in `clock`, never a rewrite of a record.

A record read before the clock was right is stamped with what the clock said then, says so (`Record.clock`), and
carries (boot, boot_ns); read again later it has the right time. For what was sent meanwhile, the first synchronised row
of a boot that had others before it is itself a record: class event, kind `clock`, told to every destination as alarms
are, and kept until it has been:

    {"kind": "clock", "boot": "...", "boot_ns": ..., "time_ns": ...}

The receiver places each record of that boot at time_ns + its boot_ns - this boot_ns. One message a boot, and nothing is
sent twice; a boot that ends before its clock is right is never placed, and its records say so for ever.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, insort

from agent.store.record import SYNCHRONISED, ClockRow

# A row in between says nothing new where its neighbours' offsets differ from its own by less than this.
SAME_NS = 20_000_000
MOST_ROWS = 20_000

THIN = f"""
DELETE FROM clock WHERE id IN (
    SELECT id FROM (
        SELECT id, boot, quality, wall_ns - mono_ns AS offset,
            lag(wall_ns - mono_ns) OVER same AS before, lead(wall_ns - mono_ns) OVER same AS after,
            row_number() OVER same AS number
        FROM clock WINDOW same AS (PARTITION BY boot, quality ORDER BY id))
    WHERE number % 2 = 0 AND abs(offset - before) < {SAME_NS} AND abs(offset - after) < {SAME_NS})
"""


def comes_right(db: sqlite3.Connection, boot: int, row: ClockRow) -> bool:
    """Whether a row is the first synchronised one of a boot after others: what was stamped so far was not to be
    trusted."""
    known = db.execute("SELECT DISTINCT quality FROM clock WHERE boot = ?", (boot,)).fetchall()
    return row.quality == SYNCHRONISED and bool(known) and (SYNCHRONISED,) not in known


def add(db: sqlite3.Connection, boot: int, row: ClockRow) -> None:
    """Note what the wall clock says now; a long table is thinned where it says the same again and again."""
    db.execute(
        "INSERT INTO clock (boot, mono_ns, wall_ns, quality) VALUES (?, ?, ?, ?)",
        (boot, row.mono_ns, row.wall_ns, row.quality),
    )
    (newest, oldest) = db.execute("SELECT max(id), min(id) FROM clock").fetchone()
    if newest - oldest >= MOST_ROWS and newest % (MOST_ROWS // 2) == 0:
        db.execute(THIN)


class Clocks:
    """The clock table in memory, brought up to date from a connection."""

    def __init__(self) -> None:
        """Knows nothing."""
        self._newest = 0
        self._boots: dict[int, str] = {}
        self._rows: dict[int, dict[str, list[tuple[int, int]]]] = {}

    def refresh(self, db: sqlite3.Connection) -> None:
        """Read the rows that are new."""
        rows = db.execute("SELECT id, boot, mono_ns, wall_ns, quality FROM clock WHERE id > ?", (self._newest,))
        for number, boot, mono_ns, wall_ns, quality in rows.fetchall():
            insort(self._rows.setdefault(boot, {}).setdefault(quality, []), (mono_ns, wall_ns))
            self._newest = max(self._newest, number)
        self._boots = dict(db.execute("SELECT n, id FROM boot").fetchall())

    def boot(self, n: int) -> str:
        """The id of a boot."""
        return self._boots.get(n, "")

    def boots(self) -> dict[str, int]:
        """The numbers of all boots by id, oldest first."""
        return {boot: n for n, boot in sorted(self._boots.items())}

    def wall_ns(self, boot: int, t_ns: int) -> tuple[int, str]:
        """(UTC ns, quality) of a boot time, by the nearest row of that boot; a synchronised one if there is any.

        The boot clock never steps, so that one row from after synchronisation also places what came before it.
        (0, "unknown") where the boot has no row.
        """
        known = self._rows.get(boot, {})
        for quality in (SYNCHRONISED, *sorted(known)):
            if quality in known:
                mono_ns, wall_ns = _nearest(known[quality], t_ns)
                return wall_ns + (t_ns - mono_ns), quality
        return 0, "unknown"


def _nearest(rows: list[tuple[int, int]], t_ns: int) -> tuple[int, int]:
    at = bisect_left(rows, (t_ns, 0))
    return min(rows[max(at - 1, 0) : at + 1], key=lambda row: abs(row[0] - t_ns))
