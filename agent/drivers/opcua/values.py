"""OPC UA DataValues to columns: number or text, StatusCode and source time as the server gave them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from asyncua import ua

from agent.core import quality
from agent.core.nouns import F8, I8, U4, Kind, Tag

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EXACT = 2**53


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """As the server gave them: value f8[k] (NaN: none, or a text), status u4[k], source_ns i8[k], texts by row."""

    value: F8
    status: U4
    source_ns: I8
    texts: tuple[tuple[int, str], ...]


def raw_of(values: Sequence[ua.DataValue], tags: Sequence[Tag]) -> Raw:
    """The columns of k DataValues, one for each tag."""
    found = [_one(value, tag.kind is Kind.TEXT) for value, tag in zip(values, tags, strict=True)]
    return Raw(
        np.array([number for number, _, _ in found], np.float64),
        np.array([status for _, status, _ in found], np.uint32),
        np.array([utc_ns(v.SourceTimestamp) for v in values], np.int64),
        tuple((row, text) for row, (_, _, text) in enumerate(found) if text is not None),
    )


def utc_ns(stamp: datetime | None) -> int:
    """Nanoseconds since 1970 of an OPC UA time; 0 where there is none."""
    if stamp is None:
        return 0
    stamp = stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)
    return max(0, (stamp - EPOCH) // MICROSECOND * 1000)


def _one(value: ua.DataValue, wants_text: bool) -> tuple[float, int, str | None]:
    """(number, status, text) of one value. A Bad value has neither number nor text."""
    status = quality.GOOD if value.StatusCode is None else int(value.StatusCode.value)
    content = None if value.Value is None else value.Value.Value
    if quality.is_bad(status):
        return math.nan, status, None
    if content is None:
        return math.nan, quality.BAD_NO_DATA, None
    if wants_text:
        text = _text(content)
        return (math.nan, quality.BAD_TYPE_MISMATCH, None) if text is None else (math.nan, status, text)
    if isinstance(content, bool | int | float):
        if isinstance(content, int) and abs(content) > EXACT:
            return math.nan, quality.BAD_OUT_OF_RANGE, str(content)
        return float(content), status, None
    return math.nan, quality.BAD_TYPE_MISMATCH, None


def _text(content: object) -> str | None:
    if isinstance(content, str):
        return content
    if isinstance(content, ua.LocalizedText):
        return content.Text or ""
    if isinstance(content, datetime):
        return content.isoformat()
    return str(content) if isinstance(content, bool | int | float) else None
