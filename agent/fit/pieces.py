"""What a twin is fitted to: unbroken stretches of a recording, scaled, cut where a block of it ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from agent.core.nouns import F8

BLOCKS = 6
PAST = 10
START_ROWS = 12
SEGMENT_ROWS = 400


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """u f8[rows,m], y f8[rows,p], v f8[rows,v], scaled. block: the part of the recording it is in; run: the unbroken
    stretch it was cut from; row: of its first row in the file."""

    u: F8
    y: F8
    v: F8
    block: int
    run: int
    row: int


def joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces of one run put together again where they follow each other, as when no block between them is held out."""
    groups: list[list[Piece]] = []
    for i, piece in enumerate(pieces):
        before = pieces[i - 1] if i else None
        follows = before is not None and before.run == piece.run and before.block + 1 == piece.block
        groups[-1].append(piece) if follows else groups.append([piece])
    return [_one(group) for group in groups]


def chopped(pieces: Sequence[Piece], rows: int = SEGMENT_ROWS) -> list[Piece]:
    """Joined pieces cut into equal segments of at most so many rows."""
    found = []
    for piece in joined(pieces):
        count = math.ceil(len(piece.u) / rows)
        edges = [len(piece.u) * i // count for i in range(count + 1)]
        found += [
            Piece(piece.u[a:b], piece.y[a:b], piece.v[a:b], piece.block, piece.run, piece.row + a)
            for a, b in pairwise(edges)
        ]
    return found


def _one(group: Sequence[Piece]) -> Piece:
    first = group[0]
    if len(group) == 1:
        return first
    u, y, v = (np.vstack([getattr(p, name) for p in group]) for name in ("u", "y", "v"))
    return Piece(u, y, v, first.block, first.run, first.row)
