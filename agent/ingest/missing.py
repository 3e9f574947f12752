"""What an operator asks of the tables: what is there, and what has not come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from agent.ingest import schema

STREAMS = """
SELECT s.gateway, s.class AS class_, s.epoch, s.last,
    coalesce((SELECT sum(g.last - g.first + 1) FROM edgetwin.gap g
        WHERE (g.gateway, g.class, g.epoch) = (s.gateway, s.class, s.epoch)), 0)::bigint AS missing
FROM edgetwin.stream s WHERE s.class <> 'raw' AND %(gateway)s IN ('', s.gateway) ORDER BY s.gateway, s.class, s.epoch
"""
GAPS = """
SELECT gateway, class AS class_, epoch, first, last, noticed, gone FROM edgetwin.gap
WHERE %(gateway)s IN ('', gateway) ORDER BY gateway, class, epoch, first
"""
BESIDE = """
SELECT (SELECT count(*) FROM edgetwin.summary WHERE pending AND %(gateway)s IN ('', gateway)),
    (SELECT count(*) FROM edgetwin.rejected)
"""


@dataclass(frozen=True, slots=True)
class Gap:
    """Sequence numbers first to last of a class have not come; `noticed` when one beyond them did. `gone`: when the
    gateway said that it does not have them any more."""

    gateway: str
    class_: str
    epoch: int
    first: int
    last: int
    noticed: datetime
    gone: datetime | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """Of a class of a gateway the numbers up to `last` have come, but for so many."""

    gateway: str
    class_: str
    epoch: int
    last: int
    missing: int


@dataclass(frozen=True, slots=True)
class Report:
    """`nameless`: summaries in columns whose names have not come; `rejected`: messages that could not be read."""

    arrivals: tuple[Arrival, ...]
    gaps: tuple[Gap, ...]
    nameless: int
    rejected: int


def report(conninfo: str, gateway: str = "") -> Report:
    """What is there and what is missing, of one gateway or of all. OSError or psycopg.Error: it cannot be asked."""
    asked = {"gateway": gateway}
    with psycopg.connect(conninfo) as db:
        found = db.execute("SELECT to_regclass('edgetwin.version') IS NOT NULL").fetchone()
        if found is None or not found[0]:
            raise schema.SchemaError("there is no schema edgetwin: nothing was ever received here")
        arrivals = db.cursor(row_factory=class_row(Arrival)).execute(STREAMS, asked).fetchall()
        gaps = db.cursor(row_factory=class_row(Gap)).execute(GAPS, asked).fetchall()
        nameless, rejected = db.execute(BESIDE, asked).fetchone() or (0, 0)
    return Report(tuple(arrivals), tuple(gaps), nameless, rejected)
