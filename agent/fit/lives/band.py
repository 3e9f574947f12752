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
PARTS = 10
FEWEST_UNITS = 8


def band(estimate: F8, life: F8, unit: I8, cap: float) -> F8:
    """Knots f8[4, k] of the estimate and the p5, p50, p95 that belong to it, from held-out rows of several units.

    p50 is the estimate itself, but the cap where most units at such an estimate last longer."""
    true = np.minimum(life, cap)
    edges = np.unique(np.quantile(estimate, np.linspace(0.0, 1.0, PARTS + 1)))
    at, low, high = [], [], []
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        inside = (estimate >= a) & (estimate <= b)
        if len(np.unique(unit[inside])) < min(FEWEST_UNITS, len(np.unique(unit))):
            continue
        ends = _ends(true[inside] - estimate[inside], unit[inside])
        middle = float(estimate[inside].mean())
        at.append(middle)
        low.append(ends[0])
        high.append(ends[1])
    knots = np.linspace(0.0, cap, 51)
    p50 = np.where(knots >= cap * (1.0 - 1e-9), cap, knots)
    p5 = np.minimum(np.clip(knots + np.interp(knots, at, low), 0.0, cap), p50)
    p95 = np.maximum(np.clip(knots + np.interp(knots, at, high), 0.0, cap), p50)
    rising = [np.maximum.accumulate(row) for row in (p5, p50, p95)]
    return np.vstack([knots, *rising])


def _ends(error: F8, unit: I8) -> tuple[float, float]:
    names, place, count = np.unique(unit, return_inverse=True, return_counts=True)
    weight = 1.0 / count[place] / len(names)
    outward = LEVELS[0] / len(names)
    return tuple(weighted(error, weight, q) for q in (LEVELS[0] - outward, LEVELS[1] + outward))  # type: ignore[return-value]


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
