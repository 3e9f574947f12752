"""Derived tags: what an expression makes of the machine's tags, as one more Batch of the tick.

The Tick that is recorded holds only what the drivers gave; this batch is made of it, with the same bits in a backtest.
A row is in the batch when its value, status or time changed. It is as old as its newest operand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from agent.core import evaluation, latest, quality
from agent.core.formula import Program
from agent.core.latest import Latest, Seen
from agent.core.memory import FRESH, NAN, Memory, rebased
from agent.core.nouns import F8, I8, U4, Batch, Mask, Tick
from agent.engine.asset import Asset

SOURCE = "derived"


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Memories as a checkpoint holds them: columns of length k over `keys`."""

    keys: tuple[str, ...] = ()
    t_ns: I8 = field(default_factory=lambda: np.zeros(0, np.int64))
    value: F8 = field(default_factory=lambda: np.zeros(0))
    sum: F8 = field(default_factory=lambda: np.zeros(0))
    seen_ns: I8 = field(default_factory=lambda: np.zeros(0, np.int64))


def begun(program: Program) -> tuple[Memory, ...]:
    """The memories before the first tick ever."""
    return (FRESH,) * len(program.recalls)


def step(
    program: Program, memories: tuple[Memory, ...], newest: Latest, seen: Seen, tick: Tick, muted: Mask
) -> tuple[Batch | None, tuple[Memory, ...]]:
    """(what changed, memories after). `seen`: how each tag stands now; samples of `muted` tags count for nothing."""
    if not len(program.rows):
        return None, memories
    streams = _streams(program, tick.batches, muted)
    columns = seen.value, seen.status, newest.t_ns
    slots, after = evaluation.run(program, memories, columns, newest.arrays, streams, tick.now_ns)
    rows = program.rows
    value, status, t_ns = slots.value[rows], slots.whole[rows], slots.t_ns[rows]
    changed = (value.view(np.int64) != newest.value[rows].view(np.int64)) | (status != newest.status[rows])
    changed |= t_ns != newest.t_ns[rows]
    if not changed.any():
        return None, after
    tag = rows[changed].astype(np.int32)
    stamps = np.zeros(len(tag), np.int64)
    return Batch(SOURCE, tag, value[changed], status[changed], t_ns[changed], stamps), after


def once(program: Program, value: F8, status: U4, arrays: Mapping[int, F8]) -> tuple[F8, U4]:
    """(value, status) of all derived tags, from one sample of each tag (f8[n], u4[n]) and nothing before it."""
    t_ns = np.ones(program.n, np.int64)
    batch = Batch("", np.arange(program.n, dtype=np.int32), value, status, t_ns, t_ns, arrays=tuple(arrays.items()))
    streams = _streams(program, (batch,), np.zeros(program.n, np.bool_))
    slots, _ = evaluation.run(program, begun(program), (value, status, t_ns), arrays, streams, 1)
    return slots.value[program.rows], slots.whole[program.rows]


def operands(asset: Asset) -> dict[str, tuple[str, ...]]:
    """Ids of the read tags that each derived tag (by its id) is made of in the end."""
    program = asset.derived
    parts = np.split(program.sources, program.starts[1:])
    rows = zip(program.rows.tolist(), parts, strict=False)
    return {asset.tags[row].id: tuple(asset.tags[n].id for n in part.tolist()) for row, part in rows}


def folded(program: Program, newest: Latest, batch: Batch | None) -> Latest:
    """The newest with the derived tags in it; the operand that was confirmed last confirms them."""
    if not len(program.rows):
        return newest
    confirmed_ns = newest.confirmed_ns.copy()
    confirmed_ns[program.rows] = np.maximum.reduceat(newest.confirmed_ns[program.sources], program.starts)
    after = latest.fold(newest, (batch,), 0) if batch else newest
    return replace(after, confirmed_ns=confirmed_ns)


def _streams(program: Program, batches: tuple[Batch, ...], muted: Mask) -> list[list[tuple[int, float]]]:
    """Every sample of the program's streams, in order of arrival; NaN where it cannot be used."""
    found: list[list[tuple[int, float]]] = [[] for _ in program.streams]
    if not found:
        return found
    wanted: dict[int, list[tuple[int | None, list[tuple[int, float]]]]] = {}
    for (row, element), samples in zip(program.streams, found, strict=True):
        wanted.setdefault(row, []).append((element, samples))
    needed = np.zeros(program.n, np.bool_)
    needed[list(wanted)] = True
    for batch in batches:
        picked = np.flatnonzero(needed[batch.tag] & ~muted[batch.tag])
        good = ~quality.bad_mask(batch.status[picked])
        value = np.where(good & np.isfinite(batch.value[picked]), batch.value[picked], np.nan)
        arrays = dict(batch.arrays)
        columns = (
            picked.tolist(),
            batch.tag[picked].tolist(),
            batch.t_ns[picked].tolist(),
            value.tolist(),
            good.tolist(),
        )
        for n, row, t_ns, x, usable in zip(*columns, strict=True):
            for element, samples in wanted[row]:
                samples.append((t_ns, x if element is None else _element(arrays.get(n), element, usable)))
    return found


def _element(array: F8 | None, element: int, usable: bool) -> float:
    there = usable and array is not None and element < len(array) and np.isfinite(array[element])
    return float(array[element]) if there and array is not None else NAN


def frozen(program: Program, memories: tuple[Memory, ...]) -> Kept:
    """The memories for a checkpoint."""
    return Kept(
        tuple(recall.key for recall in program.recalls),
        np.array([m.t_ns for m in memories], np.int64),
        np.array([m.value for m in memories], np.float64),
        np.array([m.sum for m in memories], np.float64),
        np.array([m.seen_ns for m in memories], np.int64),
    )


def thawed(program: Program, kept: Kept) -> tuple[Memory, ...]:
    """The memories of a checkpoint; one whose expression is another now begins anew."""
    columns = zip(kept.t_ns.tolist(), kept.value.tolist(), kept.sum.tolist(), kept.seen_ns.tolist(), strict=True)
    known = {key: Memory(*column) for key, column in zip(kept.keys, columns, strict=True)}
    return tuple(known.get(recall.key, FRESH) for recall in program.recalls)


def moved(program: Program, memories: tuple[Memory, ...]) -> tuple[Memory, ...]:
    """What is left of the memories on another boot's time axis."""
    return tuple(rebased(recall.function, m) for recall, m in zip(program.recalls, memories, strict=True))
