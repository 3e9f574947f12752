"""The vectorised decoding of whole blocks: one gather for all fields of a type, whatever their order and place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.core import quality
from agent.core.nouns import F8, U4
from agent.core.registers import Field

U1 = npt.NDArray[np.uint8]
Registers = npt.NDArray[np.uint16]
Texts = tuple[tuple[int, str], ...]

EXACT = 2**53


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
        """The decoder of these single fields (k rows) that begin at `places` in an array of registers (or of bits)."""
        by_type: dict[tuple[str, int], list[int]] = {}
        for row, field in enumerate(fields):
            by_type.setdefault((field.dtype, len(field.order)), []).append(row)
        groups = [_group(dtype, rows, fields, places) for (dtype, _), rows in by_type.items()]
        return cls(len(fields), tuple(groups))

    def decode(self, block: Registers | npt.NDArray[np.bool_]) -> tuple[F8, U4, Texts]:
        """Raw values f8[k] (NaN for texts), status u4[k], texts (row, text) of registers u2[m] or bits bool[m]."""
        raw = np.full(self.count, np.nan)
        status = np.zeros(self.count, np.uint32)
        texts: list[tuple[int, str]] = []
        wire = block if block.dtype == np.bool_ else block.astype(">u2").view(np.uint8)
        with np.errstate(invalid="ignore"):  # a signalling NaN is told of when it becomes a float64
            for group in self.groups:
                _decode(group, wire[group.bytes], raw, status, texts)
        return raw, status, tuple(texts)


def _decode(group: _Group, picked: npt.NDArray[Any], raw: F8, status: U4, texts: list[tuple[int, str]]) -> None:
    """The rows of one type, from their bytes u1[k, n] (or bits bool[k, 1])."""
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
