"""Family `pca`: robust principal components, T2 inside their plane and Q beside it as one combined index.

    phi = T2 / l_T + Q / l_Q      T2 = f' P L^-1 P' f,  Q = f' (I - P P') f     (Yue and Qin, IECR 40 (2001) 4403)

which is an ellipsoid again; l_T and l_Q are the 0.99 quantiles of T2 and Q over the healthy windows. Robust: windows
are weighted by their distance (Student's t with 5 degrees of freedom), so that a few odd ones do not turn the plane.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agent.core.nouns import F8
from agent.fit.detection import ellipsoid
from agent.fit.detection.member import Member

KEPT = (0.7, 0.9)
FREEDOM = 5.0
ROUNDS = 4
RIDGE = 1e-4
QUANTILE = 0.99
LEAST_WINDOWS = 30


def settings(features: int, windows: int) -> list[Mapping[str, float]]:
    """kept: share of the variance inside the plane."""
    return [{"kept": kept} for kept in KEPT] if features >= 2 and windows >= LEAST_WINDOWS else []


def fit(healthy: F8, tags: int, *, kept: float) -> Member:
    """The combined index of healthy features f8[n, F]."""
    spread = ellipsoid.spreads(healthy)
    scaled = healthy / spread
    centre, covariance = _robust(scaled)
    covariance = covariance + np.diag(ellipsoid.allowance(scaled))
    value, vector = (each[..., ::-1] for each in np.linalg.eigh(covariance))
    size = len(value)
    inside = min(int(np.searchsorted(np.cumsum(value) / value.sum(), kept)) + 1, size - 1)
    plane, beside = vector[:, :inside], vector[:, inside:]
    away = scaled - centre
    T2 = np.square(away @ plane / np.sqrt(value[:inside])).sum(axis=1)
    Q = np.square(away @ beside).sum(axis=1)
    limit_T, limit_Q = (max(float(np.quantile(each, QUANTILE)), RIDGE * size) for each in (T2, Q))
    # M = P L^-1 P' / l_T + (I - P P') / l_Q
    inverse = (plane / value[:inside]) @ plane.T / limit_T + beside @ beside.T / limit_Q
    return Member(ellipsoid.of(centre * spread, inverse / np.outer(spread, spread), tags))


def _robust(scaled: F8) -> tuple[F8, F8]:
    """Centre f8[F] and scatter f8[F, F] by re-weighting (maximum likelihood under Student's t)."""
    n, size = scaled.shape
    weight = np.ones(n)
    for _ in range(ROUNDS):
        centre = weight @ scaled / weight.sum()
        away = scaled - centre
        covariance = (away * weight[:, None]).T @ away / n + RIDGE * np.eye(size)
        d2 = np.einsum("ni,ni->n", away @ np.linalg.inv(covariance), away)
        weight = (FREEDOM + size) / (FREEDOM + d2)
    return centre, covariance
