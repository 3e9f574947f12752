"""Run-to-failure recordings: a table of rows by unit and time, in which each unit runs until it fails.

Cells are read as `agent.fit.table` reads those of every recording. Time is a number (its unit is the end of the
column's name, `_h` say, or `cycle` in it, else seconds) or an ISO 8601 stamp (hours are counted then). Rows of a unit
may stand in any order, and units between one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent.core.nouns import F8, I8
from agent.detect.rul_file import CYCLES, UNIT_S
from agent.fit import table
from agent.fit.table import FitError, Table
from agent.fit.times import seconds


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
    found = table.read(path, least=1)
    header, body = found.header, found.rows
    for name, what in ((unit, "unit"), (time, "time")):
        if name not in header:
            raise FitError(f"{path}:1: no column {name} ({what}); it has {', '.join(header)}")
    stamps, unit_of_time = _times(found, time, time_unit)
    at = {name: i for i, name in enumerate(header) if name not in (unit, time)}
    columns = {name: [cells[i] for cells in body] for name, i in at.items()}
    texts = tuple(name for name, cells in columns.items() if not table.starts_numeric(cells, found.separator))
    names = tuple(name for name in columns if name not in texts)
    value = [table.numbers(found, name, columns[name]) for name in names]
    matrix = np.column_stack(value) if value else np.empty((len(body), 0))
    owner = [cells[header.index(unit)] for cells in body]
    return Runs(
        path=str(path),
        sha256=found.sha256,
        time_unit=unit_of_time,
        names=names,
        texts=texts,
        units=_units(str(path), found.lines, owner, stamps, matrix),
        times=tuple(cells[header.index(time)] for cells in body),
    )


def _times(found: Table, name: str, asked: str) -> tuple[F8, str]:
    """(time of each row, its unit)."""
    at = found.header.index(name)
    stamped = found.rows[0][at][4:5] == "-"
    tail = name.lower().rpartition("_")[2]
    guess = CYCLES if "cycle" in name.lower() else tail if tail in UNIT_S else "s"
    unit = "h" if stamped else asked or guess
    out = np.empty(len(found.rows))
    for i, cells in enumerate(found.rows):
        try:
            out[i] = seconds(cells[at])
        except ValueError as error:
            text = f"time {cells[at]!r}, expected a number or an ISO 8601 stamp"
            raise FitError(f"{found.path}:{found.lines[i]}: {text}") from error
    return out / UNIT_S["h"] if stamped else out, unit


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
