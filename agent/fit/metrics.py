"""How good predictions of remaining life were, once the lives have ended. Times are in s, arrays over predictions.

A prediction is its distribution: p_fail f8[..., g], the probability of failure before at_s f8[g], rising times from
over 0 to the horizon. What is censored is beyond the horizon, and is never made into a number.

Saxena, Celaya, Saha, Saha & Goebel 2010, "Metrics for offline evaluation of prognostic performance", IJPHM 1.
Gneiting & Raftery 2007, JASA 102; Gneiting & Ranjan 2011, JBES 29. Wilson 1927, JASA 22.
Romano, Patterson & Candes 2019, NeurIPS; Javanmardi & Huellermeier 2023, IJPHM 14.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8, Mask
from agent.twin.lifetime.life import Widening
from agent.twin.trial.tally import wilson

BETA = 0.5  # of the probability that must lie within the bounds of alpha


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often an interval held the truth: hits of count (lives, not steps), with the 95 % interval of the share."""

    hits: int
    count: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Hits over count, NaN for none."""
        return self.hits / self.count if self.count else math.nan

    def allows(self, share: float) -> bool:
        """Whether the true share may be this."""
        return self.low <= share <= self.high


def coverage(low_s: F8, high_s: F8, truth_s: F8) -> Coverage:
    """Of intervals f8[k] (inf: beyond the horizon) over true lives f8[k], one prediction a life."""
    hits = int(np.sum((low_s <= truth_s) & (truth_s <= high_s)))
    count = len(truth_s)
    return Coverage(hits, count, *(wilson(hits, count) if count else (0.0, 1.0)))


def before(at_s: F8, p_fail: F8, t_s: float) -> float:
    """F(t): probability of failure before t, on straight lines between the times; NaN beyond the horizon."""
    if t_s > at_s[-1]:
        return math.nan
    return float(np.interp(max(t_s, 0.0), np.append(0.0, at_s), np.append(_at_once(p_fail), p_fail)))


def within(at_s: F8, p_fail: F8, low_s: float, high_s: float) -> float:
    """Probability of a life from low to high; what lies beyond the horizon is not known, and does not count."""
    high_s = min(high_s, float(at_s[-1]))
    return before(at_s, p_fail, high_s) - before(at_s, p_fail, low_s) if low_s < high_s else 0.0


def alpha_lambda(at_s: F8, p_fail: F8, truth_s: float, alpha: float = 0.2, beta: float = BETA) -> bool:
    """Whether at least beta of the probability lies within alpha of the true remaining life (Saxena 2010)."""
    return within(at_s, p_fail, (1.0 - alpha) * truth_s, (1.0 + alpha) * truth_s) >= beta


def prognostic_horizon(
    asked_s: F8, at_s: F8, p_fail: F8, end_s: float, alpha: float = 0.1, beta: float = BETA
) -> float:
    """How long before the end of life (at end_s) the predictions begin to be within alpha of that whole life for good.

    asked_s f8[k]: rising times of predictions p_fail f8[k,g], NaN where there was no estimate. 0: never (Saxena 2010;
    for good, not for the first time, so that one lucky prediction counts for nothing)."""
    margin = alpha * end_s
    inside: Mask = np.array(
        [
            not np.isnan(row).any() and within(at_s, row, end_s - t - margin, end_s - t + margin) >= beta
            for t, row in zip(asked_s, p_fail, strict=True)
        ],
        np.bool_,
    )
    wrong = np.flatnonzero(~inside)
    first = int(wrong[-1]) + 1 if len(wrong) else 0
    return float(end_s - asked_s[first]) if first < len(asked_s) else 0.0


def relative_accuracy(predicted_s: F8, truth_s: F8) -> F8:
    """1 - |error| / true remaining life: f8[k], NaN where nothing was predicted or it is censored (Saxena 2010)."""
    finite = np.where(np.isfinite(predicted_s), predicted_s, np.nan)
    return np.asarray(1.0 - np.abs(finite - truth_s) / truth_s, np.float64)


def crps(at_s: F8, p_fail: F8, truth_s: float, ended: bool = True) -> float:
    """Continuous ranked probability score up to the horizon h, in s; smaller is better.

        integral from 0 to h of (F(t) - 1{t >= truth})^2 dt

    with weight 1 up to h and none beyond, which is proper where the forecast is censored there (Gneiting & Ranjan
    2011). `ended` False: the life went on at truth_s (a part replaced in time); then it is the integral up to truth_s
    (Avati, Duan, Zhou, Jung, Shah & Ng 2020, UAI).
    """
    knots = np.append(0.0, at_s)
    F = np.append(_at_once(p_fail), p_fail)
    end = min(truth_s, float(at_s[-1]))
    lower = _squares(knots, F, 0.0, end)
    return lower if not ended else lower + _squares(knots, 1.0 - F, end, float(at_s[-1]))


def crps_of(lifetimes_s: F8, truth_s: float, horizon_s: float) -> float:
    """The same of particles f8[n] (inf beyond the horizon): E|X - y| - E|X - X'| / 2, all cut at the horizon."""
    x = np.sort(np.minimum(lifetimes_s, horizon_s))
    n = len(x)
    # E|X - X'| of a sorted sample: 2 / n^2 sum (2 i - n - 1) x_i
    spread = 2.0 / n**2 * float((2.0 * np.arange(1, n + 1) - n - 1.0) @ x)
    return float(np.mean(np.abs(x - min(truth_s, horizon_s)))) - 0.5 * spread


