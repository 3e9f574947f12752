"""What a plant is told about noise, from its innovations: Q and R of its filter.

An extended Kalman filter for each trial, all side by side over some rows; the trial whose innovations are likeliest
wins. Sensitivities are differences between particles, so that it serves any kind whose params hold a Q.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agent.core.nouns import F8
from agent.fit.identify.build import Frame, means, scales
from agent.fit.pieces import Piece
from agent.twin.plant import Plant

PROCESS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
MEASUREMENT = (0.3, 0.6, 1.0)
ROWS = 800
STRETCHES = 3
STEP = 1e-4
MOST = 25.0  # an innovation counts no more than one of five standard deviations


def tuned(plant: Plant, frame: Frame, pieces: Sequence[Piece]) -> tuple[float, float]:
    """Factors on Q and R that make the innovations over some rows likeliest (Gaussian)."""
    longest = sorted(pieces, key=lambda p: (-len(p.u), p.row))[:STRETCHES]
    trials = np.array([(q, r) for q in PROCESS for r in MEASUREMENT])
    score = np.zeros(len(trials))
    for piece in longest:
        u = piece.u[:ROWS] * scales(frame.inputs) + means(frame.inputs)
        y = piece.y[:ROWS] * scales(frame.outputs) + means(frame.outputs)
        stopped = (piece.y[:ROWS] >= frame.stops.high) | (piece.y[:ROWS] <= frame.stops.low)
        score += likelihood(plant, u, np.where(stopped, np.nan, y), trials[:, 0], trials[:, 1])
    q, r = trials[int(np.argmax(score))]
    return float(q), float(r)


def scaled(plant: Plant, q: float, r: float) -> Plant:
    """The plant with its noise by such factors."""
    return replace(plant, R=r * plant.R, params=replace(plant.params, Q=q * plant.params.Q))


def likelihood(plant: Plant, u: F8, y: F8, q: F8, r: F8) -> F8:
    """Gaussian log-likelihood of the innovations for each pair of factors: f8[trials]."""
    trials, p, n = len(q), len(plant.outputs), plant.n
    mean, prior = plant.prior
    size = STEP * np.sqrt(np.diag(prior))
    spokes = np.vstack([np.zeros(n), np.diag(size)])
    x, P = np.repeat(mean[None], trials, axis=0), np.repeat(prior[None], trials, axis=0)
    Q, R = q[:, None, None] * plant.Q, r[:, None] * plant.noise
    total = np.zeros(trials)
    for row, seen in zip(u, y, strict=True):
        out = plant.observe(x[:, None] + spokes, row)[..., :p]
        here = np.isfinite(seen)
        C = ((out[:, 1:] - out[:, :1]) / size[:, None]).swapaxes(1, 2)[:, here]
        if here.any():
            S = C @ P @ C.swapaxes(1, 2) + R[:, here, None] * np.eye(int(here.sum()))
            nu = seen[here] - out[:, 0, here]
            gain = np.linalg.solve(S, C @ P).swapaxes(1, 2)
            square = np.einsum("ti,ti->t", nu, np.linalg.solve(S, nu[..., None])[..., 0])
            total -= 0.5 * (np.minimum(square, MOST * here.sum()) + np.linalg.slogdet(S)[1])
            x, P = x + (gain @ nu[..., None])[..., 0], P - gain @ C @ P
        after = plant.advance(x[:, None] + spokes, row)
        A = ((after[:, 1:] - after[:, :1]) / size[:, None]).swapaxes(1, 2)
        x, P = after[:, 0], A @ P @ A.swapaxes(1, 2) + Q
        P = 0.5 * (P + P.swapaxes(1, 2))
    return total
