"""Times as recordings write them, to seconds.

    2026-03-01T10:14:33.5Z   2026-03-01 10:14:33+01:00   2026/03/01 10:14     ISO 8601; UTC where no zone is given
    01.03.2026 10:14:33,5                                day first where points separate
    13/03/2026 10:14   3/13/2026 10:14:33 PM             which is day and which month, the whole column must tell
    1772360073   1772360073500   0.5                     numbers: since 1970 in s, ms, us or ns by their size, else s

A unit in the column's name (`time_ms`, `Time [min]`, `t_h`) says what a number is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import numpy as np

from agent.core.nouns import F8

UNITS_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
# As seconds these would be the years 5138, 3 million and 3 billion: a number that large counts smaller units.
SIZES_S = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))
EXPECTED = "seconds, an ISO 8601 stamp, or day.month.year and time"

DATE = r"(\d{1,4})([-./])(\d{1,2})\2(\d{1,4})"
CLOCK = r"(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*([AaPp][Mm])?)?"
ZONE = r"\s*(Z|[+-]\d{2}:?\d{2})?"
STAMP = re.compile(DATE + CLOCK + ZONE + r"\Z")

UNIT = re.compile(r"(?:_|\s*[\[(])(ns|us|ms|s|min|h)[\])]?\Z", re.IGNORECASE)

DAY, MONTH = "day first", "month first"


class TimeError(ValueError):
    """Times that cannot be read. `row`: of the cell; its text says what was expected."""

    def __init__(self, row: int, text: str) -> None:
        """row: in the column."""
        super().__init__(text)
        self.row = row


def column(cells: Sequence[str], name: str = "") -> F8:
    """Seconds f8[n] of a column of times called `name`: since 1970 for stamps. TimeError says which cell is wrong."""
    if not cells or not _is_number(cells[0]):
        return _stamps(cells)
    value = np.array([_numeric(cell, row) for row, cell in enumerate(cells)])
    return value * _scale_s(name, float(np.abs(value).max()))


def seconds(cell: str) -> float:
    """The time in one cell, as `column` reads it; ValueError where it is none."""
    return float(column([cell])[0])


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _numeric(cell: str, row: int) -> float:
    try:
        value = float(cell.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise TimeError(row, f"time {cell!r}, expected a number as in the rows before")
    return value


def base_name(name: str) -> str:
    """A column's name in small letters, without the unit in it."""
    return UNIT.sub("", name.lower())


def _scale_s(name: str, largest: float) -> float:
    """Seconds of a number: by the unit in the column's name, else by the size of the numbers."""
    unit = UNIT.search(name)
    if unit:
        if unit[1].lower() == "s" and largest >= SIZES_S[-1][0]:
            raise TimeError(0, f"column {name} goes to {largest:.6g}: too large for seconds, expected another unit")
        return UNITS_S[unit[1].lower()]
    return next((scale_s for size, scale_s in SIZES_S if largest >= size), 1.0)


def _stamps(cells: Sequence[str]) -> F8:
    order = None
    out = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            # All that ISO 8601 allows, in its fast reader; it takes no date with another separator.
            stamp = datetime.fromisoformat(cell)
        except ValueError:
            order = order or _order(cells)
            stamp = _stamp(cell, row, order)
        out[row] = (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()
    return out


def _order(cells: Sequence[str]) -> str:
    """Which of two numbers is the day, where slashes or dashes separate: what the whole column allows."""
    parts = [found for found in map(STAMP.match, cells) if found and found[2] != "." and len(found[1]) < 4]
    if not parts:
        return DAY
    first, second = max(int(p[1]) for p in parts), max(int(p[3]) for p in parts)
    if first <= 12 and second <= 12:
        text = f"time {parts[0][0]!r}: day and month cannot be told apart in this column, expected year-month-day"
        raise TimeError(cells.index(parts[0][0]), text)
    return DAY if first > 12 else MONTH


def _stamp(cell: str, row: int, order: str) -> datetime:
    found = STAMP.match(cell)
    if found is None:
        raise TimeError(row, f"time {cell!r}, expected {EXPECTED}")
    a, separator, b, c, hour, minute, second, part, half, zone = found.groups()
    if len(a) == 4:
        year, month, day = a, b, c
    elif len(c) != 4:
        raise TimeError(row, f"time {cell!r} has no year of four digits, expected {EXPECTED}")
    else:
        year, (day, month) = c, ((a, b) if separator == "." or order == DAY else (b, a))
    micro = int((part or "0").ljust(6, "0")[:6])
    try:
        at = datetime(int(year), int(month), int(day), _hour(hour, half), int(minute or 0), int(second or 0), micro)
    except ValueError as error:
        raise TimeError(row, f"time {cell!r}: {error}") from error
    return at.replace(tzinfo=_zone(zone))


def _hour(hour: str | None, half: str | None) -> int:
    value = int(hour or 0)
    if half is None:
        return value
    if not 1 <= value <= 12:
        raise ValueError(f"hour {value} with {half}")
    return value % 12 + (12 if half.lower() == "pm" else 0)


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=minutes if text[0] == "+" else -minutes))
