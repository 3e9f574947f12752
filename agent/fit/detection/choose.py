"""Chooses the shape of a detector, its limit and its hold-out score, without labels, in blocks not fitted on.

Of the shapes that the recording can carry the one is taken that needs the smallest step of a tag to alarm
(geometric mean over tags, in each tag's spread) at the stated false-alarm budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from agent.core.nouns import F8, I8
from agent.fit.detection import mahalanobis
from agent.fit.detection.mahalanobis import Detector, Shape
from agent.fit.detection.threshold import Threshold, peaks, persistent, threshold
from agent.fit.recording import FitError

FOLDS = 5
# Windows needed for each feature: below it a covariance is guesswork.
WINDOWS_A_FEATURE = 5
SHRINKAGES = (0.0, 0.1, 0.5)
ROUNDS = (0, 3)
# Shares of a window, newest stretch first. Short stretches at both ends give each tag's rate of change.
FOLDINGS = ((1.0,), (0.3, 0.7), (0.1, 0.8, 0.1), (0.1, 0.233, 0.567, 0.1))


@dataclass(frozen=True, slots=True)
class Choices:
    """What was asked for, and is written into the file. See `agent.fit.detector.fit`."""

    window: int
    budget_alarms_per_day: float
    modes: tuple[str, ...]
    settle_s: float
    period_s: float
    persistence: tuple[int, int]
    hold_rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """The detector fitted on all rows; its limit from cross-validation; a hold-out test on the last fifth of the same
    method fitted, chosen and limited on the rest. held_out f8[n]: the published scores that gave the limit, over it."""

    detector: Detector
    threshold: Threshold
    holdout: dict[str, float]
    held_out: F8


def make(runs: Sequence[F8], choices: Choices, path: str) -> Made:
    """The detector that these unbroken runs of healthy rows f8[n, C] can carry; FitError where there is none."""
    windows = sum(len(run) - choices.window + 1 for run in runs)
    shapes = _shapes(choices.window, runs[0].shape[1], windows * (FOLDS - 1) // FOLDS * (FOLDS - 1) // FOLDS)
    if not shapes:
        least = WINDOWS_A_FEATURE * runs[0].shape[1] * FOLDS**2 // (FOLDS - 1) ** 2 + 1
        raise FitError(
            f"{path}: {windows} windows of {choices.window} rows for {runs[0].shape[1]} tags, expected {least} or more"
        )
    early, late = _split(runs, choices.window)
    shape, before = _choose(early, shapes, choices)
    trial = _detector(early, shape, before.limit)
    scores = _held_out_scores(runs, shape, choices)
    found = _limited(scores, shape, choices)
    made = _detector(runs, shape, found.limit)
    return Made(made, found, _score_holdout(trial, late, choices), np.concatenate(scores) / found.limit)


def _shapes(window: int, tags: int, windows: int) -> list[Shape]:
    """Candidates that so many windows can carry."""
    stretches = []
    for shares in FOLDINGS:
        rows = [max(1, round(share * window)) for share in shares[1:]]
        newest = window - sum(rows)
        if newest >= 1 and len(shares) * tags * WINDOWS_A_FEATURE <= windows:
            stretches.append((newest, *rows))
    return [Shape(*each) for each in product(dict.fromkeys(stretches), SHRINKAGES, ROUNDS)]


def _split(runs: Sequence[F8], window: int) -> tuple[list[F8], list[F8]]:
    """The first four fifths of the rows, and the rest."""
    left = sum(len(run) for run in runs) * (FOLDS - 1) // FOLDS
    early, late = [], []
    for run in runs:
        early.append(run[:left] if left > 0 else run[:0])
        late.append(run[max(left, 0) :])
        left -= len(run)
    return [r for r in early if len(r) >= window], [r for r in late if len(r) >= window]


def _standard(runs: Sequence[F8]) -> tuple[F8, F8]:
    value = np.vstack(runs)
    return value.mean(axis=0), value.std(axis=0)


def _detector(runs: Sequence[F8], shape: Shape, limit: float) -> Detector:
    mean, scale = _standard(runs)
    folded = np.vstack([mahalanobis.features((run - mean) / scale, shape) for run in runs])
    return Detector(mean, scale, shape, mahalanobis.fit(folded, len(mean), shape), limit)


def _choose(runs: Sequence[F8], shapes: Sequence[Shape], choices: Choices) -> tuple[Shape, Threshold]:
    """The shape whose smallest alarming steps have the least geometric mean over tags."""
    best: tuple[float, Shape, Threshold] | None = None
    for shape in shapes:
        found = _limited(_held_out_scores(runs, shape, choices), shape, choices)
        made = _detector(runs, shape, found.limit)
        steps = mahalanobis.smallest_step(made.ellipsoid, len(made.mean), found.limit)
        size = float(np.log(steps).mean())
        if best is None or size < best[0]:
            best = size, shape, found
    if best is None:
        raise FitError("no shape of window to choose from")
    return best[1], best[2]


def _held_out_scores(runs: Sequence[F8], shape: Shape, choices: Choices) -> list[F8]:
    """Persistent scores of each block of windows under the ellipsoid of the other blocks, in unbroken runs.

    Windows that share a row with the block are left out of both sides of the fit.
    """
    mean, scale = _standard(runs)
    folded = [mahalanobis.features((run - mean) / scale, shape) for run in runs]
    feature = np.vstack(folded)
    run_of = np.repeat(np.arange(len(folded)), [len(f) for f in folded])
    index = np.arange(len(feature))
    scores = []
    for block in np.array_split(index, FOLDS):
        fitted = (index < block[0] - shape.window) | (index > block[-1] + shape.window)
        ellipsoid = mahalanobis.fit(feature[fitted], len(mean), shape)
        distance = np.sqrt(mahalanobis.distance2(ellipsoid, feature[block]))
        scores += [persistent(run, choices.persistence) for run in _unbroken(distance, run_of[block])]
    return scores


def _limited(scores: Sequence[F8], shape: Shape, choices: Choices) -> Threshold:
    return threshold(
        scores,
        budget_alarms_per_day=choices.budget_alarms_per_day,
        period_s=choices.period_s,
        apart=shape.window,
    )


def _unbroken(score: F8, run_of: I8) -> list[F8]:
    return np.split(score, np.flatnonzero(np.diff(run_of)) + 1)


def _score_holdout(trial: Detector, late: Sequence[F8], choices: Choices) -> dict[str, float]:
    runs = [persistent(mahalanobis.score(trial, run)[0], choices.persistence) for run in late]
    score = np.concatenate(runs) if runs else np.empty(0)
    alarms = len(peaks(runs, 1.0, choices.window))
    hours = len(score) * choices.period_s / 3600.0
    return {
        "rows": len(score),
        "hours": hours,
        "alarms": alarms,
        "over_percent": 100.0 * float(np.mean(score > 1.0)) if len(score) else 0.0,
        "largest": float(score.max()) if len(score) else 0.0,
    }
