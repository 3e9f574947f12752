"""How the answers to all requests of a scan class become columns: one gather and one scaling for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.core.blocks import Block
from agent.core.nouns import F8, I4, I8, U4
from agent.core.registers import Decoder, Field
from agent.core.scaling import Scaling, engineering


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request: the values read, `count` of them, or a Bad `status` and none; when, on our axis."""

    block: Block
    values: npt.NDArray[Any]
    status: int
    t_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """tag i4[k], value f8[k], status u4[k], t_ns i8[k], texts by row."""

    tag: I4
    value: F8
    status: U4
    t_ns: I8
    texts: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Made for a list of blocks: those of registers (`words`) lie end to end in one array, those of bits in another.

    Row k belongs to the request `owner[k]` and to the tag `tag[k]`; the rows of registers stand first.
    """

    words: tuple[int, ...]
    bits: tuple[int, ...]
    word_decoder: Decoder
    bit_decoder: Decoder
    tag: I4
    owner: npt.NDArray[np.intp]
    scaling: Scaling

    @classmethod
    def of(cls, blocks: Sequence[Block], fields: Sequence[Field], tags: I4, scaling: Scaling) -> Layout:
        """The layout of blocks whose rows index `fields`, `tags` and `scaling`."""
        words = tuple(i for i, b in enumerate(blocks) if not b.table.bits)
        bits = tuple(i for i, b in enumerate(blocks) if b.table.bits)
        order = [blocks[i] for i in words + bits]
        rows = np.array([row for b in order for row in b.rows], np.intp)
        owner = np.repeat(np.array(words + bits, np.intp), [len(b.rows) for b in order])
        word_decoder = _decoder([blocks[i] for i in words], fields)
        bit_decoder = _decoder([blocks[i] for i in bits], fields)
        return cls(words, bits, word_decoder, bit_decoder, tags[rows], owner, scaling.take(rows))

    def columns(self, outcomes: Sequence[Outcome]) -> Columns:
        """The columns of one poll, from the outcome of each block in the order of the layout."""
        words = _joined(outcomes, self.words, np.uint16)
        raw, status, texts = self.word_decoder.decode(words)
        if self.bits:
            more, good, _ = self.bit_decoder.decode(_joined(outcomes, self.bits, np.bool_))
            raw, status = np.concatenate([raw, more]), np.concatenate([status, good])
        value, status = engineering(raw, status, self.scaling, texts)
        lost = np.array([o.status for o in outcomes], np.uint32)[self.owner]
        gone = lost != 0
        if gone.any():
            value[gone], status[gone] = np.nan, lost[gone]
            texts = tuple((row, text) for row, text in texts if not gone[row])
        t_ns = np.array([o.t_ns for o in outcomes], np.int64)[self.owner]
        return Columns(self.tag, value, status, t_ns, texts)


def _decoder(blocks: Sequence[Block], fields: Sequence[Field]) -> Decoder:
    places: list[int] = []
    end = 0
    for block in blocks:
        places += [end + fields[row].at.offset - block.start for row in block.rows]
        end += block.count
    return Decoder.of([fields[row] for b in blocks for row in b.rows], places)


def _joined(outcomes: Sequence[Outcome], which: Sequence[int], dtype: type[Any]) -> npt.NDArray[Any]:
    """The values of some requests end to end, zeros where there are none."""
    parts = [o.values if o.status == 0 else np.zeros(o.block.count, dtype) for o in (outcomes[i] for i in which)]
    return np.concatenate(parts, dtype=dtype) if parts else np.zeros(0, dtype)
