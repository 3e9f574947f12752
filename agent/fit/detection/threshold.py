"""A limit for a score from healthy scores that the model was not fitted on, for a stated number of false alarms a day.

An alarm is k of n scores over the limit, so the limit is set on the k-th largest of the last n. Windows overlap:
scores over a level come in runs, each counted once by its peak. Peaks over a high level u fall off about
exponentially (peaks over threshold, Pickands 1975, with shape 0), which carries the few hours of a recording on to
the days of the budget:

    alarms a day over the limit = r exp(-(limit - u) / b)      r: peaks a day over u; b: mean excess, on the safe side
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8

S_A_DAY = 86400.0
# A rate is carried on to at most so many times the recorded time: beyond it an exponential tail is a guess.
FARTHEST = 5.0
LEVELS = (0.99, 0.98, 0.95, 0.9, 0.8)
ENOUGH_PEAKS = 20


@dataclass(frozen=True, slots=True)
class Threshold:
    """A limit and how it was found: `level_quantile` of the scores is the level u, over it `peaks` separate runs with
    a mean excess; `largest` of all scores; `rows` of them; `over` is the share of rows above the limit;
    `alarms_per_day`: what the limit was set for (more than the budget where the recording is too short for it)."""

    limit: float
    alarms_per_day: float
    level: float
    level_quantile: float
    peaks: int
    mean_excess: float
    largest: float
    rows: int
    over: float
    alarms: int


def persistent(score: F8, persistence: tuple[int, int]) -> F8:
    """The k-th largest of the last n of unbroken runs of scores f8[..., m] (0 before their start): f8[..., m]."""
    k, n = persistence
    if n == 1 or not score.shape[-1]:
        return score
    padded = np.concatenate([np.zeros((*score.shape[:-1], n - 1)), score], axis=-1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, n, axis=-1)
    return np.asarray(np.sort(windows, axis=-1)[..., n - k])


def peaks(runs: Sequence[F8], level: float, apart: int) -> F8:
    """The largest score of each run of scores over a level; runs less than `apart` rows apart are one."""
    found = []
    for score in runs:
        over = np.flatnonzero(score > level)
        for group in np.split(over, np.flatnonzero(np.diff(over) >= apart) + 1):
            if len(group):
                found.append(score[group].max())
    return np.array(found)


def threshold(runs: Sequence[F8], *, budget_alarms_per_day: float, period_s: float, apart: int) -> Threshold:
    """The limit for scores in unbroken runs, already persistent. ValueError where there are no scores."""
    score = np.concatenate(runs) if runs else np.empty(0)
    if not len(score):
        raise ValueError("no scores to set a limit from")
    for quantile in LEVELS:
        level = float(np.quantile(score, quantile))
        found = peaks(runs, level, apart)
        if len(found) >= ENOUGH_PEAKS:
            break
    # The mean of few peaks is itself uncertain (standard error b / sqrt(n)): an error to the safe side is added.
    excess = float(np.mean(found - level)) * (1.0 + len(found) ** -0.5) if len(found) else 0.0
    days = len(score) * period_s / S_A_DAY
    alarms_per_day = max(budget_alarms_per_day, 1.0 / (FARTHEST * days))
    beyond = excess * np.log(max(len(found) / days / alarms_per_day, 1.0))
    limit = max(level + beyond, float(np.finfo(float).eps))
    return Threshold(
        limit=limit,
        alarms_per_day=alarms_per_day,
        level=level,
        level_quantile=quantile,
        peaks=len(found),
        mean_excess=excess,
        largest=float(score.max()),
        rows=len(score),
        over=float(np.mean(score > limit)),
        alarms=len(peaks(runs, limit, apart)),
    )
