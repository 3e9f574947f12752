"""Runge-Kutta steps over rows of states: Kutta 1901, the classical fourth order."""

from __future__ import annotations

from math import ceil

import numpy as np

from agent.core.nouns import F8
from agent.twin.kinds.physics.plan import Plan, Slots, run

SCHEMES = ("rk4", "euler")


def integrated(plan: Plan, slots: Slots, z: F8, dt_s: float, substep_s: float, scheme: str) -> F8:
    """States f8[n, ...] a time dt_s later, in the fewest equal steps of at most substep_s. Each stays in its bounds."""
    if not len(z):
        return z
    steps = max(1, ceil(dt_s / substep_s - 1e-9))
    h = dt_s / steps
    column = (len(z), *(1,) * (z.ndim - 1))
    low, high = plan.low.reshape(column), plan.high.reshape(column)
    step = _rk4 if scheme == "rk4" else _euler
    for _ in range(steps):
        z = step(plan, slots, z, h)
        # fmax takes the bound where the other is NaN: a state is a number, always.
        np.fmin(np.fmax(z, low, out=z), high, out=z)
    return z


def _rk4(plan: Plan, slots: Slots, z: F8, h: float) -> F8:
    half, whole, sixth = np.array(0.5 * h), np.array(h), np.array(h / 6.0)
    k1 = _rate(plan, slots, z)
    k2 = _rate(plan, slots, half * k1 + z)
    k3 = _rate(plan, slots, half * k2 + z)
    k4 = _rate(plan, slots, whole * k3 + z)
    # z + h / 6 (k1 + 2 k2 + 2 k3 + k4)
    k2 += k3
    k2 += k2
    k2 += k1
    k2 += k4
    k2 *= sixth
    k2 += z
    return k2


def _euler(plan: Plan, slots: Slots, z: F8, h: float) -> F8:
    return np.asarray(z + h * _rate(plan, slots, z), np.float64)


def _rate(plan: Plan, slots: Slots, z: F8) -> F8:
    """dz/dt of every row."""
    for at, row in zip(plan.states, z, strict=True):
        slots[at] = row
    run(plan.moving, slots)
    rate = np.empty(z.shape)
    for i, at in enumerate(plan.rates):
        rate[i] = slots[at]
    return rate
