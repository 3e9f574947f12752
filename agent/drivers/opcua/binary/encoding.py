"""A value to be written, in the type that the node has. Pure but for the library's Variant."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from asyncua import ua

from agent.core.nouns import Kind, Tag, Write
from agent.core.scaling import raw_of
from agent.drivers.opcua.binary.builtin import T

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INTEGERS = {
    T.SBYTE: (-(2**7), 2**7 - 1),
    T.BYTE: (0, 2**8 - 1),
    T.INT16: (-(2**15), 2**15 - 1),
    T.UINT16: (0, 2**16 - 1),
    T.INT32: (-(2**31), 2**31 - 1),
    T.UINT32: (0, 2**32 - 1),
    T.INT64: (-(2**63), 2**63 - 1),
    T.UINT64: (0, 2**64 - 1),
}


def variant(tag: Tag, write: Write, kind: int, dims: tuple[int, ...] | None, element: bool) -> ua.Variant:
    """The value of a write in the builtin type `kind`, for a scalar, an array of `dims`, or one element of it.

    ValueError says what does not fit, and what would.
    """
    of = ua.VariantType(kind)
    if tag.kind is Kind.ARRAY:
        if dims is None or element:
            raise ValueError(
                f"{tag.id}: the node holds no array there, expected a tag of type {tag.type.split('[')[0]}"
            )
        return _array(tag, write.array, kind, dims)
    if dims is not None and not element:
        raise ValueError(f"{tag.id}: the node holds an array, expected a tag of type {tag.type}[] or an element #[0]")
    value = _text(tag, write.text or "", kind) if tag.kind is Kind.TEXT else _number(tag, write.value, kind)
    return ua.Variant([value], of, is_array=True) if element else ua.Variant(value, of)


def _array(tag: Tag, values: tuple[float, ...] | None, kind: int, dims: tuple[int, ...]) -> ua.Variant:
    if values is None:
        raise ValueError(f"{tag.id}: expected an array")
    size = int(np.prod(dims))
    if len(values) != size and (len(dims) > 1 or not tag.type.endswith("[]")):
        raise ValueError(f"{tag.id}: {len(values)} values, expected {size} as the node holds now")
    made = [_number(tag, value, kind) for value in values]
    return ua.Variant(made, ua.VariantType(kind), list(dims) if len(dims) > 1 else None, is_array=True)


def _number(tag: Tag, value: float, kind: int) -> Any:
    raw = raw_of(tag, value)
    if kind == T.BOOLEAN:
        if raw not in (0.0, 1.0):
            raise ValueError(f"{tag.id}: cannot write {value:g} to a boolean, expected 0 or 1")
        return bool(raw)
    if kind in INTEGERS:
        lo, hi = INTEGERS[T(kind)]
        if not lo <= round(raw) <= hi:
            name = ua.VariantType(kind).name
            raise ValueError(f"{tag.id}: {value:g} does not fit {name}, expected {lo} to {hi}")
        return round(raw)
    if kind in (T.FLOAT, T.DOUBLE):
        return float(np.float32(raw)) if kind == T.FLOAT else raw
    if kind == T.DATETIME:
        return EPOCH + timedelta(seconds=raw)
    raise ValueError(f"{tag.id}: the node holds {ua.VariantType(kind).name}, expected a number, boolean or time")


def _text(tag: Tag, text: str, kind: int) -> Any:
    if kind not in TEXTS:
        raise ValueError(
            f"{tag.id}: the node holds {ua.VariantType(kind).name}, expected a text, time, ByteString or Guid"
        )
    try:
        return TEXTS[kind](text)
    except ValueError as error:
        raise ValueError(f"{tag.id}: {text!r} is no {ua.VariantType(kind).name}: {error}") from error


def _time(text: str) -> datetime:
    stamp = datetime.fromisoformat(text)
    return stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)


TEXTS: dict[int, Callable[[str], Any]] = {
    T.STRING: str,
    T.LOCALIZED_TEXT: ua.LocalizedText,
    T.DATETIME: _time,
    T.BYTESTRING: bytes.fromhex,
    T.GUID: uuid.UUID,
}
