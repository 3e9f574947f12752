"""Free runs of a state space over segments, and the B, D, x0 that fit them best with A and C given.

With A and C fixed the output of a free run is linear in B, D and the starts x0: one least-squares problem, and the
criterion is the one that counts: not the next row, but the whole run from its inputs alone (output error).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.core.nouns import F8

START_ROWS = 12


def run(A: F8, B: F8, C: F8, D: F8, u: F8, x0: F8) -> F8:
    """Outputs f8[rows, p] of a free run from x0 f8[n] under u f8[rows, m]."""
    x, Bu = x0, u @ B.T
    states = np.empty((len(u), len(x0)))
    for k in range(len(u)):
        states[k] = x
        x = A @ x + Bu[k]
    return states @ C.T + u @ D.T


def start(A: F8, B: F8, C: F8, D: F8, u: F8, y: F8, prior: F8) -> F8:
    """x0 of a run from its first rows, least squares with the prior x0 ~ N(0, prior): f8[n]."""
    rows = min(START_ROWS, len(u))
    seen = observability(A, C, rows)
    rest = (y[:rows] - run(A, B, C, D, u[:rows], np.zeros(len(A)))).ravel()
    noise = 0.1**2  # scaled units: a tenth of the signal
    x0 = np.linalg.solve(seen.T @ seen / noise + np.linalg.inv(prior), seen.T @ rest / noise)
    return np.asarray(x0, np.float64)


def observability(A: F8, C: F8, rows: int) -> F8:
    """[C; C A; C A^2 ...]: f8[rows * p, n]."""
    blocks = [C]
    for _ in range(rows - 1):
        blocks.append(blocks[-1] @ A)
    return np.vstack(blocks)


def drives(A: F8, C: F8, u: F8) -> F8:
    """What each element of B and D adds to a run: f8[rows * p, m (n + p)], columns (input, state), (input, output)."""
    rows, m = u.shape
    n, p = len(A), len(C)
    eye = np.eye(n)[:, None, :]
    x = np.zeros((rows, n, m, n))
    for k in range(rows - 1):
        x[k + 1] = (A @ x[k].reshape(n, m * n)).reshape(n, m, n) + eye * u[k][None, :, None]
    through = np.matmul(C, x.reshape(rows, n, m * n)).reshape(rows * p, m * n)
    direct = np.einsum("ki,op->koip", u, np.eye(p)).reshape(rows * p, m * p)
    return np.hstack([through, direct])


def refit(A: F8, C: F8, u: Sequence[F8], y: Sequence[F8], weight: float) -> tuple[F8, F8]:
    """B f8[n,m] and D f8[p,m] of the best free runs over segments, each with its own start. Ridge `weight`."""
    n, p, m = len(A), len(C), u[0].shape[1]
    width = m * (n + p)
    H, g, rows = np.zeros((width, width)), np.zeros(width), 0
    for uu, yy in zip(u, y, strict=True):
        G, flat = drives(A, C, uu), yy.ravel()
        # The start belongs to its segment alone: project it out, G - O O+ G.
        basis = np.linalg.qr(observability(A, C, len(uu)))[0]
        G = G - basis @ (basis.T @ G)
        flat = flat - basis @ (basis.T @ flat)
        H += G.T @ G
        g += G.T @ flat
        rows += len(flat)
    theta = np.linalg.solve(H + weight * (np.diag(np.diag(H)) + 1e-9 * np.trace(H) / width * np.eye(width)), g)
    return theta[: m * n].reshape(m, n).T, theta[m * n :].reshape(m, p).T
