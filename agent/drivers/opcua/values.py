"""What a server sent, as columns of tags: number, text or array, with StatusCode and stamps as the server gave them.

    number tags   numbers, booleans, enumerations, StatusCodes; a DateTime in seconds since 1970
    text tags     texts; a DateTime in ISO 8601, a ByteString in hex, a structure or an array as JSON
    array tags    arrays of numbers, a matrix row by row; a length in the tag's type is a promise

Another type than the tag's is BadTypeMismatch; an integer that a float64 cannot hold is BadOutOfRange, its text beside.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.core import quality
from agent.core.nouns import F8, I8, U4, Batch, Kind, Tag
from agent.core.scaling import Scaling, engineering
from agent.drivers.opcua import members
from agent.drivers.opcua.binary.builtin import MalformedError, NodeId, T, Ticks, Variant
from agent.drivers.opcua.binary.messages import LARGEST_EXACT, OTHER, Samples
from agent.drivers.opcua.binary.structures import Types, UnknownTypeError, as_json, opened
from agent.drivers.opcua.items import Rows
from agent.drivers.opcua.members import Member
from agent.drivers.opcua.node import address_of

LENGTH = re.compile(r"\[(\d*)\]$")
Beside = str | F8


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """Columns of k tags as the server gave them.

    value f8[k] (NaN: none, or it is beside), status u4[k], source_ns, server_ns i8[k]; `beside`: (row, text or f8[m]).
    """

    value: F8
    status: U4
    source_ns: I8
    server_ns: I8
    beside: tuple[tuple[int, Beside], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """What n tags want: kind, the part of the value, and the length of an array (-1: any).

    `plain` bool[n]: a number, and all of the value.
    """

    ids: tuple[str, ...]
    kinds: tuple[Kind, ...]
    members: tuple[Member, ...]
    lengths: tuple[int, ...]
    plain: np.ndarray[tuple[int], np.dtype[np.bool_]]


def wanted(tags: Sequence[Tag], wrong: frozenset[int] = frozenset()) -> Wanted:
    """The columns of these tags; rows in `wrong` have an address that cannot be read."""
    kinds = tuple(tag.kind for tag in tags)
    parts = tuple(() if row in wrong else address_of(tag.address).member for row, tag in enumerate(tags))
    plain = [kind in (Kind.NUMBER, Kind.ENUMERATION) and not part for kind, part in zip(kinds, parts, strict=True)]
    lengths = tuple(_length(tag) for tag in tags)
    return Wanted(tuple(tag.id for tag in tags), kinds, parts, lengths, np.array(plain, np.bool_))


def _length(tag: Tag) -> int:
    found = LENGTH.search(tag.type)
    return int(found[1]) if found and found[1] else -1


def raw_of(
    samples: Samples, place: Rows, rows: Rows, want: Wanted, types: Types, trouble: Callable[[int, str], None]
) -> Raw:
    """The columns of tags `rows`, each from the sample in `place`. `trouble(tag, text)` hears what a value lacks."""
    kind, status, value = samples.kind[place], samples.status[place], samples.number[place]
    bad = quality.bad_mask(status)
    value[bad] = math.nan
    status[~bad & (kind == T.NULL)] = quality.BAD_NO_DATA
    beside = list[tuple[int, Beside]]()
    for i in np.flatnonzero(~bad & (kind != T.NULL) & ((kind == OTHER) | ~want.plain[rows])):
        at, row = int(place[i]), int(rows[i])
        variant = samples.others.get(at) or _number(int(kind[i]), float(value[i]))
        value[i], word, found = _one(variant, row, want, types, trouble)
        status[i] = word or status[i]
        if found is not None:
            beside.append((int(i), found))
    return Raw(value, status, samples.source_ns[place], samples.server_ns[place], tuple(beside))


def batch_of(source: str, rows: Rows, raw: Raw, t_ns: I8, scaling: Scaling) -> Batch:
    """Raw columns of k tags in engineering units, with their stamps on our axis.

    An array has the worst status of its elements, and no value where that is Bad.
    """
    value, status = engineering(raw.value, raw.status, scaling, tuple((i, "") for i, _ in raw.beside))
    texts = tuple((i, content) for i, content in raw.beside if isinstance(content, str))
    arrays = []
    for i, content in raw.beside:
        if isinstance(content, str) or not len(content):
            continue
        alike = scaling.take(np.full(len(content), i, np.intp))
        elements, each = engineering(content, np.full(len(content), raw.status[i], np.uint32), alike)
        status[i] = each.max()  # severity is in the highest bits
        if not quality.is_bad(int(status[i])):
            arrays.append((i, elements))
    return Batch(source, rows.astype(np.int32), value, status, t_ns, raw.source_ns, texts, tuple(arrays), raw.server_ns)


def variant_at(samples: Samples, row: int) -> Variant | None:
    """The value of one row as it came; None where there is none."""
    if samples.kind[row] == T.NULL:
        return None
    return samples.others.get(row) or _number(int(samples.kind[row]), float(samples.number[row]))


def _number(kind: int, value: float) -> Variant:
    """A number that stood in a column, as it was."""
    if kind == T.BOOLEAN:
        return Variant(kind, bool(value))
    return Variant(kind, value if kind in (T.FLOAT, T.DOUBLE) else int(value))


def _one(
    variant: Variant, row: int, want: Wanted, types: Types, trouble: Callable[[int, str], None]
) -> tuple[float, int, Beside | None]:
    """(number, status or 0, text or array) of one value for one tag."""
    try:
        content = members.pick(opened(variant, types), want.members[row])
    except (LookupError, MalformedError) as error:
        if isinstance(error, UnknownTypeError):
            types.missed.add(error.encoding)
        trouble(row, str(error))
        return math.nan, quality.BAD_TYPE_MISMATCH, None
    if content is None:
        return (math.nan, 0, "") if _is_empty(variant, want, row) else (math.nan, quality.BAD_NO_DATA, None)
    whole = not want.members[row]
    if want.kinds[row] is Kind.TEXT:
        return math.nan, 0, quality.name(content) if whole and variant.type == T.STATUSCODE else text_of(content)
    value, status, beside = _array(content, want.lengths[row]) if want.kinds[row] is Kind.ARRAY else _scalar(content)
    if status == quality.BAD_TYPE_MISMATCH:
        trouble(row, f"{shown(content)} came, expected {_expected(want, row)}")
    return value, status, beside


def _is_empty(variant: Variant, want: Wanted, row: int) -> bool:
    return variant.type == T.LOCALIZED_TEXT and want.kinds[row] is Kind.TEXT and not want.members[row]


def _expected(want: Wanted, row: int) -> str:
    if want.kinds[row] is Kind.ARRAY:
        return f"an array of {want.lengths[row]} numbers" if want.lengths[row] >= 0 else "an array of numbers"
    return "a number"


def shown(content: Any) -> str:
    """What sort of value it is, in words."""
    words = {str: "a text", dict: "a structure", bytes: "a ByteString", uuid.UUID: "a Guid", NodeId: "a NodeId"}
    if isinstance(content, list):
        return f"an array of {len(content)}"
    return words.get(type(content), "a number")


def text_of(content: Any) -> str:
    """A decoded value as text."""
    if isinstance(content, str):
        return content
    if isinstance(content, bytes):
        return content.hex()
    return as_json(content) if isinstance(content, dict | list) else str(content)


def _scalar(content: Any) -> tuple[float, int, str | None]:
    if isinstance(content, Ticks):
        return content.unix_s, 0, None
    if isinstance(content, bool | float):
        return float(content), 0, None
    if isinstance(content, int):
        large = abs(content) > LARGEST_EXACT
        return (math.nan, quality.BAD_OUT_OF_RANGE, str(content)) if large else (float(content), 0, None)
    return math.nan, quality.BAD_TYPE_MISMATCH, None


def _array(content: Any, length: int) -> tuple[float, int, F8 | None]:
    flat = list(_leaves(content)) if isinstance(content, list) else None
    if flat is None or not all(isinstance(v, bool | int | float) for v in flat) or length not in (-1, len(flat)):
        return math.nan, quality.BAD_TYPE_MISMATCH, None
    if any(isinstance(v, int) and not isinstance(v, Ticks) and abs(v) > LARGEST_EXACT for v in flat):
        return math.nan, quality.BAD_OUT_OF_RANGE, None
    return math.nan, 0, np.array([v.unix_s if isinstance(v, Ticks) else v for v in flat], np.float64)


def _leaves(content: list[Any]) -> list[Any]:
    return [leaf for v in content for leaf in (_leaves(v) if isinstance(v, list) else [v])]
