"""Modbus addresses as people write them, as PDU offsets.

input:30   holding:0x1F   coil:1   discrete:4     table and PDU offset, decimal or hexadecimal, from 0 (or from `base`)
30031   400001   4x0031                           Modicon: first digit is the table, the rest counts from 1, always
2/input:30                                        the same on unit 2 of the endpoint

A range is two of these with a hyphen: holding:100-199, 40101-40200. Without a unit it is meant on every unit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum


class Table(IntEnum):
    """The four tables of Modbus; the number is the function code that reads it."""

    COIL = 1
    DISCRETE = 2
    HOLDING = 3
    INPUT = 4

    @property
    def word(self) -> str:
        """The table as people write it."""
        return self.name.lower()

    @property
    def bits(self) -> bool:
        """Whether the table holds single bits (else registers of 16)."""
        return self in (Table.COIL, Table.DISCRETE)

    @property
    def writable(self) -> bool:
        """Whether the protocol can write it."""
        return self in (Table.COIL, Table.HOLDING)


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Unit (None: the endpoint's own), table and PDU offset 0..65535."""

    unit: int | None
    table: Table
    offset: int

    def __str__(self) -> str:
        """The address as `table:offset` with the PDU offset, unit first where one was given."""
        unit = "" if self.unit is None else f"{self.unit}/"
        return f"{unit}{self.table.word}:{self.offset}"


EXPECTED = (
    "expected table:offset such as input:30, holding:0x1F, coil:1, discrete:4, "
    "or Modicon such as 30031, 400001 or 4x0031"
)
FORM = re.compile(
    r"(?:(?P<unit>\d{1,3})/)?(?:(?P<table>[a-z]+):(?P<offset>0[xX][0-9a-fA-F]+|\d+)|"
    r"(?P<modicon>\d{5,6}|[134][xX]\d{1,5}))"
)
TABLES = {table.word: table for table in Table}
MODICON = {"0": Table.COIL, "1": Table.DISCRETE, "3": Table.INPUT, "4": Table.HOLDING}


def parse(text: str, base: int = 0) -> Address:
    """The address that a text names; `base` is the number of the first register or bit of a table in `table:offset`.

    ValueError says what is wrong and what was expected.
    """
    match = FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"address {text!r} is not understood, {EXPECTED}")
    unit = None if match["unit"] is None else int(match["unit"])
    if unit is not None and unit > 255:
        raise ValueError(f"address {text!r}: unit {unit} does not exist, expected 0 to 255")
    table, offset = _modicon(text, match["modicon"]) if match["modicon"] else _offset(text, match, base)
    if not 0 <= offset <= 0xFFFF:
        counted = f" ({table.word}:{base} is offset 0 here)" if base and match["table"] else ""
        raise ValueError(f"address {text!r}: PDU offset {offset} does not exist, expected 0 to 65535{counted}")
    return Address(unit, table, offset)


@dataclass(frozen=True, slots=True)
class Range:
    """PDU offsets `first` to `last`, both included, of a table of one unit (None: of every unit)."""

    unit: int | None
    table: Table
    first: int
    last: int

    def crosses(self, at: Address, span: int) -> bool:
        """Whether it holds one of the `span` registers or bits from `at`."""
        here = self.table is at.table and self.unit in (None, at.unit)
        return here and at.offset <= self.last and self.first < at.offset + span

    def __str__(self) -> str:
        """The range as `table:first-last` with PDU offsets, unit first where one was given."""
        return f"{Address(self.unit, self.table, self.first)}-{self.last}"


def parse_range(text: str, base: int = 0) -> Range:
    """The range that a text names, one address or two; `base` as in `parse`.

    ValueError says what is wrong and what was expected.
    """
    left, hyphen, right = text.strip().partition("-")
    first = _end_of_range(text, left, base)
    prefix = left[: left.rfind(":") + 1] or left[: left.rfind("/") + 1]
    last = _end_of_range(text, right if "/" in right or ":" in right else prefix + right, base) if hyphen else first
    if (last.unit, last.table) != (first.unit, first.table):
        raise ValueError(f"range {text!r} goes from {first} to {last}, expected one table of one unit")
    if last.offset < first.offset:
        raise ValueError(f"range {text!r} ends before it begins, expected the lower offset first")
    return Range(first.unit, first.table, first.offset, last.offset)


def _end_of_range(text: str, part: str, base: int) -> Address:
    try:
        return parse(part, base)
    except ValueError as error:
        raise ValueError(f"range {text!r}, expected one such as holding:100-199 or 2/input:30-39: {error}") from error


def _offset(text: str, match: re.Match[str], base: int) -> tuple[Table, int]:
    if match["table"] not in TABLES:
        raise ValueError(f"address {text!r}: no table {match['table']!r}, expected one of {', '.join(TABLES)}")
    return TABLES[match["table"]], int(match["offset"], 16 if match["offset"][:2].lower() == "0x" else 10) - base


def _modicon(text: str, digits: str) -> tuple[Table, int]:
    if digits[0] not in MODICON:
        raise ValueError(f"address {text!r}: a Modicon address begins with 0, 1, 3 or 4, not {digits[0]}")
    return MODICON[digits[0]], int(digits[1:].lstrip("xX")) - 1
