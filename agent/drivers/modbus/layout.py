"""How the answers to all requests of a scan class become columns: one gather and one scaling for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from agent.core import quality
from agent.core.blocks import Block
from agent.core.decoding import Decoder, Texts
from agent.core.nouns import F8, I4, I8, U4
from agent.core.registers import Field
from agent.core.scaling import Scaling, engineering

Rows = npt.NDArray[np.intp]
Arrays = tuple[tuple[int, F8], ...]
D = TypeVar("D", np.uint16, np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of one request: the values read, `count` of them, or a Bad `status` and none; when, on our axis."""

    values: Sequence[int] | npt.NDArray[np.generic]
    status: int
    t_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """tag i4[k], value f8[k], status u4[k], t_ns i8[k]; texts and arrays by row."""

    tag: I4
    value: F8
    status: U4
    t_ns: I8
    texts: Texts
    arrays: Arrays


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Made for a list of blocks: those of registers (`words`) lie end to end in one array, those of bits in another.

    Row k belongs to the request `owner[k]` and to the tag `tag[k]`; the rows of registers stand first. What is decoded
    are single numbers: row k is the number `first[k]`, or an array of `length[k]` of them from there.
    """

    blocks: tuple[Block, ...]
    words: tuple[int, ...]
    bits: tuple[int, ...]
    word_decoder: Decoder
    bit_decoder: Decoder
    tag: I4
    owner: Rows
    first: Rows
    length: Rows
    scaling: Scaling

    @classmethod
    def of(cls, blocks: Sequence[Block], fields: Sequence[Field], tags: I4, scaling: Scaling) -> Layout:
        """The layout of blocks whose rows index `fields`, `tags` and `scaling`."""
        words = tuple(i for i, b in enumerate(blocks) if not b.table.bits)
        bits = tuple(i for i, b in enumerate(blocks) if b.table.bits)
        order = [blocks[i] for i in words + bits]
        rows = np.array([row for b in order for row in b.rows], np.intp)
        owner = np.repeat(np.array(words + bits, np.intp), [len(b.rows) for b in order])
        length = np.array([len(fields[row].elements) for row in rows], np.intp)
        numbers = np.maximum(length, 1)
        return cls(
            tuple(blocks),
            words,
            bits,
            _decoder([blocks[i] for i in words], fields),
            _decoder([blocks[i] for i in bits], fields),
            tags[rows],
            owner,
            np.cumsum(numbers) - numbers,
            length,
            scaling.take(np.repeat(rows, numbers)),
        )

    def columns(self, outcomes: Sequence[Outcome | None]) -> Columns:
        """The columns of one poll, from the outcome of each block in the order of the layout; None is left out."""
        raw, status, texts = self.word_decoder.decode(self._joined(self.words, outcomes, np.uint16))
        if self.bits:
            more, good, _ = self.bit_decoder.decode(self._joined(self.bits, outcomes, np.bool_))
            raw, status = np.concatenate([raw, more]), np.concatenate([status, good])
        value, status = engineering(raw, status, self.scaling, texts)
        arrays: Arrays = ()
        if self.length.any():
            value, status, texts, arrays = self._gathered(value, status, texts)
        lost = np.array([0 if o is None else o.status for o in outcomes], np.uint32)[self.owner]
        t_ns = np.array([0 if o is None else o.t_ns for o in outcomes], np.int64)[self.owner]
        found = Columns(self.tag, value, status, t_ns, texts, arrays)
        if lost.any():
            found = _marked(found, lost)
        return found if None not in outcomes else _picked(found, t_ns != 0)

    def _joined(self, which: Sequence[int], outcomes: Sequence[Outcome | None], dtype: type[D]) -> npt.NDArray[D]:
        """The values of some blocks end to end, zeros where there are none."""
        if not which:
            return np.zeros(0, dtype)
        return np.concatenate([_filled(self.blocks[i], outcomes[i], dtype) for i in which])

    def _gathered(self, value: F8, status: U4, texts: Texts) -> tuple[F8, U4, Texts, Arrays]:
        """Numbers as rows: an array has the worst status of its elements, and no value unless that is Bad."""
        row_of = {int(n): k for k, n in enumerate(self.first) if not self.length[k]}
        out, worst, arrays = value[self.first], status[self.first], []
        for k in np.flatnonzero(self.length):
            part = slice(self.first[k], self.first[k] + self.length[k])
            out[k], worst[k] = np.nan, status[part].max()  # severity is in the highest bits
            if not quality.is_bad(int(worst[k])):
                arrays.append((int(k), value[part].copy()))
        return out, worst, tuple((row_of[n], text) for n, text in texts if n in row_of), tuple(arrays)


def _marked(found: Columns, lost: U4) -> Columns:
    """Columns in which the rows of requests that failed carry the status of their request."""
    gone = lost != 0
    return Columns(
        found.tag,
        np.where(gone, np.nan, found.value),
        np.where(gone, lost, found.status).astype(np.uint32),
        found.t_ns,
        tuple((row, text) for row, text in found.texts if not gone[row]),
        tuple((row, array) for row, array in found.arrays if not gone[row]),
    )


def _picked(found: Columns, keep: npt.NDArray[np.bool_]) -> Columns:
    """Some rows of columns."""
    row = np.cumsum(keep) - 1
    return Columns(
        found.tag[keep],
        found.value[keep],
        found.status[keep],
        found.t_ns[keep],
        tuple((int(row[k]), text) for k, text in found.texts if keep[k]),
        tuple((int(row[k]), array) for k, array in found.arrays if keep[k]),
    )


def _decoder(blocks: Sequence[Block], fields: Sequence[Field]) -> Decoder:
    """The decoder of all numbers in blocks that lie end to end."""
    numbers: list[Field] = []
    places: list[int] = []
    end = 0
    for block in blocks:
        mine = [one for row in block.rows for one in (fields[row].elements or (fields[row],))]
        numbers += mine
        places += [end + one.at.offset - block.start for one in mine]
        end += block.count
    return Decoder.of(numbers, places)


def _filled(block: Block, outcome: Outcome | None, dtype: type[D]) -> npt.NDArray[D]:
    if outcome is None or outcome.status != quality.GOOD:
        return np.zeros(block.count, dtype)
    return np.asarray(outcome.values, dtype)
