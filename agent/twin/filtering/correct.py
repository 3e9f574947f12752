"""A belief corrected by the measurements that are there, one row after the other.

State and outputs are one Gaussian: mean z = [x; y-], deviations Z = [X; Y] (linear: X = S, Y = C S; else those of the
cubature points). Row j of the outputs, measured as y_j with noise r_j:

    s = Z_j Z_j' + r_j          k = Z Z_j' / s
    z+ = z + k (y_j - z_j)      Z+ = [Z - k Z_j, k r_j^1/2]

The second is Joseph's (I - k C) P (I - k C)' + k r k' as a root: nothing is subtracted from P and no matrix inverted,
so nothing can go indefinite. It holds for any k: a row of k set to zero leaves that state alone and the covariance
true (Schmidt 1966), which is how a frozen health parameter is considered without being changed.

The gate: an innovation with nu^2 > GATE s is refused. After REJECTIONS in a row the filter is lost, not the sensor: P
grows until the innovation stands at the gate (fading memory), and the row is taken with its innovation bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8, I8
from agent.twin.filtering.bounds import bounds
from agent.twin.filtering.predict import points, spread
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
    xi = points(belief)
    mean, wide = spread(plant.observe(xi, u))
    return Joint(np.concatenate([x, mean]), np.concatenate([(xi - x).T / np.sqrt(len(xi)), wide]))


def corrected(plant: Plant, belief: Belief, sample: Sample, rejected: I8, trim: Trim) -> tuple[Belief, I8, Innovation]:
    """The belief after a sample, how many innovations in a row each sensor then has had refused, what it said."""
    n, p = len(belief.x), len(plant.outputs)
    r = plant.noise * sample.weight
    before = joint(plant, belief, sample.u)
    spread_sq = variances(before.wide[n:])
    sd = np.sqrt(spread_sq[:p] + r)
    nu = sample.y - before.mean[n : n + p]
    here = np.isfinite(nu)
    size = np.abs(np.where(here, nu, 0.0)) / sd
    refused = np.zeros(p, np.bool_)
    if not trim.bounded:
        wild = size * size > GATE
        rejected = np.where(here, np.where(wild, rejected + 1, 0), rejected)
        refused = wild & (rejected < REJECTIONS)
        lost = size[wild & ~refused]
        if lost.size:
            belief = _faded(plant, belief, float(np.max(lost)) ** 2 / GATE, frozen=trim.frozen)
            before = joint(plant, belief, sample.u)
    said = Innovation(nu, sd, refused.astype(np.int64), before.mean[n:], np.sqrt(spread_sq))
    rows = np.flatnonzero(here & ~refused)
    if not rows.size:
        return belief, rejected, said
    still = _still(plant, belief, before, r, rows, trim)
    mean, wide = taken(before, n, rows, sample.y, r, still)
    return Belief(mean, tria(wide)), rejected, said


def taken(
    before: Joint, n: int, rows: npt.NDArray[np.intp], y: F8, r: F8, still: npt.NDArray[np.intp], bound: float = BOUND
) -> tuple[F8, F8]:
    """Mean f8[n] and deviations f8[n,q] of the state after rows of y f8[p] with noise r f8[p]; no innovation counts
    more than one of `bound` standard deviations (Huber), and the states `still` stay what they are."""
    z, Z = before.mean, before.wide
    for j in rows:
        Zj = Z[n + j]
        s = float(Zj @ Zj) + r[j]
        k = (Z @ Zj) / s
        k[still] = 0.0
        most = bound * s**0.5
        z = z + k * min(max(y[j] - z[n + j], -most), most)
        Z = np.concatenate([Z - k[:, None] * Zj, (r[j] ** 0.5 * k)[:, None]], axis=1)
    return z[:n], Z[:n]


def _faded(plant: Plant, belief: Belief, factor: float, *, frozen: bool) -> Belief:
    """P grown by a factor, never beyond what is WIDEST; frozen health states as they were."""
    widest = float(np.max(variances(belief.root) / np.diag(plant.prior[1])))
    factor = min(factor, MOST_FADING, max(WIDEST / widest, 1.0))
    grown = np.full(len(belief.x), np.sqrt(factor))
    if frozen:
        grown[bounds(plant).health] = 1.0
    return Belief(belief.x, grown[:, None] * belief.root)


def _still(
    plant: Plant, belief: Belief, before: Joint, r: F8, rows: npt.NDArray[np.intp], trim: Trim
) -> npt.NDArray[np.intp]:
    """The states that a sample must not move: health that is frozen, or of which it says too little."""
    health = bounds(plant).health
    if trim.frozen or not health.size or trim.floor <= 0.0:
        return health if trim.frozen else health[:0]
    # Share of its variance that the sample would take from a state: the sum of squared correlations.
    n, X = len(belief.x), before.wide[health]
    Y = before.wide[n + rows]
    told = (X @ Y.T) ** 2 / (variances(Y) + r[rows])
    return np.asarray(health[np.sum(told, axis=1) < trim.floor * variances(X)], np.intp)
