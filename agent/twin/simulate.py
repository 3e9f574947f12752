"""A twin run over recorded rows: by itself from its inputs alone, or tracking the measurements.

The start of a free run is what the first rows make likeliest (Gauss-Newton on x0, the prior counted in), whatever the
kind: sensitivities are differences of runs that go side by side as particles.

    x0 = argmin  sum_k |y_k - g(x_k, u_k)|^2 / r_k  +  (x0 - m)' P^-1 (x0 - m)
"""

from __future__ import annotations

import numpy as np

from agent.core.nouns import F8
from agent.twin import filtering
from agent.twin.filtering import Sample
from agent.twin.plant import Plant

ITERATIONS = 20
STEP = 1e-4
SMALL = 1e-6


def free_run(plant: Plant, u: F8, y: F8, init_samples: int) -> F8:
    """Outputs f8[rows,p+v] of the plant alone under u f8[rows,m], started from the first rows of y f8[rows,p].

    Absent inputs (NaN) keep their last value; absent outputs count for nothing. Later rows of y are not looked at."""
    u = held(plant, u)
    x0 = start(plant, u[:init_samples], y[:init_samples])
    return run(plant, x0, u)


def tracked(plant: Plant, u: F8, y: F8) -> tuple[F8, F8]:
    """What the filter makes of each row, its own measurements taken in: outputs f8[rows,p+v], states f8[rows,n]."""
    u, ones = held(plant, u), np.ones(len(plant.outputs))
    period_ns = round(plant.period_s * 1e9)
    samples = [Sample(k * period_ns, row, seen, ones) for k, (row, seen) in enumerate(zip(u, y, strict=True))]
    now = filtering.begin(plant, samples[0], window=0)
    states = [now.belief.x]
    for sample in samples[1:]:
        now, _ = filtering.step(plant, now, sample)
        states.append(now.belief.x)
    x = np.array(states)
    return plant.observe(x, u), x


def run(plant: Plant, x0: F8, u: F8) -> F8:
    """Outputs f8[rows,...,p+v] from states f8[...,n] under u f8[rows,m]."""
    x, out = x0, []
    for row in u:
        out.append(plant.observe(x, row))
        x = plant.advance(x, row)
    return np.array(out).reshape(len(u), *x0.shape[:-1], len(plant.outputs) + len(plant.virtual))


def start(plant: Plant, u: F8, y: F8) -> F8:
    """The likeliest x0 f8[n] of a run over rows u f8[rows,m] (finite), y f8[rows,p] (NaN absent)."""
    mean, P = plant.prior
    root = np.asarray(np.linalg.cholesky(P), np.float64)
    # x0 = m + root z: z has unit variance, so that one step size serves every state.
    z, damping = np.zeros(len(mean)), 1e-3
    weight = _weights(plant, u, y, mean, root)
    residual, G = _linearised(plant, u, y, mean, root, z, weight)
    for _ in range(ITERATIONS):
        H = G.T @ G + (1.0 + damping) * np.eye(len(z))
        step = np.linalg.solve(H, G.T @ residual - z)
        other = _linearised(plant, u, y, mean, root, z + step, weight)
        if _cost(other[0], z + step) <= _cost(residual, z):
            z, damping, (residual, G) = z + step, 0.1 * damping, other
            if np.max(np.abs(step), initial=0.0) < SMALL:
                break
        else:
            damping = max(10.0 * damping, 1e-3)
    return np.asarray(mean + root @ z, np.float64)


def held(plant: Plant, u: F8) -> F8:
    """u with absent values replaced by the last one before them, else by the mean of the recording."""
    filled = np.vstack([[c.mean for c in plant.inputs], u])
    at = np.where(np.isfinite(filled), np.arange(len(filled))[:, None], 0)
    rows = np.maximum.accumulate(at, axis=0)[1:]
    return np.asarray(np.take_along_axis(filled, rows, axis=0), np.float64)


def _cost(residual: F8, z: F8) -> float:
    cost = float(residual @ residual + z @ z)
    return cost if np.isfinite(cost) else np.inf


def _weights(plant: Plant, u: F8, y: F8, mean: F8, root: F8) -> F8:
    """1 / sqrt(r_k), zero where y is absent: f8[rows,p]. r_k = R + k C Q C': what the process adds grows meanwhile."""
    p, n = len(plant.outputs), len(mean)
    if not len(u):
        return np.zeros((0, p))
    size = STEP * np.sqrt(np.diag(plant.prior[1]))
    moved = plant.observe(np.vstack([mean, mean + np.diag(size)]), u[0])[:, :p]
    C = (moved[1:] - moved[0]).T / size
    wandering = np.einsum("ij,jk,ik->i", C, plant.Q, C).reshape(p) if n else np.zeros(p)
    r = plant.noise + np.arange(len(u))[:, None] * wandering
    return np.asarray(np.where(np.isfinite(y), 1.0 / np.sqrt(r), 0.0), np.float64)


def _linearised(plant: Plant, u: F8, y: F8, mean: F8, root: F8, z: F8, weight: F8) -> tuple[F8, F8]:
    """Weighted residuals f8[rows p] at x0 = m + root z, and their sensitivity to z: f8[rows p, n]."""
    p, n = len(plant.outputs), len(z)
    particles = mean + np.vstack([z, z + STEP * np.eye(n), z - STEP * np.eye(n)]) @ root.T
    out = run(plant, particles, u)[..., :p]
    residual = np.where(weight > 0, y - out[:, 0], 0.0) * weight
    G = (out[:, 1 : n + 1] - out[:, n + 1 :]) / (2.0 * STEP) * weight[:, None, :]
    return residual.ravel(), np.moveaxis(G, 1, 2).reshape(-1, n)
