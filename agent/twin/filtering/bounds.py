"""What no sample may do to a belief: values that make no sense are cut, and health stays within its physical bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8
from agent.twin.filtering.values import Belief, Sample
from agent.twin.kind import Channel, Health
from agent.twin.plant import Plant

# Scales away from the middle of the recording: beyond it a value only endangers the arithmetic.
ABSURD = 1e6
MOST_WEIGHT = 1e9


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """u f8[m] and y f8[p], their middle and most; u_safe, y_safe: lengths of u and y up to
    which all are within them for certain; period_ns: the grid.
    health: indices h of health states in x, between health_low f8[h] and health_high f8[h]."""

    u_mean: F8
    u_most: F8
    y_mean: F8
    y_most: F8
    u_safe: float
    y_safe: float
    period_ns: int
    health: npt.NDArray[np.intp]
    health_low: F8
    health_high: F8


@lru_cache(maxsize=256)
def bounds(plant: Plant) -> Bounds:
    """The bounds of a plant."""
    u_mean, u_most = _range(plant.inputs)
    y_mean, y_most = _range(plant.outputs)
    return Bounds(
        u_mean=u_mean,
        u_most=u_most,
        y_mean=y_mean,
        y_most=y_most,
        u_safe=_safe(u_mean, u_most),
        y_safe=_safe(y_mean, y_most),
        period_ns=round(plant.period_s * 1e9),
        health=np.array([h.state for h in plant.health], np.intp),
        health_low=np.array([_inner(h, h.low, -np.inf) for h in plant.health], np.float64),
        health_high=np.array([_inner(h, h.high, np.inf) for h in plant.health], np.float64),
    )


def sound(plant: Plant, sample: Sample, u: F8) -> Sample:
    """The sample with absent inputs as they were, u f8[m]; what is absurd cut; weights that can be used."""
    b = bounds(plant)
    # The usual case first: all there, and small enough for certain.
    small = length(sample.u) <= b.u_safe and length(sample.y) <= b.y_safe and length(sample.weight) <= MOST_WEIGHT
    if small and min(sample.weight.tolist()) > 0.0:
        return sample
    held = np.where(np.isfinite(sample.u), sample.u, u)
    y = np.where(np.isfinite(sample.y), sample.y, np.nan)
    return replace(
        sample, u=_cut(held, b.u_mean, b.u_most), y=_cut(y, b.y_mean, b.y_most), weight=usable(sample.weight)
    )


def length(value: F8) -> float:
    """The Euclidean length of a vector; not finite where one of its numbers is not. It cannot overflow."""
    return math.hypot(*value.tolist())


def usable(weight: F8) -> F8:
    """Factors on R that a filter can work with."""
    return np.minimum(np.where(weight > 0.0, weight, 1.0), MOST_WEIGHT)


def physical(plant: Plant, belief: Belief) -> Belief:
    """The belief with its health states within their bounds."""
    b = bounds(plant)
    if not b.health.size:
        return belief
    x = belief.x.copy()
    x[b.health] = np.minimum(np.maximum(x[b.health], b.health_low), b.health_high)
    return replace(belief, x=x)


def _range(channels: tuple[Channel, ...]) -> tuple[F8, F8]:
    return np.array([c.mean for c in channels]), ABSURD * np.array([c.scale for c in channels])


def _safe(mean: F8, most: F8) -> float:
    return max(float(np.min(most, initial=1e150) - np.max(np.abs(mean), initial=0.0)), 0.0)


def _cut(value: F8, mean: F8, most: F8) -> F8:
    return np.minimum(np.maximum(value, mean - most), mean + most)


def _inner(health: Health, value: float, otherwise: float) -> float:
    """A bound as it stands in x; `otherwise` where it is none (NaN, or the logarithm of nothing)."""
    if np.isnan(value) or (health.relative and value / health.nominal <= 0.0):
        return otherwise
    return health.inner(value)
