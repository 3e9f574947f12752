"""A belief corrected by the measurements that are there, one row after the other.

State and outputs are one Gaussian: mean z = [x; y-], deviations Z = [X; Y] with covariance Z Z' (linear: X = S and
Y = C S; else those of the cubature points). Row j of the outputs, measured as y_j with noise r_j:

    g = Z Z_j'      s = g_j + r_j
    z+ = z + g / s (y_j - z_j)
    Z+ = Z - g Z_j / (s + (r_j s)^1/2)                      Potter 1963; Bierman 1977

Z+ Z+' is Joseph's (I - k C) P (I - k C)' + k r k' with k = g / s, but P is never formed, no matrix is inverted and no
variance subtracted: nothing can go indefinite. A state that shall stand still keeps its x and is given back what it
would have lost, as one more column g_i / s^1/2 of Z+: it is considered, not estimated (Schmidt 1966).

The gate: an innovation with nu^2 > GATE s is refused. After REJECTIONS in a row the filter is lost, not the sensor: P
grows until the innovation stands at the gate (fading memory), and the row is taken with its innovation bounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8, I8
from agent.twin.filtering.bounds import bounds, length
from agent.twin.filtering.predict import deviations, middle
from agent.twin.filtering.roots import tria, variances
from agent.twin.filtering.values import Belief, Innovation, Sample, Trim
from agent.twin.plant import Plant

Rows = list[int]
States = npt.NDArray[np.intp]

# chi-square with one degree of freedom passes 10.83 once in 1000.
GATE = 10.83
CALM = math.sqrt(GATE)
REJECTIONS = 3
BOUND = 4.0
MOST_FADING = 100.0
# Variances do not grow beyond this many times the prior: a row that no state can explain must not blow up P.
WIDEST = 1e4


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """State and outputs together: mean f8[n+p+v], wide f8[n+p+v,q] with covariance wide wide'."""

    mean: F8
    wide: F8


def joint(plant: Plant, belief: Belief, u: F8) -> Joint:
    """A belief with the outputs it leads to under inputs u f8[m]."""
    m, x = plant.affine, belief.x
    if m is not None:
        mean, wide = m.C @ x + m.D @ u + m.c, m.C @ belief.root
        return Joint(np.concatenate([x, mean]), np.concatenate([belief.root, wide]))
    around = deviations(belief.root)
    y = plant.observe(x + around, u)
    mean = middle(y)
    wide = np.concatenate([around, y - mean], axis=1).T / math.sqrt(len(y))
    return Joint(np.concatenate([x, mean]), wide)


def corrected(plant: Plant, belief: Belief, sample: Sample, rejected: I8, trim: Trim) -> tuple[Belief, I8, Innovation]:
    """The belief after a sample, how many innovations in a row each sensor then has had refused, what it said."""
    n, p = len(belief.x), len(plant.outputs)
    before = joint(plant, belief, sample.u)
    r, variance = plant.noise * sample.weight, variances(before.wide[n:])
    sd = np.sqrt(variance[:p] + r)
    nu = sample.y - before.mean[n : n + p]
    size = nu / sd
    # All there and none wild, at a glance; an absent one (NaN) is not below the gate either.
    if length(size) <= CALM:
        rows, fade, rejected, refused = _all(p)
    else:
        rows, fade, rejected, refused = _gated(size, rejected, bounded=trim.bounded)
    said = Innovation(nu, sd, refused, before.mean[n:], np.sqrt(variance))
    if fade > 1.0:
        belief = _faded(plant, belief, fade, frozen=trim.frozen)
        before = joint(plant, belief, sample.u)
    if rows:
        belief = taken(before, n, rows, sample.y, r, _still(plant, before, r, rows, trim))
    return belief, rejected, said


def taken(before: Joint, n: int, rows: Rows, y: F8, r: F8, still: States, bound: float = BOUND) -> Belief:
    """The belief of n states after rows of y f8[p] with noise r f8[p]; no innovation counts more than one of `bound`
    standard deviations (Huber), and the states `still` stay what they are."""
    z, Z = before.mean, before.wide
    ys, rs = y.tolist(), r.tolist()
    for j in rows:
        Zj, rj = Z[n + j], rs[j]
        g = Z.dot(Zj)
        s = float(g[n + j]) + rj
        most = bound * math.sqrt(s)
        move = g * (min(max(ys[j] - float(z[n + j]), -most), most) / s)
        Z = Z - (g / (s + math.sqrt(rj * s)))[:, None] * Zj
        if still.size:
            move[still] = 0.0
            given = np.zeros((len(Z), 1))
            given[still, 0] = g[still] / math.sqrt(s)
            Z = np.concatenate([Z, given], axis=1)
        z = z + move
    root = Z[:n]
    return Belief(z[:n], root if root.shape[1] == n else tria(root))


@lru_cache(maxsize=64)
def _all(p: int) -> tuple[Rows, float, I8, I8]:
    none = np.zeros(p, np.int64)
    none.flags.writeable = False
    return list(range(p)), 1.0, none, none


def _gated(size: F8, rejected: I8, *, bounded: bool) -> tuple[Rows, float, I8, I8]:
    """Rows to use, the factor by which P must grow first, rejections in a row i8[p], refused now i8[p].

    size f8[p]: innovations in standard deviations, NaN where absent."""
    here = np.isfinite(size)
    if bounded:
        return np.flatnonzero(here).tolist(), 1.0, rejected, np.zeros(len(size), np.int64)
    wild = here & (np.abs(size) > CALM)
    rejected = np.where(here, np.where(wild, rejected + 1, 0), rejected)
    refused = wild & (rejected < REJECTIONS)
    lost = float(np.max(np.abs(size[wild & ~refused]), initial=0.0))
    return (
        np.flatnonzero(here & ~refused).tolist(),
        min(lost**2 / GATE, MOST_FADING),
        rejected,
        refused.astype(np.int64),
    )


def _faded(plant: Plant, belief: Belief, factor: float, *, frozen: bool) -> Belief:
    """P grown by a factor, never beyond what is WIDEST; frozen health states as they were."""
    widest = float(np.max(variances(belief.root) / np.diag(plant.prior[1])))
    grown = np.full(len(belief.x), math.sqrt(min(factor, max(WIDEST / widest, 1.0))))
    if frozen:
        grown[bounds(plant).health] = 1.0
    return Belief(belief.x, grown[:, None] * belief.root)


def _still(plant: Plant, before: Joint, r: F8, rows: Rows, trim: Trim) -> States:
    """The states that a sample must not move: health that is frozen, or of which it says too little."""
    health = bounds(plant).health
    if trim.frozen or trim.floor <= 0.0 or not health.size:
        return health if trim.frozen else health[:0]
    # Share of its variance that the sample would take from a state: the sum of its squared correlations with the rows.
    X, Y = before.wide[health], before.wide[plant.n + np.array(rows)]
    told = (X @ Y.T) ** 2 / (variances(Y) + r[rows])
    return np.asarray(health[np.sum(told, axis=1) < trim.floor * variances(X)], np.intp)
