"""What a twin is told about noise, all from residuals: Q and R of its filters, its whitening and its limits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.core.nouns import F8
from agent.fit.plant import Piece, Plant, features
from agent.fit.subspace import Varx
from agent.twin import deviation as charts
from agent.twin import whitening
from agent.twin.statespace import Deviation

PROCESS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
MEASUREMENT = (0.3, 0.6, 1.0)
ROWS = 1500
WHITEN = 4
MOST_FORETOLD = 0.9
SHARE = 0.05
CLIP = 3.0
QUIET = 0.5  # healthy held-out pieces stay below this part of the limit,
ODD_ONE = 0.75  # but for the one oddest piece, which stays below this
PIECES = 24  # where there are pieces enough to have an odd one
FLOOR_SIGMAS = 6.0


def process_noise(plant: Plant, factor: float = 1.0) -> F8:
    """Q = factor K S K' with K, S of the identified innovations form, kept positive definite: f8[n,n]."""
    Q = plant.K @ plant.covariance @ plant.K.T
    n = len(Q)
    floor = 1e-4 * np.trace(plant.prior) / n
    return np.asarray(factor * 0.5 * (Q + Q.T) + floor * 1e-3 * np.eye(n), np.float64)


def tuned(plant: Plant, model: Varx, pieces: Sequence[Piece]) -> tuple[float, F8]:
    """Factor on Q, and R f8[p], that make the innovations over some rows likeliest (Gaussian)."""
    longest = sorted(pieces, key=lambda p: (-len(p.u), p.row))[:2]
    short = [Piece(p.u[:ROWS], p.y[:ROWS], p.v[:ROWS], p.block, p.row) for p in longest]
    one_step = np.diag(model.covariance)
    trials = [(q, r) for q in PROCESS for r in MEASUREMENT]
    scores = [sum(likelihood(plant, p, process_noise(plant, q), r * one_step) for p in short) for q, r in trials]
    q, r = trials[int(np.argmax(scores))]
    return q, r * one_step


def likelihood(plant: Plant, piece: Piece, Q: F8, R: F8) -> float:
    """Gaussian log-likelihood of the innovations; each counts no more than one of five standard deviations."""
    phi = features(plant, piece)
    x, P, total = np.zeros(len(Q)), plant.prior, 0.0
    A, C, feed, b = plant.A, plant.C, phi @ plant.D.T, phi @ plant.B.T
    for k in range(len(phi)):
        S = C @ P @ C.T + np.diag(R)
        nu = piece.y[k] - C @ x - feed[k]
        gain = np.linalg.solve(S, C @ P).T
        total -= 0.5 * (min(float(nu @ np.linalg.solve(S, nu)), 25.0 * len(R)) + float(np.linalg.slogdet(S)[1]))
        x, P = x + gain @ nu, P - gain @ C @ P
        x, P = A @ x + b[k], A @ P @ A.T + Q
    return total


def deviation(residuals: Sequence[F8], trusts: Sequence[F8]) -> tuple[Deviation, F8]:
    """Whitening and limits from held-out healthy residuals f8[rows,p] (scaled), each with its trust f8[rows] (NaN
    while the twin settles). Also the largest |deviation| met there, as a part of the limit: f8[p].
    """
    clean = [np.where(np.isfinite(r), r, 0.0) for r in residuals]
    whiten, spread = _whitening(clean, [np.nan_to_num(t) >= 1.0 for t in trusts])
    p = len(spread)
    plain = Deviation(whiten, spread, np.ones(p), SHARE, CLIP)
    worst = np.sort([_worst(r, t, plain) for r, t in zip(clean, trusts, strict=True)], axis=0)
    usual, oddest = (worst[-2], worst[-1]) if len(worst) >= PIECES else (worst[-1], worst[-1])
    # An EWMA of white noise has the variance lambda / (2 - lambda).
    floor = FLOOR_SIGMAS * np.sqrt(SHARE / (2.0 - SHARE))
    limit = np.maximum(np.maximum(usual / QUIET, oddest / ODD_ONE), floor)
    return Deviation(whiten, spread, limit, SHARE, CLIP), oddest / limit


def _whitening(residuals: Sequence[F8], used: Sequence[np.ndarray]) -> tuple[F8, F8]:
    """Autoregression f8[p,q] of each output's residual, and the spread f8[p] of what it leaves (robust)."""
    whiten, spread = [], []
    for j in range(residuals[0].shape[1]):
        G, Y = [], []
        for r, rows in zip(residuals, used, strict=True):
            lagged = np.column_stack([r[WHITEN - i - 1 : len(r) - i - 1, j] for i in range(WHITEN)])
            keep = rows[WHITEN:]
            G.append(lagged[keep])
            Y.append(r[WHITEN:, j][keep])
        past, now = np.vstack(G), np.concatenate(Y)
        a = np.linalg.lstsq(past, now, rcond=1e-8)[0]
        # A residual that stays must stay visible: at least a tenth of it is never foretold.
        a = a * min(1.0, MOST_FORETOLD / max(float(np.sum(a)), 1e-9))
        left = now - past @ a
        whiten.append(a)
        spread.append(max(1.4826 * float(np.median(np.abs(left))), 0.3 * float(np.std(left)), 1e-6))
    return np.array(whiten), np.array(spread)


def _worst(residual: F8, trust: F8, d: Deviation) -> F8:
    """Largest |EWMA| of a piece, as the twin's cycle would have had it: f8[p]."""
    past, ewma = np.zeros_like(d.whiten), np.zeros(len(d.spread))
    worst = np.zeros(len(d.spread))
    for k in range(1, len(residual)):
        share = float(np.nan_to_num(trust[k]))
        past, w = whitening.fold(d.whitening, past, residual[k], share)
        ewma = charts.fold(d.chart, ewma, w, share)
        if np.isnan(trust[k]):
            ewma = np.zeros_like(ewma)
        worst = np.maximum(worst, np.abs(ewma))
    return worst
