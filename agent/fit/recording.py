"""Recordings for fitting: a CSV read into columns, then cut into unbroken segments.

The file: a header; one column of time (seconds, unless its name ends in `_ms`, `_min` or `_h`; or ISO 8601 stamps, UTC
where no zone is given; the first column where none has a usual name); one column a tag; one row a period; an empty
cell is an absent value. The separator is `,` or `;` (with `;` a decimal comma is allowed).
Columns of text are left out. Nothing that spans a cut may be used for a fit: a column of a Hankel matrix built
across a gap or a stop pairs a past with a future that does not belong to it.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8, I8

TIME_NAMES = ("time", "time_s", "datetime", "timestamp", "date_time", "t")
UNITS_S = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


class FitError(ValueError):
    """A model cannot be made from this recording, and why, in words with names."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A CSV as columns. time_s f8[n]; value f8[n, k] (NaN where absent) over `names`; `texts`: columns left out."""

    path: str
    sha256: str
    names: tuple[str, ...]
    time_s: F8
    value: F8
    texts: tuple[str, ...]
    period_s: float

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
    content = Path(path).read_bytes()
    lines = content.decode("utf-8-sig").splitlines()
    if len(lines) < 3:
        raise FitError(f"{path}: expected a header and at least two rows, got {len(lines)} lines")
    separator = ";" if lines[0].count(";") > lines[0].count(",") else ","
    rows = list(csv.reader(lines, delimiter=separator))
    header = tuple(name.strip() for name in rows[0])
    body = _rectangle(str(path), header, rows[1:])
    at = _time_column(header)
    time_s = _times(str(path), [cells[at] for cells in body]) * _unit_s(header[at])
    columns = {name: [cells[i].strip() for cells in body] for i, name in enumerate(header) if i != at}
    texts = tuple(name for name, cells in columns.items() if not _starts_numeric(cells, separator))
    names = tuple(name for name in columns if name not in texts)
    value = [_numbers(f"{path}", name, columns[name], separator) for name in names]
    return Recording(
        path=str(path),
        sha256=hashlib.sha256(content).hexdigest(),
        names=names,
        time_s=time_s,
        value=np.column_stack(value) if value else np.empty((len(time_s), 0)),
        texts=texts,
        period_s=_period(str(path), time_s),
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


def _rectangle(path: str, header: tuple[str, ...], rows: list[list[str]]) -> list[list[str]]:
    """The rows without blank lines; FitError where the header repeats a name or a row has another length."""
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise FitError(f"{path}:1: column {', '.join(twice)} stands there twice")
    for line, cells in enumerate(rows, 2):
        if cells and len(cells) != len(header):
            raise FitError(f"{path}:{line}: {len(cells)} cells, expected {len(header)} as in the header")
    return [cells for cells in rows if cells]


def _time_column(header: tuple[str, ...]) -> int:
    """The first column with a usual name of time, else the first of all."""
    named = [at for at, name in enumerate(header) if name.lower() in TIME_NAMES]
    return named[0] if named else 0


def _unit_s(name: str) -> float:
    """Seconds of the unit that a column of time has in its name: `time_min`."""
    return UNITS_S.get(name.lower().rpartition("_")[2], 1.0)


def _times(path: str, cells: list[str]) -> F8:
    out = np.empty(len(cells))
    for i, cell in enumerate(cells):
        try:
            out[i] = seconds(cell.strip())
        except ValueError as error:
            raise FitError(f"{path}:{i + 2}: time {cell!r}, expected seconds or an ISO 8601 stamp") from error
    return out


def seconds(cell: str) -> float:
    """The time in a cell: seconds as they stand, an ISO 8601 stamp as seconds since 1970 in UTC; else ValueError."""
    if cell[4:5] == "-":
        stamp = datetime.fromisoformat(cell)
        return (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()
    number = float(cell)
    if not np.isfinite(number):
        raise ValueError(cell)
    return number


def _number(cell: str, separator: str) -> float:
    return float(cell.replace(",", ".") if separator == ";" else cell) if cell else float("nan")


def _starts_numeric(cells: list[str], separator: str) -> bool:
    """Whether the first cell that is not empty is a number; a column without any is numeric and all absent."""
    first = next((cell for cell in cells if cell), "")
    try:
        _number(first, separator)
    except ValueError:
        return False
    return True


def _numbers(path: str, name: str, cells: list[str], separator: str) -> F8:
    out = np.empty(len(cells))
    for i, cell in enumerate(cells):
        try:
            out[i] = _number(cell, separator)
        except ValueError as error:
            raise FitError(f"{path}:{i + 2}: {name} is {cell!r}, expected a number or nothing") from error
    return np.where(np.isfinite(out), out, np.nan)


def _period(path: str, time_s: F8) -> float:
    step = np.diff(time_s)
    forward = step[step > 0]
    if not len(forward):
        raise FitError(f"{path}: time never goes forward")
    return float(np.median(forward))
