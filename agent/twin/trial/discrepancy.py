"""What a twin gets wrong by itself, as a random function of where the machine is: one draw for each particle.

    y = g(x, u) + e(z) - e(z_0),    e ~ GP(0, s^2 exp(-|z - z'|^2 / 2)),    z = [u; y] in standard deviations

s is what the twin missed on held-out rows, z_0 where the machine is now: what the twin misses here the filter has seen
already, a standard deviation of the recording farther it is mostly new (model discrepancy, Kennedy & O'Hagan 2001).
Both arms of a what-if meet the same function. Drawn by random Fourier features (Rahimi & Recht 2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8
from agent.twin.plant import Plant

FEATURES = 24


@dataclass(frozen=True, slots=True, eq=False)
class Discrepancy:
    """omega f8[m+p,F], phase f8[F]: the features; weight f8[N,F,p+v]; now f8[N,p+v]: e(z_0); mean, scale f8[m+p]."""

    omega: F8
    phase: F8
    weight: F8
    now: F8
    mean: F8
    scale: F8


def drawn(plant: Plant, spread: F8, now: F8, particles: int, seed: int) -> Discrepancy:
    """One function a particle. spread f8[p+v]: of residuals on held-out rows, in units; now f8[m+p]: u and y of now."""
    draw = np.random.default_rng((seed, 1))
    channels = (*plant.inputs, *plant.outputs)
    p = len(plant.outputs)
    s = spread.copy()
    s[:p] = np.sqrt(np.maximum(spread[:p] ** 2 - plant.noise, 0.0))  # less what is the sensors' own
    omega = draw.standard_normal((len(channels), FEATURES))
    phase = draw.uniform(0.0, 2.0 * np.pi, FEATURES)
    weight = np.sqrt(2.0 / FEATURES) * draw.standard_normal((particles, FEATURES, len(s))) * s
    mean, scale = (np.array(x, np.float64) for x in zip(*((c.mean, c.scale) for c in channels), strict=True))
    here = np.cos((now - mean) / scale @ omega + phase)
    return Discrepancy(omega, phase, weight, here @ weight, mean, scale)


def missed(d: Discrepancy, uy: F8) -> F8:
    """e(z) - e(z_0) of the particles at u, y f8[...,N,m+p] in units: f8[...,N,p+v]."""
    feature = np.cos((uy - d.mean) / d.scale @ d.omega + d.phase)
    return np.asarray((feature[..., None, :] @ d.weight)[..., 0, :] - d.now, np.float64)
