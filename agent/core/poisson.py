"""Probabilities of a Poisson number: how many alarms come in a time where so many come a day."""

from __future__ import annotations

import math


def at_most(count: int, mean: float) -> float:
    """P(N <= count) for a Poisson N: the sum over i <= count of mean^i exp(-mean) / i!. 0 for a negative count."""
    if mean <= 0.0:
        return float(count >= 0)
    return sum(math.exp(i * math.log(mean) - mean - math.lgamma(i + 1)) for i in range(count + 1))


def at_least(count: int, mean: float) -> float:
    """P(N >= count) for a Poisson N."""
    return max(0.0, 1.0 - at_most(count - 1, mean))
