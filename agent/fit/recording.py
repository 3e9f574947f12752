"""Recordings for fitting: a CSV read into columns, then cut into unbroken segments.

The file: a header; one column of time (see `agent.fit.times`; the first column where none has a usual name; or one of
the date and one of the time of day); one column a tag; one row a period; an empty cell is an absent value. Separators
and encodings: see `agent.fit.table`. Columns of text are left out.
Nothing that spans a cut may be used for a fit: a column of a Hankel matrix built across a gap or a stop pairs a past
with a future that does not belong to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8, I8
from agent.fit import table, times
from agent.fit.table import FitError, Table

__all__ = ["FitError", "Recording", "Segment", "cut", "read"]

TIME_NAMES = ("time", "datetime", "timestamp", "date_time", "ts", "t", "zeit", "zeitstempel")
DATE_NAMES, CLOCK_NAMES = ("date", "datum"), ("time", "zeit", "uhrzeit", "time of day")


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A CSV as columns. time_s f8[n]; value f8[n, k] (NaN where absent) over `names`; `texts`: columns left out;
    stamps: the n cells of the time column, word for word, under the name `time_name`."""

    path: str
    sha256: str
    names: tuple[str, ...]
    time_s: F8
    value: F8
    texts: tuple[str, ...]
    period_s: float
    stamps: tuple[str, ...] = ()
    time_name: str = "time"

    def columns(self, names: Sequence[str]) -> F8:
        """Values of the named columns: f8[n, len(names)]. FitError lists the names that are missing."""
        missing = [n for n in names if n not in self.names]
        if missing:
            what = ", ".join(n + (" (text)" if n in self.texts else "") for n in missing)
            raise FitError(f"{self.path}: no numeric column {what}; it has {', '.join(self.names)}")
        return self.value[:, [self.names.index(n) for n in names]]


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """An unbroken stretch. time_s f8[n]; value f8[n, k] in the order asked for, all finite; row i8[n] in the file."""

    time_s: F8
    value: F8
    row: I8


def read(path: str | Path) -> Recording:
    """The columns of a CSV file. FitError says `file:line:` what is wrong."""
    found = table.read(path)
    of_time = _time_columns(found.header)
    stamps = tuple(" ".join(cells[i] for i in of_time) for cells in found.rows)
    time_name = found.header[of_time[-1]]
    time_s = _times(found, stamps, time_name)
    columns = {name: [row[i] for row in found.rows] for i, name in enumerate(found.header) if i not in of_time}
    texts = tuple(name for name, cells in columns.items() if not table.starts_numeric(cells, found.separator))
    names = tuple(name for name in columns if name not in texts)
    value = [table.numbers(found, name, columns[name]) for name in names]
    return Recording(
        path=str(path),
        sha256=found.sha256,
        names=names,
        time_s=time_s,
        value=np.column_stack(value) if value else np.empty((len(time_s), 0)),
        texts=texts,
        period_s=_period(str(path), time_s),
        stamps=stamps,
        time_name=time_name,
    )


def cut(
    recording: Recording,
    names: Sequence[str],
    *,
    where: Mapping[str, float] | None = None,
    settle_s: float = 0.0,
    period_s: float | None = None,
    gap_periods: float = 1.5,
) -> tuple[Segment, ...]:
    """Unbroken segments of the named columns.

    Cut at gaps (over `gap_periods` of the recording's period, or time going back), at absent cells of `names`, and
    where a column of `where` is not at its value; the first `settle_s` seconds after each such entry are dropped.
    `period_s`: resample by holding the last row (a period shorter than the recording's is refused).
    """
    value = recording.columns(names)
    valid = _settled(recording, where or {}, settle_s) & np.isfinite(value).all(axis=1)
    step = np.diff(recording.time_s)
    broken = (step <= 0) | (step > gap_periods * recording.period_s)
    starts = np.flatnonzero(valid & np.concatenate([[True], broken | ~valid[:-1]]))
    stops = np.flatnonzero(valid & np.concatenate([broken | ~valid[1:], [True]])) + 1
    found = [np.arange(a, b) for a, b in zip(starts, stops, strict=True)]
    rows = [_resampled(recording, row, period_s) for row in found]
    return tuple(Segment(recording.time_s[row], value[row], row.astype(np.int64)) for row in rows)


def _settled(recording: Recording, where: Mapping[str, float], settle_s: float) -> npt.NDArray[np.bool_]:
    """Rows where every condition holds, and has held for `settle_s`."""
    holds = np.ones(len(recording.time_s), np.bool_)
    for name, wanted in where.items():
        holds &= recording.columns([name])[:, 0] == wanted
    if not where:
        return holds
    entry = holds & np.concatenate([[True], ~holds[:-1]])
    last = np.maximum.accumulate(np.where(entry, np.arange(len(holds)), 0))
    return np.asarray(holds & (recording.time_s - recording.time_s[last] >= settle_s))


def _resampled(recording: Recording, row: npt.NDArray[np.intp], period_s: float | None) -> npt.NDArray[np.intp]:
    """The rows of a segment that stand at multiples of `period_s` after its start (zero-order hold)."""
    if period_s is None or abs(period_s - recording.period_s) < 1e-3 * recording.period_s:
        return row
    if period_s < recording.period_s:
        raise FitError(
            f"{recording.path}: period {period_s:g} s asked, but there is one row each {recording.period_s:g} s"
        )
    time_s = recording.time_s[row]
    grid = np.arange(time_s[0], time_s[-1] + 1e-6, period_s)
    return row[np.searchsorted(time_s, grid + 1e-3 * recording.period_s, side="right") - 1]


def _time_columns(header: tuple[str, ...]) -> tuple[int, ...]:
    """Where the time stands: a column of the date and one of the time of day, else the first with a usual name of time,
    else the first of all."""
    names = [times.base_name(name) for name in header]
    dates = [at for at, name in enumerate(names) if name in DATE_NAMES]
    clocks = [at for at, name in enumerate(names) if name in CLOCK_NAMES]
    if dates and clocks:
        return dates[0], clocks[0]
    named = [at for at, name in enumerate(names) if name in TIME_NAMES]
    return ((named or dates or [0])[0],)


def _times(found: Table, stamps: tuple[str, ...], name: str) -> F8:
    try:
        return times.column(stamps, name)
    except times.TimeError as error:
        raise FitError(f"{found.path}:{found.lines[error.row]}: {error}") from error


def _period(path: str, time_s: F8) -> float:
    step = np.diff(time_s)
    forward = step[step > 0]
    if not len(forward):
        raise FitError(f"{path}: time never goes forward")
    return float(np.median(forward))
