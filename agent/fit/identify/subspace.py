"""Closed-loop-safe identification of x+ = A x + B u, y = C x + D u from unbroken segments.

A PLC's recordings are closed loop: the noise of a level is in the pump's speed a moment later, and subspace methods
that project future inputs away are biased by it. Here a high-order VARX is fitted first; its coefficients are the
Markov parameters of the predictor, and the state is what they make of the past (SSARX: Jansson 2003; PBSID: Chiuso
2007). Segments are never joined: each contributes the rows it has a full past for.

    y_k = sum_i F_i y_(k-i) + G_i u_(k-i) + G_0 u_k + e_k           VARX of order p
    Gamma L z = U S V^T z,  x = S^(1/2) V^T z                       z: past of [u; y], p rows, newest first
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import schur

from agent.core.nouns import F8

RADIUS = 0.9995  # tanks without outflow are integrators: a stable stand-in forgets within hours
RIDGE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Varx:
    """theta f8[p, m + past (m+p)]: columns u_k, then [u; y] at lags 1..past. covariance f8[p,p] of e."""

    theta: F8
    covariance: F8
    past: int
    inputs: int


@dataclass(frozen=True, slots=True, eq=False)
class Modes:
    """What a state basis of n says: A f8[n,n] (stable), B, C, D, and K f8[n,p], the gain on one-step errors."""

    A: F8
    B: F8
    C: F8
    D: F8
    K: F8
    covariance: F8


def lags(segment: F8, past: int) -> F8:
    """The past of each row from `past` on, newest first: f8[rows - past, past * columns]."""
    rows = len(segment)
    return np.hstack([segment[past - i : rows - i] for i in range(1, past + 1)])


def varx(segments: Sequence[F8], inputs: int, past: int) -> Varx:
    """A VARX by ridge regression over segments f8[rows, m+p] in scaled units."""
    long = [s for s in segments if len(s) > past]
    G = np.vstack([np.hstack([s[past:, :inputs], lags(s, past)]) for s in long])
    Y = np.vstack([s[past:, inputs:] for s in long])
    theta = ridge(G, Y)
    e = Y - G @ theta
    return Varx(theta.T, e.T @ e / max(len(e) - G.shape[1], 1), past, inputs)


def ridge(G: F8, Y: F8, weight: float = RIDGE) -> F8:
    """argmin |Y - G theta|^2 + weight |G|^2 |theta|^2 (by columns): f8[columns of G, columns of Y]."""
    H = G.T @ G
    theta = np.linalg.solve(H + weight * np.diag(np.diag(H) + 1e-12 * np.trace(H)), G.T @ Y)
    return np.asarray(theta, np.float64)


def modes(segments: Sequence[F8], model: Varx, directions: F8, order: int) -> Modes:
    """The state space of `order` that keeps most of what the past says about the future; see `directions`."""
    m, past = model.inputs, model.past
    long = [s for s in segments if len(s) > past + 1]
    T = directions[:order]
    x = [lags(s, past) @ T.T for s in long]
    u, y = [s[past:, :m] for s in long], [s[past:, m:] for s in long]
    CD = ridge(np.hstack([np.vstack(x), np.vstack(u)]), np.vstack(y), 1e-9)
    e = [yy - np.hstack([xx, uu]) @ CD for xx, uu, yy in zip(x, u, y, strict=True)]
    now = np.vstack([np.hstack([xx[:-1], uu[:-1], ee[:-1]]) for xx, uu, ee in zip(x, u, e, strict=True)])
    ABK = ridge(now, np.vstack([xx[1:] for xx in x]), 1e-9).T
    stacked = np.vstack(e)
    return Modes(
        A=stable(ABK[:, :order]),
        B=ABK[:, order : order + m],
        C=CD[:order].T,
        D=CD[order:].T,
        K=ABK[:, order + m :],
        covariance=stacked.T @ stacked / len(stacked),
    )


def directions(segments: Sequence[F8], model: Varx) -> F8:
    """Directions of the past, most telling of the future first: x = T[:order] z, T f8[past p, past (m+p)]."""
    m, past = model.inputs, model.past
    z = np.vstack([lags(s, past) for s in segments if len(s) > past + 1])
    p = len(model.theta)
    width = m + p
    # Row block j of Gamma L: what z says about y_(k+j) with later values at zero.
    GL = np.zeros((past * p, past * width))
    for j in range(past):
        GL[j * p : (j + 1) * p, : (past - j) * width] = model.theta[:, m + j * width :]
    factor = np.linalg.qr(z)[1]
    U, s, _ = np.linalg.svd(GL @ factor.T, full_matrices=False)
    # The sign of a singular vector is free: fix it, so that a file does not change for nothing.
    U = U * np.sign(U[np.argmax(np.abs(U), axis=0), np.arange(U.shape[1])])
    return np.asarray((U.T @ GL) * (np.sqrt(len(z)) / np.maximum(s, 1e-12)[:, None]), np.float64)


def stable(A: F8, radius: float = RADIUS) -> F8:
    """A with every eigenvalue inside `radius`: those outside are pulled in along their own angle, in the real Schur
    form A = Z T Z', where a real eigenvalue is an entry of the diagonal and a pair is a block of 2."""
    if np.max(np.abs(np.linalg.eigvals(A))) <= radius:
        return A
    T, Z = schur(A, output="real")
    k = 0
    while k < len(T):
        size = 2 if k + 1 < len(T) and T[k + 1, k] != 0.0 else 1
        block = slice(k, k + size)
        most = np.max(np.abs(np.linalg.eigvals(T[block, block])))
        T[block, block] *= min(1.0, radius / max(most, 1e-300))
        k += size
    return np.asarray(Z @ T @ Z.T, np.float64)
