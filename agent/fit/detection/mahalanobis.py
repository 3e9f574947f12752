"""Distance of a window from the healthy ones, and how much of it each tag explains. numpy, as the graph computes it.

    z = (x - mean) / scale                    each tag of each row
    f = z' weights                            each tag's mean over each of K stretches of the window: C * K features
    d2 = (f - c)' M (f - c)                   c, M from healthy windows
    e_t = (f - c)' M B_t (B_t' M B_t)^-1 B_t' M (f - c)

B_t spans the features of tag t alone: e_t is by how much d2 falls if that tag's readings are replaced by those that
fit best (reconstruction-based contribution, Alcala and Qin, Automatica 45 (2009) 1593). A fault in one sensor, once
large, always has the largest e of that sensor, collinear or not; the parts of a plain z-score or of d2 do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8

# A difference between tags that is below 1 % of their spread is not judged: it keeps M finite for collinear tags.
RIDGE = 1e-4
# Of a feature, in spreads of its tag's rows: a tag that stood still in part of the recording is not judged finer.
SMALLEST_SPREAD = 1e-3
TINY = 1e-12
SMALLEST_SCORE = 1e-6


@dataclass(frozen=True, slots=True)
class Shape:
    """How a window is folded and how the healthy set is drawn.

    stretches: rows of each stretch from the newest back, together the window. shrinkage 0..1 of the correlations
    towards none. rounds: of the re-weighting towards the smallest ellipsoid around all healthy windows.
    """

    stretches: tuple[int, ...]
    shrinkage: float
    rounds: int

    @property
    def window(self) -> int:
        """Rows of the window."""
        return sum(self.stretches)

    def weights(self) -> F8:
        """f8[W, K]: each column is the mean over one stretch; the newest row is the last."""
        out = np.zeros((self.window, len(self.stretches)))
        stop = self.window
        for k, rows in enumerate(self.stretches):
            out[stop - rows : stop, k] = 1.0 / rows
            stop -= rows
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Ellipsoid:
    """Healthy windows. centre f8[F]; whitener f8[F, F] with d2 = |(f - c) whitener|^2;
    parts f8[F, C * K] with e_t = the sum of squares of tag t's K columns of (f - c) parts."""

    centre: F8
    whitener: F8
    parts: F8


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """All numbers of a detector. mean, scale f8[C]; the ellipsoid over C * K features; the limit of its distance."""

    mean: F8
    scale: F8
    shape: Shape
    ellipsoid: Ellipsoid
    limit: float


def score(detector: Detector, rows: F8) -> tuple[F8, F8]:
    """Score f8[m] and contributions f8[m, C] of the windows of unbroken rows f8[n, C], in the tags' own units.

    score a = d / limit; contribution = e / limit^2 / a: score times the share of a^2 that the tag explains.
    """
    feature = features((rows - detector.mean) / detector.scale, detector.shape)
    a = np.sqrt(distance2(detector.ellipsoid, feature)) / detector.limit
    e = explained(detector.ellipsoid, feature, len(detector.mean)) / detector.limit**2
    return a, e / np.maximum(a, SMALLEST_SCORE)[:, None]


def features(rows: F8, shape: Shape) -> F8:
    """Features of each full window of unbroken standardised rows f8[n, C]: f8[n - W + 1, C * K]."""
    n, tags = rows.shape
    if n < shape.window:
        return np.empty((0, tags * len(shape.stretches)))
    windows = np.lib.stride_tricks.sliding_window_view(rows, shape.window, axis=0)
    return (windows @ shape.weights()).reshape(len(windows), -1)


def fit(healthy: F8, tags: int, shape: Shape) -> Ellipsoid:
    """The ellipsoid of healthy features f8[n, F].

    A covariance is ruled by the many quiet windows, false alarms by the few lively ones (changes of recipe). Each
    round gives a window weight in proportion to its d2 (Khachiyan's step towards the minimum-volume ellipsoid), so
    directions in which healthy windows go far become long, and the limit can be near in all others.
    """
    spread = np.maximum(healthy.std(axis=0), SMALLEST_SPREAD)
    weight = np.full(len(healthy), 1.0 / len(healthy))
    scaled = healthy / spread
    for _ in range(shape.rounds + 1):
        centre = weight @ scaled
        away = scaled - centre
        inverse = np.linalg.inv(_covariance(away, weight, shape.shrinkage))
        weight = weight * np.maximum(np.einsum("ni,ni->n", away @ inverse, away), TINY)
        weight /= weight.sum()
    inverse = inverse / np.outer(spread, spread)
    whitener: F8 = np.linalg.cholesky(inverse).astype(np.float64)
    return Ellipsoid(centre * spread, whitener, _parts(inverse, tags))


def distance2(ellipsoid: Ellipsoid, feature: F8) -> F8:
    """d2 of features f8[n, F]: f8[n]."""
    return np.asarray(np.square((feature - ellipsoid.centre) @ ellipsoid.whitener).sum(axis=1))


def explained(ellipsoid: Ellipsoid, feature: F8, tags: int) -> F8:
    """e of each tag: f8[n, C]."""
    part = (feature - ellipsoid.centre) @ ellipsoid.parts
    return np.asarray(np.square(part).reshape(len(part), tags, -1).sum(axis=2))


def smallest_step(ellipsoid: Ellipsoid, tags: int, limit: float) -> F8:
    """The step of each tag (f8[C], in its own spreads, over the whole window) that brings d from 0 to the limit."""
    inverse = ellipsoid.whitener @ ellipsoid.whitener.T
    own = [inverse[np.ix_(block, block)].sum() for block in _blocks(len(inverse), tags)]
    return limit / np.sqrt(np.maximum(own, TINY))


def _blocks(size: int, tags: int) -> Sequence[np.ndarray]:
    return np.split(np.arange(size), tags)


def _covariance(away: F8, weight: F8, shrinkage: float) -> F8:
    covariance = (away * weight[:, None]).T @ away
    diagonal = np.diag(np.diag(covariance))
    return (1.0 - shrinkage) * covariance + shrinkage * diagonal + RIDGE * np.eye(len(covariance))


def _parts(inverse: F8, tags: int) -> F8:
    """e_t = |L_t' B_t' M g|^2 with L_t L_t' = (B_t' M B_t)^-1."""
    columns = []
    for block in _blocks(len(inverse), tags):
        lower = np.linalg.cholesky(np.linalg.inv(inverse[np.ix_(block, block)]))
        columns.append(inverse[:, block] @ lower)
    return np.hstack(columns)
