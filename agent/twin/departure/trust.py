"""Whether a filter may be believed: its residuals beside those of healthy recordings, never beside white noise.

The residual of a reduced model is coloured, so three figures are compared with what healthy rows gave, output by
output, over a rolling window of `blocks` blocks (z: normalised residuals; z_b: the mean of a block):

    noise    ln mean (z_k - z_(k-1))^2 / 2            innovation size: what the sensor and the fastest states do
    wander   ln mean_b (z_b - z_healthy)^2            autocorrelation: what stays over a block of rows
    bias     mean z - z_healthy

More noise than on healthy rows: the filter is over-confident; less: under-confident. More wander or bias than noise of
that size explains: machine and model have drifted apart. A difference counts from a least size on, however sure it is.
Limits come from `agent.fit.judging.trusting`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from agent.core.nouns import F8, I8

# What lies further from its healthy middle than this many healthy deviations counts as that, z and its steps alike: one
# row must not make a verdict.
CLIP = 8.0
# Share of a window's rows that an output must have had.
PRESENT = 0.5
TINY = 1e-12


class Level(IntEnum):
    """What a filter's word is worth."""

    UNKNOWN = 0
    OK = 1
    OVER_CONFIDENT = 2
    UNDER_CONFIDENT = 3
    DRIFTED = 4


