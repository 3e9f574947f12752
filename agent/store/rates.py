"""How fast a journal fills, by class, measured or estimated from what is to be recorded; how long it lasts then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.store.read import Reader
from agent.store.record import CLASSES, EVENT, RAW, SUMMARY
from agent.store.schema import PAGE
from agent.store.space import limit_bytes

DAY_S = 86_400.0
SHORT_S = 600.0

# A body that large has pages of its own; a row and its share of the indexes take about so much beside it.
LARGE, ROW = 1000, 150

# Bytes of compressed history, measured with tests/bench/store/flash.py: of a value that was read (1.5 of a walk of
# 16 bit, 4 of a float with noise in all digits), of one that a model gives, of a tag in a summary, a summary, an event.
A_SAMPLE, A_MODEL_VALUE, IN_A_SUMMARY, A_SUMMARY, AN_EVENT = 3.0, 6.0, 28.0, 600.0, 400.0

# Written beside what is in a commit: pages of the tables and indexes that change, and the log's rounding.
A_COMMIT = 40_000.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Bytes on disk a day by class. over_s: of how long a time they were measured, 0 where they are estimated."""

    a_day: Mapping[str, float]
    over_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one asset gives: samples of its tags and values of its models a second, tags, windows a day."""

    samples_hz: float
    model_values_hz: float
    tags: int
    windows_a_day: float


def measured(reader: Reader) -> Rates | None:
    """Of the records that are there, None where there are none."""
    reader.refresh()
    rows = reader.all(
        f"SELECT class, sum(CASE WHEN length(body) > {LARGE} THEN (length(body) + {ROW + PAGE - 1}) / {PAGE} * {PAGE}"
        f" ELSE length(body) + {ROW} END), min(id), max(id) FROM record GROUP BY class"
    )
    spans = {class_: _span_s(reader, first, last) for class_, _, first, last in rows if class_ in CLASSES}
    over_s = max(spans.values(), default=0.0)
    if over_s <= 0.0:
        return None
    # Of a class with few records their own span says nothing; of one that was deleted from, only that does.
    of = {c: span if c != EVENT and span > SHORT_S else over_s for c, span in spans.items()}
    return Rates({class_: total / of[class_] * DAY_S for class_, total, *_ in rows if class_ in of}, over_s)


def _span_s(reader: Reader, first: int, last: int) -> float:
    rows = reader.all("SELECT boot, t_ns, end_ns FROM record WHERE id IN (?, ?) ORDER BY id", (first, last))
    start_ns = reader.clocks.wall_ns(rows[0][0], rows[0][1])[0]
    end_ns = reader.clocks.wall_ns(rows[-1][0], max(rows[-1][1:]))[0]
    return (end_ns - start_ns) * 1e-9


def estimated(assets: list[Recorded], raw: bool, events_a_day: float) -> Rates:
    """Of what is to be recorded; right to a factor of two."""
    samples = sum(a.samples_hz * A_SAMPLE + a.model_values_hz * A_MODEL_VALUE for a in assets) * DAY_S
    summaries = sum(a.windows_a_day * (A_SUMMARY + IN_A_SUMMARY * a.tags) for a in assets)
    return Rates({RAW: samples if raw else 0.0, SUMMARY: summaries, EVENT: events_a_day * (AN_EVENT + ROW)})


def lasting_days(rates: Rates, cap_bytes: int) -> dict[str, float]:
    """For how many days each class is kept: a class is given up where those that are kept longer need the room."""
    room, kept = limit_bytes(cap_bytes), {}
    for n, class_ in enumerate(CLASSES):
        needed = sum(rates.a_day.get(c, 0.0) for c in CLASSES[n:])
        kept[class_] = room / needed if needed else float("inf")
    return kept


def flash_a_day(rates: Rates, commits_a_day: float) -> float:
    """Bytes written to flash in a day: each record twice (log and database), and what each commit costs beside it."""
    return 2 * sum(rates.a_day.values()) + commits_a_day * A_COMMIT
