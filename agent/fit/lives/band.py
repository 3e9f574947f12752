"""A calibrated band around an estimate, from estimates of units that the networks were not trained on.

Rows of one unit are not exchangeable: a unit that wears slowly does so all its life. What is exchangeable are units, so
each counts once in a part of the band, whatever its rows (pooled conformal for groups: Dunn, Wasserman, Ramdas, JASA
118 (2023) 2491), and each part of the estimates is calibrated on its own (Mondrian: Vovk 2012):

    within a part, q_a = weighted a-quantile of (life, at most the cap), weights 1 / rows of the unit in the part,
    with a = 0.05 - 0.05 / K outward and 0.95 + 0.05 / K, K units in the part
"""

from __future__ import annotations

import math

import numpy as np

from agent.core.nouns import F8, I8

LEVELS = (0.05, 0.95)
# Ends of the parts, in shares of the cap: narrower near it, where most estimates are.
PARTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)
KNOTS = 101
FEWEST_UNITS = 8
# The estimate is "more than the cap" where so many units at such an estimate last longer.
SURE = 0.75


def band(estimate: F8, life: F8, unit: I8, cap: float) -> F8:
    """Knots f8[4, k] of the estimate and the p5, p50, p95 that belong to it, from held-out rows of several units.

    p50 is the estimate itself, but the cap where 3 of 4 units at such an estimate last longer than that."""
    true = np.minimum(life, cap)
    at, ends, certain = [], [], cap
    for a, b in _parts(estimate, unit, cap):
        inside = (estimate >= a) & (estimate <= b)
        weight, low, high = _weighed(true[inside] - estimate[inside], unit[inside])
        at.append(float(weight @ estimate[inside]))
        ends.append((low, high))
        if certain == cap and weighted(true[inside], weight, 1.0 - SURE) >= cap:
            certain = a
    knots = np.linspace(0.0, cap, KNOTS)
    p50 = np.where(knots >= max(certain, cap / 2.0), cap, knots)
    low, high = (np.interp(knots, at, each) for each in zip(*ends, strict=True))
    p5, p95 = np.clip(knots + low, 0.0, cap), np.clip(knots + high, 0.0, cap)
    rising = [np.maximum.accumulate(row) for row in (np.minimum(p5, p50), p50, np.maximum(p95, p50))]
    return np.vstack([knots, *rising])


def _parts(estimate: F8, unit: I8, cap: float) -> list[tuple[float, float]]:
    """(from, to) of each part; one with too few units is joined with the next, the last with the one before it."""
    fewest, found = min(FEWEST_UNITS, len(np.unique(unit))), list[tuple[float, float]]()
    start = 0.0
    for end in PARTS[1:]:
        inside = (estimate >= start * cap) & (estimate <= end * cap)
        if len(np.unique(unit[inside])) >= fewest:
            found.append((start * cap, end * cap))
            start = end
    if not found:
        return [(0.0, cap)]
    return [*found[:-1], (found[-1][0], cap)]


def _weighed(error: F8, unit: I8) -> tuple[F8, float, float]:
    """Weight of each row f8[n], and the ends of the band as errors."""
    names, place, count = np.unique(unit, return_inverse=True, return_counts=True)
    weight = 1.0 / count[place] / len(names)
    outward = LEVELS[0] / len(names)
    low, high = (weighted(error, weight, q) for q in (LEVELS[0] - outward, LEVELS[1] + outward))
    return weight, low, high


def weighted(value: F8, weight: F8, level: float) -> float:
    """The smallest value at which the weights add up to `level` of their sum."""
    order = np.argsort(value, kind="stable")
    total = np.cumsum(weight[order])
    place = int(np.searchsorted(total, level * total[-1]))
    return float(value[order[min(place, len(order) - 1)]])


def wilson(hits: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    share, s = hits / of, z * z / of
    middle, half = share + s / 2.0, z * math.sqrt(share * (1.0 - share) / of + s / (4.0 * of))
    return (middle - half) / (1.0 + s), (middle + half) / (1.0 + s)
