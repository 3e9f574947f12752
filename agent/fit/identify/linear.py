"""The linear start of every identified twin: SSARX states, a stable A, and B, D, offsets fitted again to whole runs.

States are turned so that over the recording they have mean 0 and covariance I: numbers are then of one size, and a
ridge weighs all directions alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8
from agent.fit.identify import simulation
from agent.fit.identify.network import Network
from agent.fit.identify.subspace import directions, modes, varx
from agent.fit.pieces import PAST, Piece, joined

RIDGE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """One linear model, scaled. net: a Network of one set without units. Q f8[n,n] and R f8[p]: noise of its
    innovations form, Q = K S K', R = diag S."""

    net: Network
    Q: F8
    R: F8


def linear(pieces: Sequence[Piece], orders: Sequence[int]) -> dict[int, Linear]:
    """A model of each order."""
    runs = joined(pieces)
    segments = [np.hstack([p.u, p.y]) for p in runs]
    model = varx(segments, pieces[0].u.shape[1], PAST)
    ways = directions(segments, model)
    ones = [np.hstack([p.u, np.ones((len(p.u), 1))]) for p in runs]
    y = [p.y for p in runs]
    found = {}
    for order in (n for n in orders if n <= len(ways)):
        basis = modes(segments, model, ways, order)
        B, D = simulation.refit(basis.A, basis.C, ones, y, RIDGE)
        A, B, C, D, T = _turned(basis.A, B, basis.C, D, ones, y)
        K = np.linalg.solve(T, basis.K)
        Q = K @ basis.covariance @ K.T
        net = Network(np.hstack([A, B])[None], np.zeros((1, 0, order + B.shape[1])), np.hstack([C, D])[None])
        found[order] = Linear(net, 0.5 * (Q + Q.T), np.maximum(np.diag(basis.covariance), 1e-10))
    return found


def _turned(A: F8, B: F8, C: F8, D: F8, u: Sequence[F8], y: Sequence[F8]) -> tuple[F8, F8, F8, F8, F8]:
    """x = T z + mean: the same model in z, and T f8[n,n]. The last column of u is 1, so the mean goes into B and D."""
    n = len(A)
    states = [_states(A, B, C, D, uu, yy) for uu, yy in zip(u, y, strict=True)]
    X = np.vstack(states)
    mean = X.mean(axis=0)
    spread = (X - mean).T @ (X - mean) / len(X)
    T = np.asarray(np.linalg.cholesky(spread + 1e-9 * np.trace(spread) / n * np.eye(n)), np.float64)
    inverse = np.linalg.inv(T)
    B, D = B.copy(), D.copy()
    B[:, -1] += A @ mean - mean
    D[:, -1] += C @ mean
    return inverse @ A @ T, inverse @ B, C @ T, D, T


def _states(A: F8, B: F8, C: F8, D: F8, u: F8, y: F8) -> F8:
    """States of the free run that fits a piece best."""
    n = len(A)
    free = simulation.run(A, B, C, D, u, np.zeros(n))
    x0 = np.linalg.lstsq(simulation.observability(A, C, len(u)), (y - free).ravel(), rcond=1e-10)[0]
    return simulation.run(A, B, np.eye(n), np.zeros((n, u.shape[1])), u, np.asarray(x0, np.float64))
