"""A belief run on: by matrices where the kind is linear, by cubature points where it is not.

    linear      x- = A x + b,   S- = tria [A S, Q^1/2],            b = B u + a
    cubature    xi = x +- sqrt(n) S e_i,   xi- = f(xi, u, dt)      2 n points, each of weight 1 / 2n
                x- = mean xi-,  S- = tria [(xi- - x-) / sqrt(2n), Q^1/2]

(Arasaratnam and Haykin 2009; QR forms after van der Merwe and Wan 2001.) Whole periods are taken with the kind's own
period, what is left over in one further step: a kind identified in discrete time stays on its grid as long as the
samples do. A gap of k periods in a linear kind is one step of A^k, by repeated squaring.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from agent.core.nouns import F8
from agent.twin.filtering.bounds import bounds
from agent.twin.filtering.roots import floored, tria
from agent.twin.filtering.values import Belief, Trim
from agent.twin.plant import Plant

# Of the prior variance, in each step and direction: no state comes to be known for certain, as one at the bottom of a
# tank would.
LEAST = 1e-12
MOST_STEPS = 64


def predicted(plant: Plant, belief: Belief, u: F8, dt_ns: int, trim: Trim) -> Belief:
    """The belief a time dt_ns >= 0 later, the inputs u f8[m] held."""
    periods, rest_ns = divmod(dt_ns, bounds(plant).period_ns)
    if plant.affine is not None:
        belief = _leap(plant, belief, u, periods, trim)
        return _step(plant, belief, u, rest_ns * 1e-9, trim) if rest_ns else belief
    if periods > MOST_STEPS:
        steps = [dt_ns * 1e-9 / MOST_STEPS] * MOST_STEPS
    else:
        steps = [plant.period_s] * periods + [rest_ns * 1e-9] * (rest_ns > 0)
    for step_s in steps:
        belief = _drift(plant, belief, u, step_s, trim)
    return belief


def deviations(root: F8) -> F8:
    """The 2n cubature points of a belief, less its mean: +-sqrt(n) S e_i, f8[2n,n]."""
    return np.asarray(_ways(len(root)).dot(root.T), np.float64)


@lru_cache(maxsize=64)
def _ways(n: int) -> F8:
    away = math.sqrt(n) * np.eye(n)
    return np.concatenate([away, -away])


def middle(values: F8) -> F8:
    """The mean f8[k] of points f8[q,k]."""
    return np.asarray(_even(len(values)).dot(values), np.float64)


@lru_cache(maxsize=64)
def _even(q: int) -> F8:
    return np.full(q, 1.0 / q)


@lru_cache(maxsize=1024)
def noise_root(plant: Plant, reference: float, frozen: bool) -> F8:
    """A root of the process noise of one period, none for health states that are frozen: f8[n,n]."""
    return _noise_root(plant, plant.Q, reference, frozen=frozen)


def _noise_root(plant: Plant, Q: F8, reference: float, *, frozen: bool) -> F8:
    Qr = floored(reference * Q, np.sqrt(np.diag(plant.prior[1])), LEAST)
    if frozen:
        Qr[bounds(plant).health] = 0.0
    return Qr


def _root_of(plant: Plant, dt_s: float, trim: Trim) -> F8:
    if dt_s == plant.period_s:
        return noise_root(plant, trim.reference, trim.frozen)
    return _noise_root(plant, plant.kind.process_noise(plant.params, dt_s), trim.reference, frozen=trim.frozen)


def _drift(plant: Plant, belief: Belief, u: F8, dt_s: float, trim: Trim) -> Belief:
    """One step of a nonlinear kind."""
    xi = plant.advance(belief.x + deviations(belief.root), u, dt_s)
    mean = middle(xi)
    if trim.frozen:
        # Not even by rounding.
        health = bounds(plant).health
        mean[health] = belief.x[health]
    wide = (xi - mean).T / math.sqrt(len(xi))
    return Belief(mean, tria(np.concatenate([wide, _root_of(plant, dt_s, trim)], axis=1)))


def _step(plant: Plant, belief: Belief, u: F8, dt_s: float, trim: Trim) -> Belief:
    """One step of a linear kind, of another length than the period."""
    m = plant.kind.affine(plant.params, dt_s)
    assert m is not None
    return _carried(belief, m.A, m.B @ u + m.a, _root_of(plant, dt_s, trim))


def _leap(plant: Plant, belief: Belief, u: F8, periods: int, trim: Trim) -> Belief:
    """`periods` steps of a linear kind."""
    if not periods:
        return belief
    m = plant.affine
    assert m is not None
    A, b, Qr = m.A, m.B @ u + m.a, noise_root(plant, trim.reference, trim.frozen)
    # (A1, b1, Q1) then (A2, b2, Q2) is (A2 A1, A2 b1 + b2, A2 Q1 A2' + Q2)
    while periods:
        if periods & 1:
            belief = _carried(belief, A, b, Qr)
        periods >>= 1
        if periods:
            Qr = tria(np.concatenate([A @ Qr, Qr], axis=1))
            A, b = A @ A, A @ b + b
    return belief


def _carried(belief: Belief, A: F8, b: F8, Qr: F8) -> Belief:
    return Belief(A @ belief.x + b, tria(np.concatenate([A @ belief.root, Qr], axis=1)))
