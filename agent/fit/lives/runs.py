"""Run-to-failure recordings: a table of rows by unit and time, in which each unit runs until it fails.

Columns are separated by a comma, semicolon (a decimal comma is allowed then), tab, bar or blanks. Time is a number (its
unit is the end of the column's name, `_h` say, or `cycle` in it, else seconds) or an ISO 8601 stamp (hours are counted
then). Rows of a unit may stand in any order, and units between one another.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent.core.nouns import F8, I8
from agent.detect.rul_file import CYCLES, UNIT_S
from agent.fit.recording import FitError
from agent.fit.times import seconds

SEPARATORS = (";", "\t", "|", ",")


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """One unit. time f8[n] rising, in the table's unit; value f8[n, k]; row i8[n] in the file, from 0."""

    name: str
    time: F8
    value: F8
    row: I8


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """A table as units, in the order of their first rows. `times`: the cells of time by row of the file."""

    path: str
    sha256: str
    time_unit: str
    names: tuple[str, ...]
    texts: tuple[str, ...]
    units: tuple[Unit, ...]
    times: tuple[str, ...]

    @property
    def period(self) -> float:
        """The usual step of time within a unit. FitError where there is none."""
        steps = [np.diff(unit.time) for unit in self.units]
        if not any(map(len, steps)):
            raise FitError(f"{self.path}: no unit has two rows")
        return float(np.median(np.concatenate(steps)))


def read(path: str | Path, unit: str, time: str, time_unit: str = "") -> Runs:
    """The units of a table. time_unit: of the numbers in the column of time (default: see above). FitError says where
    what is wrong."""
    try:
        content = Path(path).read_bytes()
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise FitError(f"{path}: not a text file ({error.reason} at byte {error.start})") from error
    header, body, numbers, separator = _cells(str(path), lines)
    for name, what in ((unit, "unit"), (time, "time")):
        if name not in header:
            raise FitError(f"{path}:1: no column {name} ({what}); it has {', '.join(header)}")
    stamps, unit_of_time = _times(str(path), header, body, numbers, time, time_unit)
    at = {name: i for i, name in enumerate(header) if name not in (unit, time)}
    columns = {name: [cells[i] for cells in body] for name, i in at.items()}
    texts = tuple(name for name, cells in columns.items() if not _numeric(cells, separator))
    names = tuple(name for name in columns if name not in texts)
    value = [_values(str(path), numbers, name, columns[name], separator) for name in names]
    owner = [cells[header.index(unit)] for cells in body]
    return Runs(
        path=str(path),
        sha256=hashlib.sha256(content).hexdigest(),
        time_unit=unit_of_time,
        names=names,
        texts=texts,
        units=_units(str(path), numbers, owner, stamps, np.column_stack(value) if value else np.empty((len(body), 0))),
        times=tuple(cells[header.index(time)] for cells in body),
    )


def _cells(path: str, lines: Sequence[str]) -> tuple[tuple[str, ...], list[list[str]], list[int], str]:
    """(header, rows, line of each row, separator)."""
    if len(lines) < 2:
        raise FitError(f"{path}: expected a header and rows, got {len(lines)} lines")
    most = max(SEPARATORS, key=lines[0].count)
    separator = most if most in lines[0] else " "
    rows = [line.split() for line in lines] if separator == " " else list(csv.reader(lines, delimiter=separator))
    header = tuple(name.strip() for name in rows[0])
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise FitError(f"{path}:1: column {', '.join(twice)} stands there twice")
    body, numbers = [], []
    for number, cells in enumerate(rows[1:], 2):
        if cells and len(cells) != len(header):
            raise FitError(f"{path}:{number}: {len(cells)} cells, expected {len(header)} as in the header")
        if cells:
            body.append([cell.strip() for cell in cells])
            numbers.append(number)
    if not body:
        raise FitError(f"{path}: no rows under the header")
    return header, body, numbers, separator


def _times(
    path: str, header: Sequence[str], body: Sequence[Sequence[str]], numbers: Sequence[int], name: str, asked: str
) -> tuple[F8, str]:
    """(time of each row, its unit)."""
    at = list(header).index(name)
    stamped = body[0][at][4:5] == "-"
    tail = name.lower().rpartition("_")[2]
    guess = CYCLES if "cycle" in name.lower() else tail if tail in UNIT_S else "s"
    unit = "h" if stamped else asked or guess
    out = np.empty(len(body))
    for i, cells in enumerate(body):
        try:
            out[i] = seconds(cells[at])
        except ValueError as error:
            raise FitError(
                f"{path}:{numbers[i]}: time {cells[at]!r}, expected a number or an ISO 8601 stamp"
            ) from error
    return out / UNIT_S["h"] if stamped else out, unit


def _numeric(cells: Sequence[str], separator: str) -> bool:
    """Whether the first cell that is not empty is a number."""
    first = next((cell for cell in cells if cell), "")
    try:
        _number(first, separator)
    except ValueError:
        return False
    return True


def _number(cell: str, separator: str) -> float:
    return float(cell.replace(",", ".") if separator == ";" else cell) if cell else float("nan")


def _values(path: str, numbers: Sequence[int], name: str, cells: Sequence[str], separator: str) -> F8:
    out = np.empty(len(cells))
    for i, cell in enumerate(cells):
        try:
            out[i] = _number(cell, separator)
        except ValueError as error:
            raise FitError(f"{path}:{numbers[i]}: {name} is {cell!r}, expected a number or nothing") from error
    return np.where(np.isfinite(out), out, np.nan)


def _units(path: str, numbers: Sequence[int], owner: Sequence[str], time: F8, value: F8) -> tuple[Unit, ...]:
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(owner):
        if not name:
            raise FitError(f"{path}:{numbers[row]}: no unit")
        rows.setdefault(name, []).append(row)
    found = []
    for name, at in rows.items():
        order = np.array(at)[np.argsort(time[at], kind="stable")]
        twice = np.flatnonzero(np.diff(time[order]) <= 0)
        if len(twice):
            raise FitError(f"{path}:{numbers[order[twice[0] + 1]]}: unit {name} has two rows of the same time")
        found.append(Unit(name, time[order], value[order], order.astype(np.int64)))
    return tuple(found)
