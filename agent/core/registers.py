"""What lies in Modbus registers: the types, and the vectorised decoding of whole blocks.

int16 uint16 int32 uint32 int64 uint64     numbers of 1, 2 or 4 registers, their bytes as the order says (byteorder.py)
float16 float32 float64                    IEEE 754
int8h uint8h int8l uint8l                  the high or the low byte of one register
bcd16 bcd32                                4 or 8 decimal digits, four bits each; a digit over 9 is Bad
bit0..bit15, uint16.3, bool                one bit of a register, 0 the least significant (bool: bit 0)
string(16)                                 16 bytes, two a register: the high byte first, or the low one (BADC)

Fixed point is an integer with a `scale`.
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
from agent.core.byteorder import positions
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
    "float16": ">f2",
    "float32": ">f4",
    "float64": ">f8",
}
# Which byte of a register, the more significant first.
BYTES = {"int8h": ("i1", 0), "uint8h": ("u1", 0), "int8l": ("i1", 1), "uint8l": ("u1", 1)}
DECIMALS = {"bcd16": 2, "bcd32": 4}
EXACT = 2**53
FORM = re.compile(r"(?P<name>[a-z]+[0-9]*?)(?:\.(?P<bit>\d+)|\((?P<chars>\d+)\))?")
BIT = re.compile(r"bit(\d+)")
EXPECTED = (
    f"expected bool, bit0..bit15, {', '.join([*NUMBERS, *BYTES, *DECIMALS])}, "
    "uint16.3 (bit 3 of a register) or string(16)"
)


@dataclass(frozen=True, slots=True)
class Field:
    """Where and how one tag lies: `span` registers (or bits) from `at`.

    dtype: a numpy type of one big-endian number, "bcd", "bool", "bit" or "string". order: for each byte of the value,
    most significant first, its position among the bytes read.
    """

    at: Address
    span: int
    dtype: str
    order: tuple[int, ...] = ()
    bit: int = 0


def field_of(tag: Tag, unit: int, base: int = 0) -> Field:
    """Where and how a tag lies, on `unit` unless its address says another; `base` as in address.parse.

    ValueError says what is wrong with it.
    """
    at = parse(tag.address, base)
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
    if kind in BYTES:
        dtype, byte = BYTES[kind]
        return Field(at, 1, dtype, (positions(order, 2)[byte],))
    if kind in DECIMALS:
        return Field(at, DECIMALS[kind] // 2, "bcd", positions(order, DECIMALS[kind]))
    if (bit := _bit(kind)) is not None:
        return Field(at, 1, "bit", positions(order, 2), bit)
    match = FORM.fullmatch(kind)
    if match and match["name"] == "string" and match["chars"] and 1 <= int(match["chars"]) <= 250:
        chars = int(match["chars"])
        span = (chars + 1) // 2
        return Field(at, span, "string", tuple(2 * r + p for r in range(span) for p in positions(order, 2))[:chars])
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
            elif group.dtype == "bcd":
                raw[group.rows] = _decimal(picked.view(np.uint8), group.rows, status)
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


def _decimal(picked: U1, rows: npt.NDArray[np.intp], status: U4) -> F8:
    """Binary coded decimals f8[k] of bytes u1[k, n], two digits each; NaN and Bad where a digit is over 9.

    value = Σ digit · 10^place
    """
    digits = np.stack([picked >> 4, picked & 15], axis=2).reshape(len(picked), -1)
    wrong = (digits > 9).any(axis=1)
    status[rows[wrong]] = quality.BAD_OUT_OF_RANGE
    value = digits @ 10.0 ** np.arange(digits.shape[1])[::-1]
    return np.where(wrong, np.nan, value)


def text_of(content: bytes) -> str:
    """The text in a string field: up to the first NUL, trailing blanks removed, UTF-8 (Latin-1 where it is not)."""
    content = content.split(b"\0", 1)[0].rstrip(b" ")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def encode(field: Field, raw: float | str) -> list[int]:
    """The registers of a raw value, 0 in bytes it does not fill. ValueError says what does not fit, and what would."""
    made = {"string": _text_bytes, "bcd": _decimal_bytes}.get(field.dtype, _number_bytes)
    value = made(field, raw)
    wire = bytearray(2 * field.span)
    for byte, position in zip(value, field.order, strict=True):
        wire[position] = byte
    return [int.from_bytes(wire[i : i + 2], "big") for i in range(0, len(wire), 2)]


def _text_bytes(field: Field, raw: float | str) -> bytes:
    content = str(raw).encode()
    longest = len(field.order)
    if len(content) > longest:
        raise ValueError(f"{field.at}: {raw!r} has {len(content)} bytes, expected at most {longest}")
    return content.ljust(longest, b"\0")


def _decimal_bytes(field: Field, raw: float | str) -> bytes:
    digits = 2 * len(field.order)
    return bytes.fromhex(f"{_whole(field, raw, 0, 10**digits - 1):0{digits}}")


def _number_bytes(field: Field, raw: float | str) -> bytes:
    dtype = np.dtype(field.dtype)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            content = np.array(float(raw), dtype)
        if not np.isfinite(content):
            raise ValueError(f"{field.at}: {raw} does not fit a float of {8 * dtype.itemsize} bits")
        return content.tobytes()
    whole = _whole(field, raw, int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    return whole.to_bytes(dtype.itemsize, "big", signed=dtype.kind == "i")


def _whole(field: Field, raw: float | str, lo: int, hi: int) -> int:
    """The nearest whole number; a float beyond all limits has none."""
    number = float(raw)
    if not lo - 1 < number < hi + 1 or not lo <= (whole := round(number)) <= hi:
        raise ValueError(f"{field.at}: {raw} does not fit, expected {lo} to {hi}")
    return whole