WORDS = {int(level): level.name.lower().replace("_", "-") for level in Level}


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What healthy rows gave. block: rows of a block; blocks: of a window; middle, scale f8[p]: of z; step
    f8[p]: scale of z_k - z_(k-1); noise, wander f8[p]: their healthy values; *_low, *_high f8[p]: the least differences
    from them, bias_most f8[p]: the least size, that make a verdict."""

    block: int
    blocks: int
    middle: F8
    scale: F8
    step: F8
    noise: F8
    noise_low: F8
    noise_high: F8
    wander: F8
    wander_high: F8
    bias_most: F8

    def problems(self, p: int) -> list[str]:
        """What is wrong with it for p outputs."""
        over_zero = (self.scale, self.step, self.noise_low, self.noise_high, self.wander_high, self.bias_most)
        if any(array.shape != (p,) for array in (self.middle, self.noise, self.wander, *over_zero)):
            return [f"trust of {p} outputs"]
        sound = self.block > 0 and self.blocks > 0 and all(np.all(array > 0) for array in over_zero)
        return [] if sound else ["trust with blocks, scales and limits over 0"]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """window f8[blocks,4,p]: rows, sum of z, pairs, sum of squared differences of each block, newest first; now
    f8[4,p]: of the block under way; rows: in it; last f8[p]: the row before; filled: blocks that are complete."""

    window: F8
    now: F8
    rows: int
    last: F8
    filled: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """output: the one that decided, -1 for none."""

    level: Level
    output: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """Of a window, f8[p] each; NaN for an output that was not there enough."""

    noise: F8
    wander: F8
    bias: F8


def begin(reference: Reference) -> State:
    """Before the first row."""
    p = len(reference.middle)
    window = np.zeros((reference.blocks, 4, p))
    return State(window, np.zeros((4, p)), 0, np.full(p, np.nan), 0)


def fold(reference: Reference, state: State, z: F8) -> State:
    """The state after a row of normalised residuals f8[p], NaN where absent. Pure."""
    z = clipped(z, reference.middle, reference.scale)
    now = state.now + moments(z, state.last, reference.step)
    if state.rows + 1 < reference.block:
        return State(state.window, now, state.rows + 1, z, state.filled)
    window = np.concatenate([now[None], state.window[:-1]])
    return State(window, np.zeros_like(now), 0, z, min(state.filled + 1, reference.blocks))


def broken(state: State) -> State:
    """Before a row that does not follow the last one."""
    return replace(state, last=np.full_like(state.last, np.nan))


def clipped(z: F8, middle: F8, scale: F8) -> F8:
    """z f8[...,p] no further from its healthy middle than CLIP healthy deviations."""
    return np.minimum(np.maximum(z, middle - CLIP * scale), middle + CLIP * scale)


def moments(z: F8, last: F8, step: F8) -> F8:
    """What rows z f8[...,p] add to a block, with those before them, last f8[...,p]: f8[4,...,p]."""
    most = CLIP * step
    moved = np.minimum(np.maximum(z - last, -most), most)
    here, pair = np.isfinite(z), np.isfinite(moved)
    return np.array([here, np.where(here, z, 0.0), pair, np.where(pair, moved, 0.0) ** 2], np.float64)


def figures(window: F8, middle: F8, rows: int) -> Figures:
    """The figures of windows f8[...,blocks,4,p] of so many rows: f8[...,p] each."""
    counts, sums, pairs, squares = (window[..., i, :] for i in range(4))
    count, pair = counts.sum(axis=-2), pairs.sum(axis=-2)
    there = (count >= PRESENT * rows) & (pair >= PRESENT * rows / 2)
    away = np.where(counts > 0, sums / np.maximum(counts, 1.0) - middle, 0.0)
    slow = (counts * away**2).sum(axis=-2) / np.maximum(count, 1.0)
    fast = squares.sum(axis=-2) / np.maximum(2.0 * pair, 1.0)
    bias = sums.sum(axis=-2) / np.maximum(count, 1.0) - middle
    noise, wander = np.log(np.maximum(fast, TINY)), np.log(np.maximum(slow, TINY))
    return Figures(*(np.where(there, figure, np.nan) for figure in (noise, wander, bias)))


def levels(reference: Reference, state: State) -> tuple[I8, F8]:
    """The level of each output i8[p] and how far beyond its limit it is f8[p], 1 at the limit, 0 where nothing is."""
    r, unknown = reference, np.full(len(reference.middle), Level.UNKNOWN, np.int64)
    if state.filled < r.blocks:
        return unknown, np.zeros(len(unknown))
    f = figures(state.window, r.middle, r.block * r.blocks)
    louder = f.noise - r.noise
    # Noise of another size moves the others with it, upwards only: less noise makes no wander smaller.
    explained = np.maximum(louder, 0.0)
    drift = np.maximum(
        (f.wander - r.wander - explained) / r.wander_high, np.abs(f.bias) * np.exp(-0.5 * explained) / r.bias_most
    )
    over, under = louder / r.noise_high, -louder / r.noise_low
    beyond = np.stack([drift, over, under])
    found = np.where(drift > 1.0, Level.DRIFTED, np.where(over > 1.0, Level.OVER_CONFIDENT, Level.OK))
    found = np.where((found == Level.OK) & (under > 1.0), Level.UNDER_CONFIDENT, found)
    there = np.isfinite(f.noise)
    return np.where(there, found, unknown), np.where(there, np.max(beyond, axis=0), 0.0)


def verdict(reference: Reference, state: State) -> Verdict:
    """The verdict over all outputs: that of the one furthest beyond its limit."""
    level, beyond = levels(reference, state)
    if not (level != Level.UNKNOWN).any():
        left = (reference.blocks - state.filled) * reference.block - state.rows
        return Verdict(Level.UNKNOWN, -1, f"{left} rows to go" if left > 0 else "too few values")
    wrong = np.where(level > Level.OK, beyond, -1.0)
    j = int(np.argmax(wrong))
    if wrong[j] < 0.0:
        return Verdict(Level.OK, -1, "residuals as on healthy rows")
    f = figures(state.window, reference.middle, reference.block * reference.blocks)
    return Verdict(Level(int(level[j])), j, _reason(reference, f, Level(int(level[j])), j))


def _reason(r: Reference, f: Figures, level: Level, j: int) -> str:
    times = float(np.exp(0.5 * (f.noise[j] - r.noise[j])))
    if level == Level.OVER_CONFIDENT:
        return f"residuals are {times:.2g} times as noisy as on healthy rows"
    if level == Level.UNDER_CONFIDENT:
        return f"residuals are {1.0 / times:.2g} times less noisy than on healthy rows"
    explained = max(2.0 * float(np.log(times)), 0.0)
    wander = float(f.wander[j] - r.wander[j]) - explained
    bias = float(f.bias[j])
    if abs(bias) * np.exp(-0.5 * explained) / r.bias_most[j] >= wander / r.wander_high[j]:
        return f"residuals lie {abs(bias) / r.scale[j]:.2g} healthy deviations too {'high' if bias > 0 else 'low'}"
    return f"slow residuals are {np.exp(0.5 * wander):.2g} times as large as on healthy rows"
