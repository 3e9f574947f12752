"""What lies in Modbus registers: the types, the byte orders, and the vectorised decoding of whole blocks.

An order names the bytes of a value as they come over the wire, register by register, high byte first; A is the most
significant byte of the value. So the float32 1.0 (3F 80 00 00) is read from the registers

    ABCD  3F80 0000      CDAB  0000 3F80      BADC  803F 0000      DCBA  0000 803F

For 64 bits the four letters mean ABCDEFGH, GHEFCDAB, BADCFEHG and HGFEDCBA (also accepted as such); for 16 bits and
strings only whether the bytes of a register are swapped (BADC, DCBA, BA).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.core import quality
from agent.core.address import Address, parse
from agent.core.nouns import F8, U4, Tag

U1 = npt.NDArray[np.uint8]
Registers = npt.NDArray[np.uint16]

NUMBERS = {
    "int16": ">i2",
    "uint16": ">u2",
    "int32": ">i4",
    "uint32": ">u4",
    "int64": ">i8",
    "uint64": ">u8",
    "float32": ">f4",
    "float64": ">f8",
}
LETTERS = "ABCDEFGH"
EXACT = 2**53
FORM = re.compile(r"(?P<name>[a-z]+[0-9]*?)(?:\.(?P<bit>\d+)|\((?P<chars>\d+)\))?")
BIT = re.compile(r"bit(\d+)")
EXPECTED = f"expected bool, bit0..bit15, {', '.join(NUMBERS)}, uint16.3 (bit 3 of a register) or string(16)"


@dataclass(frozen=True, slots=True)
class Field:
    """Where and how one tag lies: `span` registers (or bits) from `at`.

    dtype: a numpy type of one big-endian number, "bool", "bit" or "string". order: for each byte of the value, most
    significant first, its position among the bytes read.
    """

    at: Address
    span: int
    dtype: str
    order: tuple[int, ...] = ()
    bit: int = 0


def field_of(tag: Tag, unit: int) -> Field:
    """Where and how a tag lies, on `unit` unless its address says another. ValueError says what is wrong with it."""
    at = parse(tag.address)
    at = Address(unit if at.unit is None else at.unit, at.table, at.offset)
    kind = tag.type.strip()
    if at.table.bits:
        if kind != "bool":
            raise ValueError(f"address {tag.address!r}: type {kind!r} does not lie in {at.table.word}, expected bool")
        return Field(at, 1, "bool")
    field = _of_registers(at, kind, tag.order.strip().upper())
    if at.offset + field.span > 0x10000:
        raise ValueError(f"address {tag.address!r}: {kind} needs {field.span} registers, beyond offset 65535")
    return field


def _of_registers(at: Address, kind: str, order: str) -> Field:
    if kind in NUMBERS:
        size = np.dtype(NUMBERS[kind]).itemsize
        return Field(at, size // 2, NUMBERS[kind], positions(order, size))
    if (bit := _bit(kind)) is not None:
        return Field(at, 1, "bit", positions(order, 2), bit)
    match = FORM.fullmatch(kind)
    if match and match["name"] == "string" and match["chars"] and 1 <= int(match["chars"]) <= 250:
        span = (int(match["chars"]) + 1) // 2
        return Field(at, span, "string", tuple(2 * r + p for r in range(span) for p in positions(order, 2)))
    raise ValueError(f"type {kind!r} is not understood, {EXPECTED}")


def _bit(kind: str) -> int | None:
    match = BIT.fullmatch(kind)
    form = FORM.fullmatch(kind)
    if match is None and (form is None or form["bit"] is None or form["name"] not in ("uint16", "int16")):
        return 0 if kind == "bool" else None
    bit = int(match[1] if match else form["bit"])  # type: ignore[index]
    if bit > 15:
        raise ValueError(f"type {kind!r}: a register has no bit {bit}, expected 0 (least significant) to 15")
    return bit


def positions(order: str, size: int) -> tuple[int, ...]:
    """For each byte of a value of `size` bytes, most significant first, its position among the bytes read."""
    natural = LETTERS[:size]
    words = [natural[i : i + 2] for i in range(0, size, 2)]
    swapped = [w[::-1] for w in words]
    known = {
        "ABCD": natural,
        "CDAB": "".join(words[::-1]),
        "BADC": "".join(swapped),
        "DCBA": natural[::-1],
    }
    wire = known.get(order, order)
    if wire not in known.values():
        raise ValueError(f"order {order!r} is not understood, expected one of {', '.join({**known, natural: ''})}")
    return tuple(wire.index(letter) for letter in natural)


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    dtype: str
    rows: npt.NDArray[np.intp]
    bytes: npt.NDArray[np.intp]
    shift: npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class Decoder:
    """The prepared decoding of an array: for each type, the rows and the matrix of byte positions to gather."""

    count: int
    groups: tuple[_Group, ...]

    @classmethod
    def of(cls, fields: Sequence[Field], places: Sequence[int]) -> Decoder:
        """The decoder of these fields (k rows) that begin at `places` in an array of registers (or of bits)."""
        by_type: dict[tuple[str, int], list[int]] = {}
        for row, field in enumerate(fields):
            by_type.setdefault((field.dtype, len(field.order)), []).append(row)
        groups = [_group(dtype, rows, fields, places) for (dtype, _), rows in by_type.items()]
        return cls(len(fields), tuple(groups))

    def decode(self, block: Registers | npt.NDArray[np.bool_]) -> tuple[F8, U4, tuple[tuple[int, str], ...]]:
        """Raw values f8[k] (NaN for texts), status u4[k], texts (row, text) of registers u2[m] or bits bool[m]."""
        raw = np.full(self.count, np.nan)
        status = np.zeros(self.count, np.uint32)
        texts: list[tuple[int, str]] = []
        wire = block if block.dtype == np.bool_ else block.astype(">u2").view(np.uint8)
        for group in self.groups:
            picked = wire[group.bytes]
            if group.dtype == "string":
                texts += [(int(r), text_of(b.tobytes())) for r, b in zip(group.rows, picked, strict=True)]
            elif group.dtype == "bool":
                raw[group.rows] = picked[:, 0]
            elif group.dtype == "bit":
                raw[group.rows] = (picked.view(">u2").ravel() >> group.shift) & 1
            else:
                raw[group.rows] = _numbers(picked.view(group.dtype).ravel(), group.rows, status, texts)
        return raw, status, tuple(texts)


def _group(dtype: str, rows: list[int], fields: Sequence[Field], places: Sequence[int]) -> _Group:
    if dtype == "bool":
        where = [[places[r]] for r in rows]
    else:
        where = [[2 * places[r] + p for p in fields[r].order] for r in rows]
    shift = np.array([fields[r].bit for r in rows], np.uint16)
    return _Group(dtype, np.array(rows, np.intp), np.array(where, np.intp), shift)


def _numbers(
    found: npt.NDArray[Any], rows: npt.NDArray[np.intp], status: U4, texts: list[tuple[int, str]]
) -> npt.NDArray[Any]:
    """A 64-bit integer that float64 cannot hold exactly travels as a text, and no model sees a number."""
    if found.dtype.kind not in "iu" or found.dtype.itemsize < 8:
        return found
    large = (found > EXACT) | (found < -EXACT) if found.dtype.kind == "i" else found > EXACT
    for i in np.flatnonzero(large):
        status[rows[i]] = quality.BAD_OUT_OF_RANGE
        texts.append((int(rows[i]), str(int(found[i]))))
    return np.where(large, np.nan, found.astype(np.float64))


def text_of(content: bytes) -> str:
    """The text in a string field: up to the first NUL, trailing blanks removed, UTF-8 (Latin-1 where it is not)."""
    content = content.split(b"\0", 1)[0].rstrip(b" ")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def encode(field: Field, raw: float | str) -> list[int]:
    """The registers of a raw value. ValueError says what does not fit, and what would."""
    value = _text_bytes(field, raw) if field.dtype == "string" else _number_bytes(field, raw)
    wire = bytearray(len(field.order))
    for byte, position in zip(value, field.order, strict=True):
        wire[position] = byte
    return [int.from_bytes(wire[i : i + 2], "big") for i in range(0, len(wire), 2)]


def _text_bytes(field: Field, raw: float | str) -> bytes:
    content = str(raw).encode()
    if len(content) > 2 * field.span:
        raise ValueError(f"{field.at}: {raw!r} has {len(content)} bytes, expected at most {2 * field.span}")
    return content.ljust(2 * field.span, b"\0")


def _number_bytes(field: Field, raw: float | str) -> bytes:
    dtype = np.dtype(field.dtype)
    number = float(raw)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            content = np.array(number, dtype)
        if not np.isfinite(content):
            raise ValueError(f"{field.at}: {raw} does not fit a float of {8 * dtype.itemsize} bits")
        return content.tobytes()
    limits = np.iinfo(dtype)
    whole = round(number)
    if not limits.min <= whole <= limits.max:
        raise ValueError(f"{field.at}: {raw} does not fit, expected {limits.min} to {limits.max}")
    return whole.to_bytes(dtype.itemsize, "big", signed=dtype.kind == "i")
