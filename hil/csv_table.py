"""Any CSV as numeric columns with a pace: separator, header and time column found by themselves."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Table:
    """names[k] heads column k of rows; an empty cell is NaN; time_s starts at 0 and never runs back.

    skipped are the columns that are not numbers; time_name is None where the rows have no time.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    time_s: tuple[float, ...]
    time_name: str | None
    skipped: tuple[str, ...]


def load(path: Path) -> Table:
    """Reads the file; ValueError names file and line."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        first = file.readline()
        file.seek(0)
        separator = ";" if first.count(";") > first.count(",") else ","
        lines = [line for line in csv.reader(file, delimiter=separator) if line]
    if len(lines) < 2:
        raise ValueError(f"{path}: expected a header row and at least one row of values")
    header, body = lines[0], lines[1:]
    for number, line in enumerate(body, start=2):
        if len(line) != len(header):
            raise ValueError(f"{path}:{number}: {len(line)} cells, expected {len(header)} as in the header")
    return _table(path, header, body)


def _table(path: Path, header: list[str], body: list[list[str]]) -> Table:
    times = _times(path, [line[0] for line in body]) if _is_time(header[0], body[0][0]) else None
    columns, skipped, names = [], [], []
    for k, name in enumerate(header):
        if k == 0 and times is not None:
            continue
        column = _numbers([line[k] for line in body])
        if column is None:
            skipped.append(name)
        else:
            names.append(name)
            columns.append(column)
    if not columns:
        raise ValueError(f"{path}: no column of numbers")
    rows = tuple(zip(*columns, strict=True))
    pace = times if times is not None else tuple(float(k) for k in range(len(body)))
    return Table(tuple(names), rows, pace, header[0] if times is not None else None, tuple(skipped))


def _is_time(name: str, cell: str) -> bool:
    if any(word in name.lower() for word in ("time", "date", "timestamp")):
        return True
    return _number(cell) is None and _datetime_s(cell) is not None


def _times(path: Path, cells: Sequence[str]) -> tuple[float, ...]:
    times: list[float] = []
    for number, text in enumerate(cells, start=2):
        at = _number(text)
        if at is None or math.isnan(at):
            at = _datetime_s(text)
        if at is None:
            raise ValueError(f"{path}:{number}: {text!r} is no time, expected seconds or a date and time")
        times.append(max(at, times[-1]) if times else at)
    return tuple(at - times[0] for at in times)


def _numbers(cells: Sequence[str]) -> tuple[float, ...] | None:
    column = [_number(text) for text in cells]
    if any(value is None for value in column):
        return None
    return tuple(value for value in column if value is not None)


def _number(text: str) -> float | None:
    if not text.strip():
        return math.nan
    try:
        return float(text)
    except ValueError:
        return None


def _datetime_s(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except ValueError:
        return None
