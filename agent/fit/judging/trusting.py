"""What `twin.departure.trust` compares with: the figures of held-out healthy rows, and how much they differ by chance.

The chance is that of a block bootstrap (Kunsch 1989): windows are put together from runs of whole blocks of the
recording, so that what is coloured stays coloured. A limit is the half-width of a prediction interval of the next
window at one in ten million, with Student's quantile for as many degrees of freedom as there are blocks and
room for the error of the healthy middle itself; never below a least difference that matters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from agent.core.nouns import F8
from agent.twin.departure import trust
from agent.twin.departure.trust import Reference

BLOCK = 300
BLOCKS = 36
SHORTEST = 10
RESAMPLES = 4000
ABSURD = 1e6
# Share of the rows that every output must have: enough that no window is without it.
THERE = 0.5 * (1.0 + trust.PRESENT)
CHANCE = 1e-7
# Least differences that matter: of variances, and of a mean in healthy deviations.
LEAST_NOISE = np.log(1.8)
LEAST_WANDER = np.log(2.0)
LEAST_BIAS = 0.25


def reference(series: Sequence[F8], *, block: int = BLOCK, blocks: int = BLOCKS, seed: int = 0) -> Reference | None:
    """The reference of held-out healthy series of z f8[rows,p], each without a gap (NaN where absent).

    A window is `blocks` blocks of `block` rows: three hours at 1 Hz. The block becomes shorter where the rows would not
    make two windows. None where not even blocks of SHORTEST rows do, or where an output is hardly ever there: there is
    nothing to compare with then."""
    if not series:
        return None
    block = min(block, sum(len(z) for z in series) // (2 * blocks))
    while block >= SHORTEST and sum(len(z) // block for z in series) < 2 * blocks:
        block -= 1
    if block < SHORTEST:
        return None
    series = [np.clip(np.where(np.isfinite(z), z, np.nan), -ABSURD, ABSURD) for z in series]
    whole = np.concatenate(series)
    if np.mean(np.isfinite(whole), axis=0).min() < THERE:
        return None
    middle, scale = _middle(whole)
    step = _middle(np.concatenate([np.diff(z, axis=0) for z in series]))[1]
    sums = [_blocks(trust.clipped(z, middle, scale), block, step) for z in series if len(z) >= block]
    everything = np.concatenate(sums)
    # The middle of the clipped rows: what a window's bias is measured from.
    middle = everything[:, 1].sum(axis=0) / np.maximum(everything[:, 0].sum(axis=0), 1.0)
    return _limits(sums, (middle, scale, step), block, blocks, seed)


def _middle(values: F8) -> tuple[F8, F8]:
    """Middle and scale f8[p] of rows, robust, but not blind to rare moves."""
    middle = np.nanmedian(values, axis=0)
    scale = np.maximum(1.4826 * np.nanmedian(np.abs(values - middle), axis=0), 0.3 * np.nanstd(values, axis=0))
    return middle, np.maximum(scale, 1e-6)


def _blocks(z: F8, block: int, step: F8) -> F8:
    """What each block of a series adds: f8[count,4,p]."""
    before = np.concatenate([np.full((1, z.shape[1]), np.nan), z[:-1]])
    each = trust.moments(z, before, step)
    count = len(z) // block
    sums = each[:, : count * block].reshape(4, count, block, -1).sum(axis=2)
    return np.asarray(sums.transpose(1, 0, 2), np.float64)


def _limits(sums: Sequence[F8], scales: tuple[F8, F8, F8], block: int, blocks: int, seed: int) -> Reference:
    """Limits from runs of a third of a window and of a whole one, whichever spreads wider: the first has more of them,
    the second keeps what is slow."""
    middle, scale, step = scales
    count = sum(len(s) for s in sums)
    runs = [trust.figures(_windows(sums, blocks, run, seed), middle, block * blocks) for run in (blocks // 3, blocks)]
    # Half-width of a prediction interval: quantile x spread x (1 + the window's share of what is known)^1/2.
    wide = float(stats.t.isf(CHANCE, count - 1)) * np.sqrt(1.0 + blocks / count)
    noise, wander = (np.nanmedian(figure, axis=0) for figure in (runs[0].noise, runs[0].wander))
    return Reference(
        block=block,
        blocks=blocks,
        middle=middle,
        scale=scale,
        step=step,
        noise=noise,
        noise_low=np.maximum(wide * _widest([noise - f.noise for f in runs]), LEAST_NOISE),
        noise_high=np.maximum(wide * _widest([f.noise - noise for f in runs]), LEAST_NOISE),
        wander=wander,
        wander_high=np.maximum(wide * _widest([f.wander - wander for f in runs]), LEAST_WANDER),
        bias_most=np.maximum(wide * _widest([np.abs(f.bias) for f in runs], sides=2), LEAST_BIAS * scale),
    )


def _widest(differences: Sequence[F8], sides: int = 1) -> F8:
    """The standard deviation f8[p] that one, two and three of it suggest above the middle, whichever is widest."""
    tails = sides * stats.norm.sf((1.0, 2.0, 3.0))
    each = [np.nanquantile(d, 1.0 - tails, axis=0) / np.array([[1.0], [2.0], [3.0]]) for d in differences]
    return np.asarray(np.max(np.concatenate(each), axis=0), np.float64)


def _windows(sums: Sequence[F8], blocks: int, run: int, seed: int) -> F8:
    """Windows put together from runs of neighbouring blocks: f8[RESAMPLES,blocks,4,p]."""
    rng = np.random.default_rng(seed)
    run = max(1, min(run, max(len(s) for s in sums) // 2))
    long = [s for s in sums if len(s) >= run]
    offsets = np.cumsum([0, *(len(s) for s in long)])
    starts = np.concatenate([at + np.arange(len(s) - run + 1) for s, at in zip(long, offsets[:-1], strict=True)])
    first = rng.choice(starts, (RESAMPLES, -(-blocks // run)))
    index = (first[:, :, None] + np.arange(run)).reshape(RESAMPLES, -1)[:, :blocks]
    return np.asarray(np.concatenate(long)[index], np.float64)
