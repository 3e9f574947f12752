"""What an engineer writes for a value: `7 mm`, `0.03 to 0.08 m2`, `0.01 in 1 d`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.core import units

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
VALUE = re.compile(rf"({NUMBER})(?:\s+to\s+({NUMBER}))?(?:\s*([^\s\d].*))?")


@dataclass(frozen=True, slots=True)
class Range:
    """A value, or the bounds of an unknown one: low < high."""

    low: float
    high: float

    @property
    def unknown(self) -> bool:
        """Whether it is to be found."""
        return self.low != self.high

    @property
    def middle(self) -> float:
        """Where a search starts: the geometric middle where the bounds lie far apart."""
        far = self.low > 0.0 and self.high > 3.0 * self.low
        return float((self.low * self.high) ** 0.5) if far else 0.5 * (self.low + self.high)


def value(written: object, unit: str, *, difference: bool = False) -> Range:
    """A value or range in `unit` ("": whatever unit). difference: no offset of a scale counts (3 K is 3 degC).
    ValueError says what is wrong."""
    if isinstance(written, bool) or not isinstance(written, int | float | str):
        raise ValueError(f"{written!r}, expected a number{_in(unit)}")
    found = VALUE.fullmatch(str(written).strip())
    if not found:
        raise ValueError(f"{written!r}, expected a number or range{_in(unit)}, such as 3 or 2 to 5")
    low, high, given = found[1], found[2] or found[1], (found[3] or "").strip()
    ends = [_converted(float(end), given, unit, difference) for end in (low, high)]
    if found[2] and not ends[0] < ends[1]:
        raise ValueError(f"{written!r}, expected the low end first")
    return Range(*ends)


def number(written: object, unit: str, *, difference: bool = False) -> float:
    """A value in `unit`; ValueError where it is a range."""
    found = value(written, unit, difference=difference)
    if found.unknown:
        raise ValueError(f"{written!r}, expected one number, not a range")
    return found.low


def walk(written: object, unit: str) -> float:
    """`0.01 in 1 d`: how far it wanders (one standard deviation) in that time, per square root of a second."""
    size, word, time = str(written).partition(" in ")
    if not word:
        raise ValueError(f"{written!r}, expected how far it wanders in what time, such as 0.01 in 1 d")
    seconds = number(time, "s")
    if seconds <= 0:
        raise ValueError(f"{written!r}, expected a time over 0")
    return float(number(size, unit, difference=True) / seconds**0.5)


def scale(base: str, unit: str) -> tuple[float, float]:
    """gain and offset: value in `unit` = gain * value in `base` + offset; 1 and 0 where `base` is any unit."""
    if not base or base == unit:
        return 1.0, 0.0
    offset = units.convert(0.0, base, unit)
    return units.convert(1.0, base, unit) - offset, offset


def _converted(number: float, given: str, unit: str, difference: bool) -> float:
    if not given or not unit or given == unit:
        return number
    converted = units.convert(number, given, unit)
    return converted - units.convert(0.0, given, unit) if difference else converted


def _in(unit: str) -> str:
    return f" in {unit}" if unit and unit != "1" else ""
