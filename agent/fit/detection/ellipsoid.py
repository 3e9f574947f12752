"""Distance of features from the healthy ones, and how much of it each tag explains. numpy, as the graph computes it.

    d2 = (f - c)' M (f - c)                   c, M from healthy windows, by one of the families
    e_t = (f - c)' M B_t (B_t' M B_t)^-1 B_t' M (f - c)

B_t spans the features of tag t alone: e_t is by how much d2 falls if that tag's readings are replaced by those that
fit best (reconstruction-based contribution, Alcala and Qin, Automatica 45 (2009) 1593). A fault in one sensor, once
large, always has the largest e of that sensor, collinear or not; the parts of a plain z-score or of d2 do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8

# Of a feature, in spreads of its tag's rows: a tag that stood still in part of the recording is not judged finer.
SMALLEST_SPREAD = 1e-3
# A trend counts where it is so many standard errors; so many times its change over the recording is one spread.
SURE, ONWARD = 2.0, 1.0
BLOCKS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Ellipsoid:
    """Healthy windows. centre f8[F]; whitener f8[F, F] with d2 = |(f - c) whitener|^2;
    parts f8[F, C * K] with e_t = the sum of squares of tag t's K columns of (f - c) parts."""

    centre: F8
    whitener: F8
    parts: F8


def of(centre: F8, inverse: F8, tags: int) -> Ellipsoid:
    """The ellipsoid of a centre f8[F] and a matrix M f8[F, F]."""
    whitener: F8 = np.linalg.cholesky(inverse).astype(np.float64)
    return Ellipsoid(centre, whitener, _parts(inverse, tags))


def distance2(ellipsoid: Ellipsoid, feature: F8) -> F8:
    """d2 of features f8[..., F]: f8[...]."""
    return np.asarray(np.square((feature - ellipsoid.centre) @ ellipsoid.whitener).sum(axis=-1))


def explained(ellipsoid: Ellipsoid, feature: F8, tags: int) -> F8:
    """e of each tag: f8[..., C]."""
    part = (feature - ellipsoid.centre) @ ellipsoid.parts
    return np.asarray(np.square(part).reshape(*part.shape[:-1], tags, -1).sum(axis=-1))


def spreads(healthy: F8) -> F8:
    """Spread of each feature f8[F] of healthy features f8[n, F], never nothing."""
    return np.asarray(np.maximum(healthy.std(axis=0), SMALLEST_SPREAD))


def allowance(healthy: F8) -> F8:
    """Variance f8[F] that each feature is granted because it was on its way somewhere while it was recorded.

    A machine that warms up leaves the range of a short recording soon after it ends. Where the means of BLOCKS blocks
    follow a line beyond doubt, the line may well go on:

        allowance = (ONWARD b)^2          b: change along the line over the recording, 0 where it is in doubt
    """
    means = np.array([block.mean(axis=0) for block in np.array_split(healthy, BLOCKS)])
    place = np.arange(BLOCKS) - (BLOCKS - 1) / 2.0
    slope = _slope(means)
    half = BLOCKS // 2
    early, late = (_slope(part) for part in (means[:half], means[half:]))
    lasting = (early * slope > 0.0) & (late * slope > 0.0)
    left = means - means.mean(axis=0) - place[:, None] * slope
    error2 = np.square(left).sum(axis=0) / (BLOCKS - 2) / (place @ place)
    return np.where(lasting & (slope**2 > SURE**2 * error2), np.square(ONWARD * BLOCKS * slope), 0.0)


def _slope(means: F8) -> F8:
    """Change a block f8[F] of the means of blocks f8[n, F]."""
    place = np.arange(len(means)) - (len(means) - 1) / 2.0
    return np.asarray(place @ means / (place @ place))


def _parts(inverse: F8, tags: int) -> F8:
    """e_t = |L_t' B_t' M g|^2 with L_t L_t' = (B_t' M B_t)^-1."""
    columns = []
    for block in np.split(np.arange(len(inverse)), tags):
        lower = np.linalg.cholesky(np.linalg.inv(inverse[np.ix_(block, block)]))
        columns.append(inverse[:, block] @ lower)
    return np.hstack(columns)
