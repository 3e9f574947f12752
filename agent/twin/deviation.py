"""How far the machine is from its model, per output: an EWMA over pre-whitened residuals, 1 = limit reached.

    w_k = soft((r_k - a_1 r_(k-1) - ... - a_q r_(k-q)) / sigma_w)
    soft(w) = w up to clip, beyond it clip + log(1 + w - clip), never over 3 clip; the same below
    e_k = (1 - trust lambda) e_(k-1) + trust lambda w_k
    deviation = e / limit

The residual of a reduced model is coloured: a recipe change bends it for minutes. The autoregression a, fitted on
held-out healthy residuals, takes out what the past already says, so that what is left is a step or a ramp that keeps
being fed: a leak, a drift, a worn pump. The soft clip bounds what one wild sample can do and how long recovery takes,
and still lets the output that a fault hits hardest lead. Where the inputs leave the domain of the recording a residual
is no evidence, neither for nor against: trust falls from 1 at its edge to 0 a quarter further out, and is regained
over twenty periods, while what the excursion left in the state dies away.
(Roberts 1959 for the EWMA; Montgomery 2013 ch. 10 for charts over residuals.)
"""

from __future__ import annotations

import numpy as np

from agent.core.nouns import F8
from agent.twin.statespace import Deviation

# Beyond this multiple of the domain's radius the model says nothing that counts.
REMOTE = 1.25
REGAIN = 0.05


def coast(past: F8, whiten: F8, periods: int) -> F8:
    """The remembered residuals f8[p, q] (newest first) after periods without any: the autoregression fills in."""
    for _ in range(min(periods, 10 * past.shape[1])):
        past = _pushed(past, np.sum(whiten * past, axis=1))
    return past


def trust(before: float, remoteness: float, periods: int) -> float:
    """How much a residual counts, 0 to 1, at this distance from the recording (1: the edge of its domain)."""
    here = min(max((REMOTE - remoteness) / (REMOTE - 1.0), 0.0), 1.0)
    return min(here, before + REGAIN * periods)


def fold(past: F8, ewma: F8, residual: F8, share: float, d: Deviation) -> tuple[F8, F8]:
    """The memory f8[p,q] and the EWMA f8[p] after a row of residuals f8[p]; absent (NaN) ones leave the EWMA still.

    share: the row's `trust`.
    """
    foreseen = np.sum(d.whiten * past, axis=1)
    present = np.isfinite(residual)
    known = np.where(present, residual, foreseen)
    w = _soft((known - foreseen) / d.spread, d.clip)
    weight = share * d.share
    ewma = np.where(present, (1.0 - weight) * ewma + weight * w, ewma)
    # A wild value must not echo through the autoregression either: the memory takes what was counted. What was not
    # trusted is taken as it is: it is explained.
    return _pushed(past, share * (foreseen + w * d.spread) + (1.0 - share) * known), ewma


def _soft(w: F8, clip: float) -> F8:
    size = np.abs(w)
    beyond = np.log1p(np.maximum(size - clip, 0.0))
    return np.asarray(np.sign(w) * np.minimum(np.minimum(size, clip) + beyond, 3.0 * clip), np.float64)


def _pushed(past: F8, newest: F8) -> F8:
    return np.column_stack([newest, past[:, :-1]])
