"""Protobuf messages read strictly by a description of their fields (https://protobuf.dev/programming-guides/encoding).

Two readers that understand the same bytes differently are a way past a check. So nothing is passed over: a field that
is not described, has another wire type than described, or stands twice where one is expected, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_FIELDS = 1_000_000

WHOLE, SINGLE, DOUBLE, TEXT, OCTETS, SKIPPED = "whole", "single", "double", "text", "octets", "skipped"
WIRE = {WHOLE: 0, DOUBLE: 1, SINGLE: 5}
WIDTH = {1: 8, 5: 4}
FORMAT = {SINGLE: "<f4", DOUBLE: "<f8"}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message. kind: one of the words above, or the fields of a message inside by number.

    many: a list (numbers packed or not). WHOLE is a signed integer of 64 bits. SKIPPED is bytes, not looked into.
    """

    name: str
    kind: str | Mapping[int, Field]
    many: bool = False


Fields = Mapping[int, Field]


@dataclass(slots=True)
class Budget:
    """How many fields may still be read: a file of 16 MiB could have 8 million."""

    left: int = MOST_FIELDS


def parse(message: memoryview, fields: Fields, what: str, budget: Budget) -> dict[str, Any]:
    """The fields of a message by name, those that are `many` as lists; ValueError says what is wrong, of `what`."""
    found: dict[str, Any] = {field.name: [] for field in fields.values() if field.many}
    at, end = 0, len(message)
    while at < end:
        budget.left -= 1
        if budget.left < 0:
            raise ValueError(f"it has more than {MOST_FIELDS} fields")
        key, at = _varint(message, at, what)
        field, wire = fields.get(key >> 3), key & 7
        if field is None:
            raise ValueError(f"{what} has a field {key >> 3} that is not known here")
        raw: int | memoryview
        if wire == 0:
            raw, at = _varint(message, at, what)
        else:
            size, at = _varint(message, at, what) if wire == 2 else (WIDTH.get(wire, -1), at)
            if not 0 <= size <= end - at:
                raise ValueError(f"{what} is cut short, or no protobuf message")
            raw, at = message[at : at + size], at + size
        _take(found, field, wire, raw, what, budget)
    return found


def _take(found: dict[str, Any], field: Field, wire: int, raw: int | memoryview, what: str, budget: Budget) -> None:
    """Put what stands in a field to what was found before."""
    if isinstance(field.kind, str) and field.many and wire == 2 and field.kind in WIRE and isinstance(raw, memoryview):
        found[field.name] += _packed(raw, field.kind, what)
        return
    if wire != (WIRE.get(field.kind, 2) if isinstance(field.kind, str) else 2):
        raise ValueError(f"{field.name} of {what} has wire type {wire}")
    value = _value(field, raw, what, budget)
    if field.many:
        found[field.name].append(value)
    elif field.name in found:
        raise ValueError(f"{what} has its {field.name} twice")
    else:
        found[field.name] = value


def _value(field: Field, raw: int | memoryview, what: str, budget: Budget) -> Any:
    if isinstance(raw, int):
        return raw - 2**64 if raw >= 2**63 else raw
    if not isinstance(field.kind, str):
        return parse(raw, field.kind, field.name, budget)
    if field.kind == TEXT:
        try:
            return bytes(raw).decode()
        except UnicodeDecodeError:
            raise ValueError(f"{field.name} of {what} is not UTF-8") from None
    if field.kind in FORMAT:
        return float(np.frombuffer(raw, FORMAT[field.kind])[0])
    return raw


def _packed(raw: memoryview, kind: str, what: str) -> list[Any]:
    if kind == WHOLE:
        return list(_varints(np.frombuffer(raw, np.uint8), what).tolist())
    if len(raw) % WIDTH[WIRE[kind]]:
        raise ValueError(f"{what} is cut short, or no protobuf message")
    return list(np.frombuffer(raw, FORMAT[kind]).tolist())


def _varints(octets: npt.NDArray[np.uint8], what: str) -> npt.NDArray[np.int64]:
    """All varints of a packed field at once: seven bits a byte, least significant first, the last byte below 128."""
    if not len(octets):
        return np.zeros(0, np.int64)
    ends = np.flatnonzero(octets < 128)
    starts = np.concatenate([[0], ends + 1])
    if starts[-1] != len(octets) or np.diff(starts).max() > 10:
        raise ValueError(f"{what} is cut short, or no protobuf message")
    place = np.arange(len(octets)) - np.repeat(starts[:-1], np.diff(starts))
    bits = (octets & np.uint8(127)).astype(np.uint64) << (7 * place).astype(np.uint64)
    return np.add.reduceat(bits, starts[:-1]).view(np.int64)


def _varint(message: memoryview, at: int, what: str) -> tuple[int, int]:
    value = 0
    for i in range(10):
        if at + i >= len(message):
            break
        byte = message[at + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            if value >= 2**64:
                break
            return value, at + i + 1
    raise ValueError(f"{what} is cut short, or no protobuf message")