def score(predicted_s: F8, truth_s: F8, early_s: float, late_s: float) -> float:
    """Sum of exp(-d / early) - 1 or exp(d / late) - 1, d = predicted - true (Saxena, Goebel, Simon & Eklund 2008, PHM).

    Late predictions cost more where late_s < early_s (there: 13 and 10 cycles)."""
    d = predicted_s - truth_s
    return float(np.sum(np.expm1(np.where(d < 0, -d / early_s, d / late_s))))


def widening(damage: F8, low_s: F8, high_s: F8, truth_s: F8, edges: F8, share: float = 0.9) -> Widening:
    """Split-conformal correction of intervals that held-out lives f8[k] had at such a damage, band by band.

        lower: ln low - ln y, upper: ln y - ln high; of each the ceil((n + 1) (1 + share) / 2) smallest of the band's n

    Exact where each life is asked once; ValueError where a band has too few lives to promise it."""
    rows = np.digitize(damage, edges)
    with np.errstate(divide="ignore"):
        ends = np.log(low_s) - np.log(truth_s), np.log(truth_s) - np.log(high_s)
    moved = np.array([[_conformal(end[rows == k], 0.5 * (1.0 + share)) for k in range(len(edges) + 1)] for end in ends])
    return Widening(np.asarray(edges, np.float64), moved[0], moved[1], len(truth_s))


def _conformal(E: F8, share: float) -> float:
    rank = math.ceil((len(E) + 1) * share)
    if rank > len(E):
        raise ValueError(
            f"{len(E)} lives in a band of damage, expected at least {math.ceil(share / (1.0 - share) - 1e-9)}"
        )
    return float(np.sort(E)[rank - 1])


def _at_once(p_fail: F8) -> float:
    """F(0): where all of the first table entry is there already, it was there at once."""
    return 1.0 if p_fail[0] == 1.0 else 0.0


def _squares(t: F8, value: F8, start: float, end: float) -> float:
    """Integral of the square of a broken line from start to end, exactly: (b - a)(f^2 + f g + g^2) / 3 a piece."""
    if end <= start:
        return 0.0
    inner = t[(t > start) & (t < end)]
    knots = np.concatenate([[start], inner, [end]])
    f = np.interp(knots, t, value)
    return float(np.sum(np.diff(knots) * (f[:-1] ** 2 + f[:-1] * f[1:] + f[1:] ** 2)) / 3.0)
