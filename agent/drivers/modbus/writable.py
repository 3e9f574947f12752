"""Which tags can be written, and what a write puts where. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.core.address import Table
from agent.core.nouns import Tag, Write
from agent.core.registers import Field, encode, field_of
from agent.core.scaling import raw_of

# Largest writes of the application protocol: 6.12 (FC 16), 6.11 (FC 15).
MAX_REGISTERS, MAX_COILS = 123, 1968
ARRAY = re.compile(r"(?P<element>.+)\[(?P<count>\d+)\]")
# What a tag may be less than a register, and a type that fills the register in its place.
PARTS = {"bit": ">u2", "i1": "i1", "u1": "u1"}


@dataclass(frozen=True, slots=True)
class Change:
    """Registers (or coils) to write from offset `start`; `mask`: only these bits of one register, the rest stays."""

    unit: int
    table: Table
    start: int
    values: tuple[int, ...]
    mask: int | None = None

    def done(self, found: Sequence[int]) -> bool:
        """Whether what is read back is what was written."""
        mask = 0xFFFF if self.mask is None else self.mask
        return [value & mask for value in found] == list(self.values)


def why_not_writable(field: Field, tag: Tag) -> str:
    """Why the protocol cannot write a tag; empty if it can."""
    if not field.at.table.writable:
        return f"address {tag.address!r} is marked writable, but {field.at.table.word} can only be read"
    limit = MAX_COILS if field.at.table.bits else MAX_REGISTERS
    if field.span > limit:
        return f"address {tag.address!r} is {field.span} long, expected at most {limit}: one request writes no more"
    if field.elements and field.elements[0].dtype in PARTS:
        return f"address {tag.address!r}: parts of registers are written one by one, expected no array of them"
    return ""


def change_of(tag: Tag, write: Write, unit: int, base: int) -> Change:
    """What a write puts where; `unit` and `base` as in field_of. ValueError says why the tag cannot take the value."""
    if not tag.writable:
        raise ValueError(f"{tag.id} is not marked writable")
    if why := why_not_writable(field_of(tag, unit, base), tag):
        raise ValueError(why)
    array = ARRAY.fullmatch(tag.type.strip())
    element = replace(tag, type=array["element"]) if array else tag
    field = field_of(element, unit, base)
    if array:
        values = _of_array(element, field, write, int(array["count"]))
    elif write.array is not None:
        raise ValueError(f"{tag.id} is one value, expected no array")
    elif field.dtype in PARTS:
        return _of_part(tag, field, write)
    else:
        values = _of_one(tag, field, write.value, write.text)
    return Change(field.at.unit or 0, field.at.table, field.at.offset, tuple(values))


def _of_array(element: Tag, field: Field, write: Write, count: int) -> list[int]:
    if write.array is None or len(write.array) != count:
        given = "one value" if write.array is None else f"{len(write.array)} values"
        raise ValueError(f"{element.id}: {given} for an array, expected {count}")
    limit = MAX_COILS if field.at.table.bits else MAX_REGISTERS
    if count * field.span > limit:
        raise ValueError(f"{element.id} is {count * field.span} long, expected at most {limit} in one write")
    named = [replace(element, id=f"{element.id}[{i}]") for i in range(count)]
    return [v for tag, value in zip(named, write.array, strict=True) for v in _of_one(tag, field, value, None)]


def _of_one(tag: Tag, field: Field, value: float, text: str | None) -> list[int]:
    if field.dtype == "string":
        if text is None:
            raise ValueError(f"{tag.id} is text, expected some")
        return encode(field, text)
    raw = raw_of(tag, value)
    return [_bit(tag, raw, value)] if field.dtype == "bool" else encode(field, raw)


def _of_part(tag: Tag, field: Field, write: Write) -> Change:
    """A bit or a byte of a register."""
    raw = raw_of(tag, write.value)
    whole = replace(field, dtype=PARTS[field.dtype])
    if field.dtype == "bit":
        mask = encode(whole, 1 << field.bit)[0]
        value = mask if _bit(tag, raw, write.value) else 0
    else:
        mask = encode(replace(field, dtype="u1"), 255)[0]
        value = encode(whole, raw)[0]
    return Change(field.at.unit or 0, field.at.table, field.at.offset, (value,), mask)


def _bit(tag: Tag, raw: float, value: float) -> int:
    if raw not in (0.0, 1.0):
        raise ValueError(f"{tag.id}: cannot write {value:g} to a bit, expected 0 or 1")
    return int(raw)
