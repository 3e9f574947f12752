"""Family `mahalanobis`: the inverse covariance of healthy features, drawn round the lively windows too."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agent.core.nouns import F8
from agent.fit.detection import ellipsoid
from agent.fit.detection.member import Member

# A difference between tags that is below 1 % of their spread is not judged: it keeps M finite for collinear tags.
RIDGE = 1e-4
TINY = 1e-12
SHRINKAGES = (0.0, 0.1, 0.5)
ROUNDS = (0, 3)
# Windows needed for each feature: below it a covariance is guesswork.
WINDOWS_A_FEATURE = 4


def settings(features: int, windows: int) -> list[Mapping[str, float]]:
    """What may be tried with so many features and windows. shrinkage 0..1 of the correlations towards none; rounds of
    the re-weighting towards the smallest ellipsoid around all healthy windows; trend 0..1: how far one that stands in
    the recording is granted to go on."""
    if features * WINDOWS_A_FEATURE > windows:
        return []
    return [{"shrinkage": shrinkage, "rounds": rounds, "trend": 1.0} for shrinkage in SHRINKAGES for rounds in ROUNDS]


def fit(healthy: F8, tags: int, *, shrinkage: float, rounds: float, trend: float = 1.0) -> Member:
    """The ellipsoid of healthy features f8[n, F].

    A covariance is ruled by the many quiet windows, false alarms by the few lively ones (changes of recipe). Each
    round gives a window weight in proportion to its d2 (Khachiyan's step towards the minimum-volume ellipsoid), so
    directions in which healthy windows go far become long, and the limit can be near in all others.
    """
    spread = ellipsoid.spreads(healthy)
    weight = np.full(len(healthy), 1.0 / len(healthy))
    scaled = healthy / spread
    granted = trend * np.diag(ellipsoid.allowance(scaled))
    for _ in range(int(rounds) + 1):
        centre = weight @ scaled
        away = scaled - centre
        inverse = np.linalg.inv(_covariance(away, weight, shrinkage) + granted)
        weight = weight * np.maximum(np.einsum("ni,ni->n", away @ inverse, away), TINY)
        weight /= weight.sum()
    return Member(ellipsoid.of(centre * spread, inverse / np.outer(spread, spread), tags))


def _covariance(away: F8, weight: F8, shrinkage: float) -> F8:
    covariance = (away * weight[:, None]).T @ away
    diagonal = np.diag(np.diag(covariance))
    return (1.0 - shrinkage) * covariance + shrinkage * diagonal + RIDGE * np.eye(len(covariance))
