"""The recorder's history as a recording: what the daemon read, without the times when something was the matter.

Left out are the times of alarms and alerts with a margin around them (but not those that a person closed as false: the
machine was well), maintenance, and values that were not Good. The mode stands beside the tags as `state/mode`.
Rows are written as they are read: a journal may be larger than the memory.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from agent.core import quality, wire
from agent.core.nouns import Event, Kind, Mode, Snapshot
from agent.engine import maintenance
from agent.engine.asset import Asset
from agent.fit.table import FitError
from agent.store.read import Reader
from agent.store.record import EVENT

MODE = "state/mode"
NUMBERS = (Kind.NUMBER, Kind.ENUMERATION)
TROUBLE = ("alarm", "alert")
# Kinds of the engine's own: what a silent device leaves is not Good, and its rows are left out by that.
ALARM, CARE, OTHER = "alarms and alerts", "maintenance", "another configuration"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the history: from start_ns to end_ns (UTC; 0, 1 << 62: all), with so much left out around trouble.
    points: of models, to be columns too."""

    start_ns: int = 0
    end_ns: int = 1 << 62
    margin_s: float = 300.0
    points: tuple[str, ...] = ()


@dataclass(slots=True)
class Outcome:
    """rows written, from first to last (UTC ns); left_out: rows by reason; not_good: cells by tag."""

    rows: int = 0
    first_ns: int = 0
    last_ns: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    not_good: Counter[str] = field(default_factory=Counter)

    def lines(self, period_s: float) -> Iterator[str]:
        """For people."""
        yield f"{self.rows} rows from {_utc(self.first_ns)} to {_utc(self.last_ns)}"
        for reason, count in sorted(self.left_out.items()):
            yield f"left out for {reason}: {count} rows, {count * period_s / 3600:.3g} h"
        for tag, count in self.not_good.most_common(5):
            yield f"not Good and left empty: {tag} in {count} rows"


def write(reader: Reader, asset: Asset, wanted: Wanted, out: Path) -> Outcome:
    """The history of an asset as a CSV file. FitError where there is none."""
    columns = _columns(asset, wanted.points)
    trouble = _Spans(_trouble(_events(reader, asset.id), round(wanted.margin_s * 1e9)))
    care = _Spans(maintenance.periods((t, event.change) for t, event in _events(reader, asset.id)))
    outcome = Outcome()
    names, rows = list(columns), np.array(list(columns.values()), np.intp)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["time", *names, MODE])
        for message in reader.messages(asset.id, ("snapshot",), start_ns=wanted.start_ns, end_ns=wanted.end_ns):
            snapshot = wire.decode(Snapshot, message.body)
            why = _why_not(snapshot, message.wall_ns, asset, trouble, care)
            if why:
                outcome.left_out[why] += 1
                continue
            good = quality.good_mask(snapshot.status[rows])
            outcome.not_good.update(names[i] for i in np.flatnonzero(~good))
            cells = (f"{v:.9g}" if ok else "" for v, ok in zip(snapshot.value[rows].tolist(), good, strict=True))
            writer.writerow([_utc(message.wall_ns), *cells, int(snapshot.mode)])
            outcome.rows += 1
            outcome.first_ns = outcome.first_ns or message.wall_ns
            outcome.last_ns = message.wall_ns
    if outcome.rows < 2:
        told = "; ".join(f"{count} left out for {why}" for why, count in outcome.left_out.items()) or "none recorded"
        raise FitError(f"asset {asset.id}: no rows in its history then ({told})")
    return outcome


def _columns(asset: Asset, points: Sequence[str]) -> dict[str, int]:
    """Row in a snapshot of each column: tags that are numbers, and the points asked for."""
    found = {n: row for row, (n, tag) in enumerate(zip(asset.names, asset.tags, strict=True)) if tag.kind in NUMBERS}
    given = {asset.relative(point.id): row for row, point in enumerate(asset.points) if point.kind in NUMBERS}
    return found | {name: given[name] for name in points if name in given and name != MODE}


def _why_not(snapshot: Snapshot, wall_ns: int, asset: Asset, trouble: _Spans, care: _Spans) -> str:
    """Why a row is left out; "" where it is not."""
    if snapshot.last or len(snapshot.value) != len(asset.points):
        return OTHER
    if snapshot.mode is Mode.MAINTENANCE or wall_ns in care:
        return CARE
    return ALARM if wall_ns in trouble else ""


def _events(reader: Reader, asset: str) -> Iterator[tuple[int, Event]]:
    """(UTC ns, event) of an asset, oldest first."""
    return ((r.wall_ns, wire.decode(Event, r.body)) for r in reader.records(EVENT, asset) if r.kind == "event")


def _trouble(events: Iterable[tuple[int, Event]], margin_ns: int) -> list[tuple[int, int]]:
    """(begin, end) of each alarm and alert, end 0 where it goes on, wider by a margin."""
    found: dict[str, list[tuple[int, int]]] = {}
    for t_ns, event in events:
        condition, case = event.condition, event.case
        if condition is not None and condition.category in TROUBLE:
            spans = found.setdefault(condition.id, [])
            if event.change == "raised":
                spans.append((t_ns, 0))
            elif event.change == "cleared" and spans:
                spans[-1] = (spans[-1][0], t_ns)
        if event.change == "case_closed" and case is not None and case.cause == "false":
            opened_ns = t_ns - (event.t_ns - case.opened_ns)
            for name in case.conditions:
                found[name] = [span for span in found.get(name, []) if span[0] < opened_ns]
    spans = [span for each in found.values() for span in each]
    return [(begin - margin_ns, end + margin_ns if end else 0) for begin, end in spans]


class _Spans:
    """Times within any of some spans, each (begin, end), end 0 where it goes on."""

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        """Join those that overlap."""
        joined: list[tuple[int, int]] = []
        for begin, end in sorted((a, b or 1 << 62) for a, b in spans):
            if joined and begin <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((begin, end))
        self._begins = [begin for begin, _ in joined]
        self._ends = [end for _, end in joined]

    def __contains__(self, t_ns: int) -> bool:
        at = bisect_right(self._begins, t_ns) - 1
        return at >= 0 and t_ns <= self._ends[at]


def _utc(wall_ns: int) -> str:
    stamp = datetime.fromtimestamp(wall_ns // 10**9, UTC)
    return f"{stamp:%Y-%m-%dT%H:%M:%S}.{wall_ns % 10**9 // 10**6:03d}Z"
