"""Times that are kept out of a fit: maintenance, and whatever else a person names.

A CSV with columns `from` and `to` in the recording's own time (seconds, or ISO 8601), `to` empty where it goes on:
what `edgetwin maintenance list --csv` prints.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from agent.fit import times
from agent.fit.recording import FitError, Recording


@dataclass(frozen=True, slots=True)
class Period:
    """begin_s to end_s, both included, in the recording's time."""

    begin_s: float
    end_s: float


def read(path: str | Path) -> tuple[Period, ...]:
    """The periods in a file. FitError says `file:line:` what is wrong."""
    rows = list(csv.reader(Path(path).read_text(encoding="utf-8-sig").splitlines()))
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if not {"from", "to"} <= set(header):
        raise FitError(f"{path}:1: expected columns from and to, got {', '.join(header) or 'nothing'}")
    at = header.index("from"), header.index("to")
    return tuple(_period(f"{path}:{line}", cells, at) for line, cells in enumerate(rows[1:], 2) if any(cells))


def without(recording: Recording, periods: Sequence[Period]) -> Recording:
    """The recording with nothing in it for those times: segments are cut there."""
    out = np.zeros(len(recording.time_s), np.bool_)
    for period in periods:
        out |= (recording.time_s >= period.begin_s) & (recording.time_s <= period.end_s)
    return replace(recording, value=np.where(out[:, None], np.nan, recording.value))


def applied(recording: Recording, path: str | Path | None) -> Recording:
    """The recording without the times in a file, where there is one."""
    return recording if path is None else without(recording, read(path))


def _period(where: str, cells: list[str], at: tuple[int, int]) -> Period:
    if len(cells) <= max(at):
        raise FitError(f"{where}: {len(cells)} cells, expected from and to")
    begin_s, end_s = (_time(where, cells[i].strip(), open_s) for i, open_s in zip(at, (-np.inf, np.inf), strict=True))
    if not begin_s <= end_s:
        raise FitError(f"{where}: from {cells[at[0]]} is after to {cells[at[1]]}")
    return Period(begin_s, end_s)


def _time(where: str, cell: str, empty_s: float) -> float:
    try:
        return times.seconds(cell) if cell else empty_s
    except ValueError as error:
        raise FitError(f"{where}: {cell!r}, expected {times.EXPECTED}") from error
