"""A belief corrected by the measurements that are there.

With deviations X of the state and Y of the outputs (linear: X = S, Y = C S; else those of cubature points):

    S_jj = Y_j Y_j' + r_j                     nu_j = y_j - mean_j
    K    = X Y' (Y Y' + R)^-1                 rows that are used only
    x    = x- + K nu
    S    = tria [X - K Y, K R^1/2]            Joseph's (I - K C) P- (I - K C)' + K R K' as a root

Joseph's form holds for any K: a row of K set to zero leaves that state alone and the covariance true (Schmidt 1966),
which is how a frozen health parameter is only considered. No form of P is ever subtracted, so none can go indefinite.

The gate: nu_j^2 > GATE S_jj is refused. After REJECTIONS in a row the filter is lost, not the sensor: P grows until
the innovation stands at the gate (fading memory), and the row is taken with its innovation bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8, I8, Mask
from agent.twin.filtering.bounds import bounds
from agent.twin.filtering.predict import Spread, points, spread
from agent.twin.filtering.roots import tria, variances
from agent.twin.filtering.values import Belief, Innovation, Sample, Trim
from agent.twin.plant import Plant

# chi-square with one degree of freedom passes 10.83 once in 1000.
GATE = 10.83
REJECTIONS = 3
BOUND = 4.0
MOST_FADING = 100.0
# Variances do not grow beyond this many times the prior: a row that no state can explain must not blow up P.
WIDEST = 1e4
# Share of S that the sensor has at least: two exact sensors of one state must not make S singular.
LEAST_SHARE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A belief and the outputs it leads to: wide f8[n,q] its deviations, outputs mean f8[p+v] and wide f8[p+v,q]."""

    belief: Belief
    wide: F8
    outputs: Spread


def seen(plant: Plant, belief: Belief, u: F8) -> Seen:
    """The outputs of a belief under inputs u f8[m]."""
    m = plant.affine
    if m is not None:
        return Seen(belief, belief.root, Spread(m.C @ belief.x + m.D @ u + m.c, m.C @ belief.root))
    xi = points(belief)
    return Seen(belief, (xi - belief.x).T / np.sqrt(len(xi)), spread(plant.observe(xi, u)))


def corrected(plant: Plant, belief: Belief, sample: Sample, rejected: I8, trim: Trim) -> tuple[Belief, I8, Innovation]:
    """The belief after a sample, how many innovations in a row each sensor then has had refused, what it said."""
    p = len(plant.outputs)
    before = seen(plant, belief, sample.u)
    spread_sq = variances(before.outputs.wide)
    r = np.maximum(plant.noise * sample.weight, LEAST_SHARE * spread_sq[:p])
    sd = np.sqrt(spread_sq[:p] + r)
    nu = sample.y - before.outputs.mean[:p]
    here = np.isfinite(nu)
    z = np.where(here, nu / sd, 0.0)
    wild = z * z > GATE
    if not trim.bounded:
        rejected = np.where(here, np.where(wild, rejected + 1, 0), rejected)
    refused = wild & (rejected < REJECTIONS) if not trim.bounded else np.zeros(p, np.bool_)
    said = Innovation(nu, sd, refused.astype(np.int64), before.outputs.mean, np.sqrt(spread_sq))
    used = here & ~refused
    if not used.any():
        return belief, rejected, said
    if not trim.bounded and (wild & used).any():
        belief = _faded(plant, belief, float(np.max(z[used] ** 2)) / GATE, frozen=trim.frozen)
        before = seen(plant, belief, sample.u)
    return _taken(plant, before, sample, r, used, trim), rejected, said


def _faded(plant: Plant, belief: Belief, factor: float, *, frozen: bool) -> Belief:
    """P grown by a factor, never beyond what is WIDEST; frozen health states as they were."""
    widest = float(np.max(variances(belief.root) / np.diag(plant.prior[1])))
    factor = min(factor, MOST_FADING, max(WIDEST / widest, 1.0))
    grown = np.full(len(belief.x), np.sqrt(factor))
    if frozen:
        grown[bounds(plant).health] = 1.0
    return Belief(belief.x, grown[:, None] * belief.root)


def _taken(plant: Plant, before: Seen, sample: Sample, r: F8, used: Mask, trim: Trim) -> Belief:
    """Joseph's form over the rows that are used, each in standard deviations of its innovation."""
    rows = np.flatnonzero(used)
    X, Y, mean = before.wide, before.outputs.wide[rows], before.outputs.mean[rows]
    sd = np.sqrt(variances(Y) + r[rows])
    Y = Y / sd[:, None]
    noise = np.asarray(np.sqrt(r[rows]) / sd, np.float64)
    z = np.minimum(np.maximum((sample.y[rows] - mean) / sd, -BOUND), BOUND)
    # K' = (Y Y' + R)^-1 Y X'
    K = np.asarray(np.linalg.solve(Y @ Y.T + np.diag(noise * noise), Y @ X.T), np.float64).T
    K = _stilled(plant, before.belief, K, Y, noise, trim)
    root = tria(np.concatenate([X - K @ Y, K * noise], axis=1))
    return Belief(before.belief.x + K @ z, root)


def _stilled(plant: Plant, belief: Belief, K: F8, Y: F8, noise: F8, trim: Trim) -> F8:
    """The gain f8[n,k] without the rows of health states that are frozen, or of which the sample says too little."""
    health = bounds(plant).health
    if health.size and trim.frozen:
        K = K.copy()
        K[health] = 0.0
    elif health.size and trim.floor > 0.0:
        # Share of its variance that the sample takes from a state: (K S K')_ii / P_ii.
        told = variances(np.concatenate([K[health] @ Y, K[health] * noise], axis=1))
        K = K.copy()
        K[health[told < trim.floor * variances(belief.root)[health]]] = 0.0
    return K
