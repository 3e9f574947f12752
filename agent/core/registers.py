"""What lies in Modbus registers: the types, where each lies, and the registers that carry a value.

int16 uint16 int32 uint32 int64 uint64     numbers of 1, 2 or 4 registers, their bytes as the order says (byteorder.py)
float16 float32 float64                    IEEE 754
int8h uint8h int8l uint8l                  the high or the low byte of one register; int8 and uint8 are the low byte
bcd16 bcd32                                4 or 8 decimal digits, four bits each; a digit over 9 is Bad
bit0..bit15, uint16.3, bool                one bit of a register, 0 the least significant (bool: bit 0)
string(16)                                 16 bytes, two a register: the high byte first, or the low one (BADC)
bool                                       one coil or discrete input

Fixed point is an integer with a `scale`: 0.01 for two decimals. An enumeration is an integer with words.

An array such as float32[8] is values of that type in the registers (or bits) that follow one another. Two are packed:
uint8[6] and int8[6] as the bytes of a string, two a register, and bool[20] as the bits of registers, 16 each, from the
least significant one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from agent.core.address import Address, parse
from agent.core.byteorder import positions
from agent.core.nouns import Tag

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
BYTES = {
    "int8": ("i1", 1),
    "uint8": ("u1", 1),
    "int8h": ("i1", 0),
    "uint8h": ("u1", 0),
    "int8l": ("i1", 1),
    "uint8l": ("u1", 1),
}
PACKED = {"int8": "i1", "uint8": "u1"}
DECIMALS = {"bcd16": 2, "bcd32": 4}
CACHED = 4096  # fields that are not made anew when a driver starts again
MOST = 2000  # elements of an array: no request reads more
FORM = re.compile(r"(?P<name>[a-z]+[0-9]*?)(?:\.(?P<bit>\d+)|\((?P<chars>\d+)\))?")
BIT = re.compile(r"bit(\d+)")
EXPECTED = (
    f"expected bool, bit0..bit15, {', '.join([*NUMBERS, *BYTES, *DECIMALS])}, "
    "uint16.3 (bit 3 of a register), string(16), or an array such as float32[8]"
)
ARRAY = re.compile(r"(?P<element>.+)\[(?P<count>\d*)\]")


@dataclass(frozen=True, slots=True)
class Field:
    """Where and how one tag lies: `span` registers (or bits) from `at`.

    dtype: a numpy type of one big-endian number, "bcd", "bool", "bit" or "string"; "array" where it has `elements`.
    order: for each byte of the value, most significant first, its position among the bytes read.
    """

    at: Address
    span: int
    dtype: str
    order: tuple[int, ...] = ()
    bit: int = 0
    elements: tuple[Field, ...] = ()


def field_of(tag: Tag, unit: int, base: int = 0) -> Field:
    """Where and how a tag lies, on `unit` unless its address says another; `base` as in address.parse.

    ValueError says what is wrong with it.
    """
    return _field(tag.address, tag.type.strip(), tag.order.strip().upper(), unit, base)


@lru_cache(CACHED)
def _field(address: str, kind: str, order: str, unit: int, base: int) -> Field:
    at = parse(address, base)
    at = Address(unit if at.unit is None else at.unit, at.table, at.offset)
    array = ARRAY.fullmatch(kind)
    field = _single(at, kind, order) if array is None else _array(at, array["element"], array["count"], order)
    if at.offset + field.span > 0x10000:
        what = "bits" if at.table.bits else "registers"
        raise ValueError(f"address {address!r}: {kind} needs {field.span} {what}, beyond offset 65535")
    return field


def _single(at: Address, kind: str, order: str) -> Field:
    if not at.table.bits:
        return _of_registers(at, kind, order)
    if kind != "bool":
        raise ValueError(f"address '{at}': type {kind!r} does not lie in {at.table.word}, expected bool")
    return Field(at, 1, "bool")


def _array(at: Address, element: str, count: str, order: str) -> Field:
    """An array: `count` fields, one after another."""
    n = int(count or 0)
    if not 1 <= n <= MOST or element.startswith("string"):
        raise ValueError(f"type '{element}[{count}]' is not understood, expected 1 to {MOST} numbers, as in float32[8]")
    if element == "bool" and not at.table.bits:
        swapped = positions(order, 2)
        elements = tuple(Field(_after(at, i // 16), 1, "bit", swapped, i % 16) for i in range(n))
    elif element in PACKED and not at.table.bits:
        swapped = positions(order, 2)
        elements = tuple(Field(_after(at, i // 2), 1, PACKED[element], (swapped[i % 2],)) for i in range(n))
    else:
        span = _single(at, element, order).span
        elements = tuple(_single(_after(at, i * span), element, order) for i in range(n))
    last = elements[-1]
    return Field(at, last.at.offset + last.span - at.offset, "array", elements=elements)


def _after(at: Address, count: int) -> Address:
    return Address(at.unit, at.table, at.offset + count)


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


def encode(field: Field, raw: float | str) -> list[int]:
    """The registers of a raw value, 0 in bytes it does not fill. ValueError says what does not fit, and what would."""
    if field.elements:
        raise ValueError(f"{field.at}: an array cannot be written, expected a single value")
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
