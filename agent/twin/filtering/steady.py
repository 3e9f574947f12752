"""The gain to which a linear kind's filter settles, for each set of sensors that are there.

    P = A P A' - A P C' (C P C' + R)^-1 C P A' + Q         the covariance before a sample, for ever

by the doubling algorithm (Anderson 1978; Chu, Fan, Lin and Wang 2004): step k holds 2^k steps of the filter.

    A_k+1 = A_k W A_k     G_k+1 = G_k + A_k W G_k A_k'     H_k+1 = H_k + A_k' H_k W A_k     W = (I + G_k H_k)^-1
    A_0   = A'            G_0   = C' R^-1 C                H_0   = Q                        H_k -> P

Once the covariance has arrived there, a sample that comes in its period costs five products of a matrix and a vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from agent.core.nouns import F8, I8, Mask
from agent.twin.filtering import correct, roots
from agent.twin.filtering.bounds import bounds, length, physical, usable
from agent.twin.filtering.predict import noise_root
from agent.twin.filtering.values import Belief, Innovation, Moment, Sample, Trim
from agent.twin.kind import Affine
from agent.twin.plant import Plant

DOUBLINGS = 60
# Of the standard deviations' product: a covariance this near the steady one is taken for it.
ARRIVED = 1e-10
# Of a variance: one that changes more in a step is not near anything yet.
STANDING = 1e-6
# An innovation beyond it is wild, and might overflow.
MOST = 1e100


@dataclass(frozen=True, slots=True, eq=False)
class Steady:
    """What a filter of `model` settles to.

    K f8[n,p], zero for absent rows; root, P f8[n,n] after a sample; sd f8[p], inverse_sd f8[p] (0 for absent rows) and
    spread f8[p+v] of its innovation; here bool[p], whole: all are there; health: it has health states; u_safe:
    length of u up to which inputs make sense for certain."""

    model: Affine
    K: F8
    root: F8
    P: F8
    sd: F8
    inverse_sd: F8
    spread: F8
    rejected: I8
    here: Mask
    whole: bool
    health: bool
    u_safe: float


@lru_cache(maxsize=1024)
def steady(plant: Plant, here: bytes, weight: bytes, reference: float) -> Steady | None:
    """What the filter settles to; None where the covariance has no limit.

    here: bool[p], the sensors that are there; weight: f8[p], factors on R; both as bytes."""
    m, p = plant.affine, len(plant.outputs)
    assert m is not None
    there = np.frombuffer(here, np.bool_)
    used = np.flatnonzero(there)
    r = plant.noise * usable(np.frombuffer(weight, np.float64))
    Qr = noise_root(plant, reference, False)
    P = riccati(m.A, m.C[used], Qr @ Qr.T, r[used], np.sqrt(np.diag(plant.prior[1])))
    if P is None:
        return None
    before = roots.root(P)
    spread_sq = roots.variances(m.C @ before)
    sd = np.sqrt(spread_sq[:p] + r)
    joint = correct.Joint(np.zeros(plant.n + p), np.concatenate([before, m.C[:p] @ before]))
    # K by its columns: what a sensor that is one unit off, alone, does to a state of zero.
    ways = [correct.taken(joint, plant.n, used.tolist(), y, r, used[:0], np.inf) for y in np.eye(p)]
    root = roots.tria(ways[0].root)
    limit = Steady(
        model=m,
        K=np.column_stack([way.x for way in ways]),
        root=root,
        P=root @ root.T,
        sd=sd,
        inverse_sd=there / sd,
        spread=np.sqrt(spread_sq),
        rejected=np.zeros(p, np.int64),
        here=there,
        whole=bool(there.all()),
        health=bool(plant.health),
        u_safe=bounds(plant).u_safe,
    )
    for shared in (limit.root, limit.sd, limit.spread, limit.rejected):
        shared.flags.writeable = False
    return limit


def settled(plant: Plant, now: Moment, sample: Sample, trim: Trim) -> tuple[Moment, Innovation] | None:
    """The moment a period after a settled one and what its sample said; None where that takes more than this gain:
    other sensors are there, inputs are absent, an innovation is wild, health is frozen."""
    u, y, root = sample.u, sample.y, now.belief.root
    limit = steady(plant, np.isfinite(y).tobytes(), sample.weight.tobytes(), trim.reference)
    if limit is None or not (root is limit.root or np.array_equal(root, limit.root)):
        return None
    # An absent input (NaN) is not below it either.
    if not length(u) <= limit.u_safe or (limit.health and (trim.frozen or trim.floor > 0.0)):
        return None
    # x- = A x + B u + a     nu = y - C x- - D u - c     x = x- + K nu
    m = limit.model
    x = m.A.dot(now.belief.x) + m.B.dot(now.u) + m.a
    expected = m.C.dot(x) + m.D.dot(u) + m.c
    nu = y - expected[: len(y)]
    known = nu if limit.whole else np.where(limit.here, nu, 0.0)
    if length(known) > MOST or length(known * limit.inverse_sd) > correct.CALM:
        return None
    x += limit.K.dot(known)
    belief = Belief(x, limit.root)
    if limit.health:
        belief = physical(plant, belief)
    t_ns = now.t_ns + bounds(plant).period_ns
    said = Innovation(nu, limit.sd, limit.rejected, expected, limit.spread)
    return Moment(t_ns, belief, u, limit.rejected, 1), said


def settling(plant: Plant, before: Belief, after: Belief, sample: Sample, trim: Trim) -> Steady | None:
    """What the covariance has settled to, if it has: beliefs a period apart, every sensor that is there used."""
    if plant.health and (trim.frozen or trim.floor > 0.0):
        return None
    # The limit is only worked out for a covariance that stands; weights that differ in each sample would cost much.
    old, new = roots.variances(before.root), roots.variances(after.root)
    if np.any(np.abs(new - old) > STANDING * new):
        return None
    limit = steady(plant, np.isfinite(sample.y).tobytes(), sample.weight.tobytes(), trim.reference)
    if limit is None:
        return None
    far = np.abs(after.P - limit.P) > ARRIVED * np.sqrt(np.outer(new, new))
    return None if far.any() else limit


def riccati(A: F8, C: F8, Q: F8, r: F8, sd: F8) -> F8 | None:
    """P f8[n,n] before a sample; A f8[n,n], C f8[p,n], Q f8[n,n], r f8[p]; sd f8[n]: the scale of each state."""
    n = len(A)
    # Scaled, so that states in pascal and in metres stand side by side.
    scaled = C * sd / np.sqrt(r)[:, None]
    Ak, G, H = (A * sd / sd[:, None]).T, scaled.T @ scaled, Q / np.outer(sd, sd)
    for _ in range(DOUBLINGS):
        W = np.linalg.solve(np.eye(n) + G @ H, np.concatenate([Ak, G @ Ak.T], axis=1))
        more = Ak.T @ H @ W[:, :n]
        Ak, G, H = Ak @ W[:, :n], G + Ak @ W[:, n:], H + 0.5 * (more + more.T)
        size = float(np.trace(H))
        if not size < 1e18:
            return None
        if float(np.trace(more)) <= 1e-16 * size:
            return np.asarray(H * np.outer(sd, sd), np.float64)
    return None
