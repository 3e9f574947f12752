"""What a plant is told about noise: Q and R of its filter, from the innovations that they lead to.

The likelihood of the innovations nu with covariance S over some rows (Schweppe 1965),

    ln L = - 1/2 sum_k [nu_k' S_k^-1 nu_k + ln det S_k]

by an extended Kalman filter for each trial, all side by side. Sensitivities are differences between particles, so that
it serves any kind of plant. First a grid of one factor on Q and one on R, then each sensor by itself: one of them may
be far better than the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8
from agent.twin.plant import Plant

PROCESS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
MEASUREMENT = (0.3, 0.6, 1.0)
# Steps in ln of the search that follows, and how far a factor may come.
STEPS = (1.0, 1.0, 1.0, 0.5, 0.5, 0.25)
BOUNDS = (np.log(1e-3), np.log(30.0))
ROWS = 800
STRETCHES = 3
DIFFERENCE = 1e-4
# An innovation counts no more than one of five standard deviations.
WILD = 25.0


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """process: on Q; measurement f8[p]: on R; gain: of the log-likelihood over factors of one, for each row."""

    process: float
    measurement: F8
    gain: float


def tuned(plant: Plant, segments: Sequence[tuple[F8, F8]]) -> Factors:
    """The likeliest factors over unbroken stretches u f8[rows,m], y f8[rows,p] in units (NaN where absent), at most
    ROWS of each of the STRETCHES longest."""
    longest = sorted(segments, key=lambda s: -len(s[0]))[:STRETCHES]
    parts = [(u[:ROWS], y[:ROWS]) for u, y in longest]
    p = len(plant.outputs)
    trials = np.log([[1.0] * (p + 1), *([q, *[r] * p] for q in PROCESS for r in MEASUREMENT)])
    score = _scores(plant, parts, trials)
    one, best = score[0], trials[int(np.argmax(score))]
    for step in STEPS:
        # Every factor a step up and a step down; then all that each of them likes best by itself, at once.
        ways = step * np.concatenate([np.zeros((1, p + 1)), np.eye(p + 1), -np.eye(p + 1)])
        trials = np.clip(best + ways, *BOUNDS)
        score = _scores(plant, parts, trials)
        up, down = score[1 : p + 2] - score[0], score[p + 2 :] - score[0]
        both = best + step * np.where(np.maximum(up, down) > 0.0, np.where(up > down, 1.0, -1.0), 0.0)
        trials = np.vstack([trials, np.clip(both, *BOUNDS)])
        score = np.concatenate([score, _scores(plant, parts, trials[-1:])])
        best = trials[int(np.argmax(score))]
    rows = max(sum(len(u) for u, _ in parts), 1)
    return Factors(float(np.exp(best[0])), np.exp(best[1:]), float(np.max(score) - one) / rows)


def _scores(plant: Plant, parts: Sequence[tuple[F8, F8]], trials: F8) -> F8:
    """Log-likelihood f8[trials] of factors whose ln is trials f8[trials,1+p]."""
    factors = np.exp(trials)
    score = np.zeros(len(trials))
    for u, y in parts:
        score += likelihood(plant, u, y, factors[:, 0], factors[:, 1:])
    return score


def likelihood(plant: Plant, u: F8, y: F8, q: F8, r: F8) -> F8:
    """Log-likelihood of the innovations over rows u f8[rows,m], y f8[rows,p] for each trial, f8[trials]: factors
    q f8[trials] on Q and r f8[trials,p] on R."""
    trials, p, n = len(q), len(plant.outputs), plant.n
    mean, prior = plant.prior
    size = DIFFERENCE * np.sqrt(np.diag(prior))
    spokes = np.vstack([np.zeros(n), np.diag(size)])
    x, P = np.repeat(mean[None], trials, axis=0), np.repeat(prior[None], trials, axis=0)
    Q, R = q[:, None, None] * plant.Q, r * plant.noise
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
            total -= 0.5 * (np.minimum(square, WILD * here.sum()) + np.linalg.slogdet(S)[1])
            x, P = x + (gain @ nu[..., None])[..., 0], P - gain @ C @ P
        after = plant.advance(x[:, None] + spokes, row)
        A = ((after[:, 1:] - after[:, :1]) / size[:, None]).swapaxes(1, 2)
        x, P = after[:, 0], A @ P @ A.swapaxes(1, 2) + Q
        P = 0.5 * (P + P.swapaxes(1, 2))
    return total
