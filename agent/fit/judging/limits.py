"""Limits of deviation and CUSUM for a stated budget of false alarms, from normalised residuals of a healthy machine.

Whiten, then run both charts over many resampled histories, with the code that the daemon runs. A history is put
together of stretches of random length, each in its own order, so that what lasts for minutes is in it (stationary
bootstrap, Politis and Romano 1994). The largest value of each history is Gumbel's (Gumbel 1958; fitted by
probability-weighted moments, Hosking 1985); the limit is the level that all charts together pass once in the budget.
Some hours cannot show what happens once in months: the limit is never below that of normal white noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8
from agent.twin.departure import cusum, deviation, whitening
from agent.twin.departure.cusum import Cusum
from agent.twin.departure.deviation import Deviation
from agent.twin.departure.whitening import Whitening

LAGS = 4
MOST_FORETOLD = 0.9
CLIP = 3.0
SHARE = 0.05
SLACK = 0.25
BUDGET_DAYS = 30.0
HISTORIES = 256
HISTORY_ROWS = 8192
STRETCH_ROWS = 300
# Of deviation and CUSUM: what 28 healthy days of 19 varied rigs taught (seeds 0 to 19 of the bench of the twin; the
# sums are ruled by what lasts for an hour, of which some hours of recording have seen little).
MARGIN = (1.4, 2.2)
EULER = 0.5772156649


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """What the file gets, and the largest parts of the limits that the given rows reached: f8[p] each."""

    whitening: Whitening
    deviation: Deviation
    cusum: Cusum
    worst_deviation: F8
    worst_cusum: F8


def learned(
    z: Sequence[F8],
    trust: Sequence[F8],
    period_s: float,
    *,
    budget_days: float = BUDGET_DAYS,
    margin: tuple[float, float] = MARGIN,
) -> Limits:
    """From pieces of held-out healthy rows: z f8[rows,p] (NaN where none or while settling), trust f8[rows] (0 to 1).

    margin: by which the limits of deviation and CUSUM are wider, because a recording of some hours has not seen all
    that health can be.
    """
    white = _whitening(z, trust)
    w = [_whitened(white, rows, share) for rows, share in zip(z, trust, strict=True)]
    p = len(white.spread)
    open_d, open_c = Deviation(SHARE, np.full(p, np.inf)), Cusum(SLACK, np.full(p, np.inf), budget_days)
    largest = zip(_resampled(open_d, open_c, w, trust), _ideal(open_d, open_c), strict=True)
    often = HISTORY_ROWS * period_s / (86400.0 * budget_days) / (2 * p)
    levels = (np.maximum(_level(seen, often), _level(ideal, often)) for seen, ideal in largest)
    d, c = (share * level for share, level in zip(margin, levels, strict=True))
    limits_d, limits_c = Deviation(SHARE, d), Cusum(SLACK, c, budget_days)
    met = [_charted(open_d, open_c, rows, share) for rows, share in zip(w, trust, strict=True)]
    worst_d, worst_c = (np.max([m[i] for m in met], axis=0)[0] for i in (0, 1))
    return Limits(white, limits_d, limits_c, worst_d / d, worst_c / c)


def _whitening(z: Sequence[F8], trust: Sequence[F8]) -> Whitening:
    """Autoregression of each output, and the spread of what it leaves (robust)."""
    a, spread = [], []
    for j in range(z[0].shape[1]):
        lagged = [_lagged(rows[:, j], share) for rows, share in zip(z, trust, strict=True)]
        table = np.vstack(lagged)
        now, past = table[:, 0], table[:, 1:]
        own = np.linalg.lstsq(past, now, rcond=1e-8)[0]
        # A residual that stays must stay visible: at least a tenth of it is never foretold.
        own = own * min(1.0, MOST_FORETOLD / max(float(np.sum(own)), 1e-9))
        left = now - past @ own
        a.append(own)
        spread.append(max(1.4826 * float(np.median(np.abs(left))), 0.3 * float(np.std(left)), 1e-6))
    return Whitening(np.array(a), np.array(spread), CLIP)


def _lagged(z: F8, trust: F8) -> F8:
    """Rows (z_k, z_k-1 ... z_k-LAGS) that are complete and trusted."""
    rows = max(len(z) - LAGS, 0)
    table = np.column_stack([z[LAGS - i : LAGS - i + rows] for i in range(LAGS + 1)])
    return np.asarray(table[np.isfinite(table).all(axis=1) & (trust[LAGS:] >= 1.0)], np.float64)


def _whitened(white: Whitening, z: F8, trust: F8) -> F8:
    """w f8[rows,p] of a piece, as the daemon has it."""
    past, out = whitening.begin(white), np.empty_like(z)
    for k, row in enumerate(z):
        past, out[k] = whitening.fold(white, past, row, float(trust[k]))
    return out


def _charted(d: Deviation, c: Cusum, w: F8, trust: F8) -> tuple[F8, F8]:
    """Largest |e| and largest sum over a piece: f8[1,p] each."""
    return _largest(d, c, w[:, None, :], trust[:, None, None], (1, w.shape[1]))


def _resampled(d: Deviation, c: Cusum, w: Sequence[F8], trust: Sequence[F8]) -> tuple[F8, F8]:
    """Largest |e| and largest sum of each history: f8[histories,p] each."""
    rows, shares = np.vstack(w), np.concatenate(trust)
    row = _histories([len(x) for x in w], np.random.default_rng(0))
    return _largest(d, c, rows[row], shares[row][:, :, None], (HISTORIES, rows.shape[1]))


def _ideal(d: Deviation, c: Cusum) -> tuple[F8, F8]:
    """The same of a residual that is white and normal: f8[histories,1] each."""
    draw = np.random.default_rng(0)
    w = whitening.soft(draw.standard_normal((HISTORY_ROWS, HISTORIES, 1)), CLIP)
    return _largest(d, c, w, np.ones((HISTORY_ROWS, 1, 1)), (HISTORIES, 1))


def _largest(d: Deviation, c: Cusum, w: F8, trust: F8, shape: tuple[int, int]) -> tuple[F8, F8]:
    """Both charts over w f8[rows,histories,p], all histories at once."""
    ewma, sums = np.zeros(shape), np.zeros((2, *shape))
    most_d, most_c = np.zeros(shape), np.zeros(shape)
    for now, share in zip(w, trust, strict=True):
        ewma = deviation.fold(d, ewma, now, share)
        sums = cusum.fold(c, sums, now, share)
        most_d, most_c = np.maximum(most_d, np.abs(ewma)), np.maximum(most_c, np.maximum(sums[0], sums[1]))
    return most_d, most_c


def _histories(lengths: Sequence[int], draw: np.random.Generator) -> npt.NDArray[np.intp]:
    """Row of each step of each history: intp[HISTORY_ROWS, HISTORIES]."""
    total = int(sum(lengths))
    last = np.zeros(total, np.bool_)
    last[np.cumsum(lengths) - 1] = True
    at = draw.integers(total, size=HISTORIES)
    out = np.empty((HISTORY_ROWS, HISTORIES), np.intp)
    for k in range(HISTORY_ROWS):
        out[k] = at
        jump = last[at] | (draw.random(HISTORIES) < 1.0 / STRETCH_ROWS)
        at = np.where(jump, draw.integers(total, size=HISTORIES), at + 1)
    return out


def _level(largest: F8, often: float) -> F8:
    """Level f8[p] that a history passes with probability `often`, from maxima f8[histories,p].

    G(h) = exp(-exp(-(h - mu) / beta)),  beta = (2 b1 - b0) / ln 2,  mu = b0 - 0.5772 beta
    """
    x = np.sort(largest, axis=0)
    n = len(x)
    b0, b1 = x.mean(axis=0), np.sum(np.arange(n)[:, None] * x, axis=0) / (n * (n - 1))
    beta = (2.0 * b1 - b0) / np.log(2.0)
    mu = b0 - EULER * beta
    return np.asarray(np.maximum(mu - beta * np.log(-np.log1p(-min(often, 0.5))), 1e-6), np.float64)
