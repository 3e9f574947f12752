"""First passage of many particles at once: wear that drifts, and limits that the plant's own equations cross."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from agent.core.nouns import F8, Mask
from agent.twin.kind import Health
from agent.twin.lifetime import drift, usage
from agent.twin.lifetime.drift import Track, Wear
from agent.twin.lifetime.usage import Scenario
from agent.twin.plant import Plant

STEPS = 240  # where nothing but wear drifts: steps of time, each longer than the one before
FIRST = 1e-4  # of the horizon: the shortest of them


class Belief(Protocol):
    """A Gaussian over the state: x f8[n], P = root root'."""

    @property
    def x(self) -> F8:
        """Mean f8[n]."""

    @property
    def root(self) -> F8:
        """Square root of the covariance f8[n,n]."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A failure that the plant's own equations lead to: `of` (a health parameter or an output's tag) crosses `limit`.

    limit: NaN for where a health parameter's own limit is; falling: whether it is reached from above.
    """

    of: str
    limit: float = math.nan
    falling: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Drifting:
    """One wear on its way: s, v, w f8[N]; of each particle's hypothesis a, c, life, b, wander, sway, memory f8[N]."""

    health: Health
    wear: Wear
    s: F8
    v: F8
    w: F8
    a: F8
    c: F8
    life: F8
    b: F8
    wander: F8
    sway: F8
    memory: F8


def times(horizon_s: float, step_s: float, even: bool) -> F8:
    """Times of the steps, f8[g+1] from 0: `even` ones for the plant's equations, else growing ones."""
    if even:
        return np.arange(math.ceil(horizon_s / step_s) + 1, dtype=np.float64) * step_s
    return np.concatenate([[0.0], np.geomspace(FIRST * horizon_s, horizon_s, STEPS)])


def passages(
    plant: Plant,
    belief: Belief,
    wears: Sequence[tuple[Health, Wear, Track]],
    limits: Sequence[Limit],
    scenarios: Sequence[Scenario],
    at_s: F8,
    particles: int,
    rng: np.random.Generator,
) -> tuple[list[F8], list[F8]]:
    """Lifetimes f8[particles] for each wear and for each limit, inf beyond at_s[-1]. A particle keeps its scenario."""
    who = spread_over(np.array([s.weight for s in scenarios]), particles, rng) if scenarios else np.zeros(0, np.intp)
    drifting = [_drawn(*one, particles, rng) for one in wears]
    clocks = [_clock(plant, d.wear, scenarios, at_s) / d.wear.life_s for d in drifting]
    lives = [np.where(d.s >= 1.0, 0.0, np.inf) for d in drifting]
    x = belief.x + rng.standard_normal((particles, plant.n)) @ belief.root.T
    u = _inputs(plant, scenarios, at_s) if limits else np.zeros((0, 0, 0))
    noise = _noise(plant, float(at_s[1])) if limits else np.zeros((plant.n, 0))
    margins = [_margin(plant, one, x, _at(u, who, 0)) for one in limits]
    ends = [np.where(m <= 0.0, 0.0, np.inf) for m in margins]
    for i, dt_s in enumerate(np.diff(at_s)):
        for j, (d, clock) in enumerate(zip(drifting, clocks, strict=True)):
            dtau = clock[who, i] if len(clock) > 1 else clock[0, i]
            drifting[j], share = _worn(d, dtau, rng)
            lives[j] = np.minimum(lives[j], at_s[i] + dt_s * share)
        if limits:
            now = _at(u, who, i)
            x = _advanced(plant, x, now, float(dt_s), noise, drifting, rng)
            for j, one in enumerate(limits):
                after = _margin(plant, one, x, now)
                ends[j] = np.minimum(ends[j], at_s[i] + dt_s * _crossed(margins[j], after))
                margins[j] = after
        if all(np.isfinite(t).all() for t in (*lives, *ends)):
            break
    return lives, ends


def spread_over(weight: F8, particles: int, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Which of the weighted choices each particle takes: systematic (Kitagawa 1996), in random order."""
    at = (np.arange(particles) + rng.random()) / particles
    chosen = np.searchsorted(np.cumsum(weight) / np.sum(weight), at)
    return rng.permutation(np.minimum(chosen, len(weight) - 1))


def _drawn(health: Health, wear: Wear, track: Track, particles: int, rng: np.random.Generator) -> Drifting:
    """Particles of the mixture: a hypothesis each, then (s, v, w) of its Gaussian."""
    h = drift.bank()
    k = spread_over(drift.weights(track), particles, rng)
    value, vector = np.linalg.eigh(track.covariance)
    root = vector * np.sqrt(np.maximum(value, 0.0))[:, None, :]
    s, v, w = (track.mean[k] + np.einsum("nij,nj->ni", root[k], rng.standard_normal((particles, 3)))).T
    return Drifting(health, wear, s, v, w, h.a[k], h.c[k], h.life[k], h.b[k], h.wander[k], h.sway[k], h.memory[k])


def _worn(d: Drifting, dtau: F8 | float, rng: np.random.Generator) -> tuple[Drifting, F8]:
    """(after dtau of its clock, where in the step each reaches s = 1: f8[N] in [0, 1], inf where it does not).

    ln v wanders, so a rate keeps its sign. Between the ends of a step a Brownian bridge may cross and come back: with
    probability exp(-2 (1 - s)(1 - s+) / variance) (Karatzas & Shreve 1991, 4.3.40), so long steps miss no passage.
    """
    e, f, g = rng.standard_normal((3, len(d.s)))
    chance = rng.random(len(d.s))
    wander = d.wander * np.sqrt(dtau / d.life)
    v = d.v * np.exp(wander * e - 0.5 * wander**2)
    a, c, ww, sw, ss = drift.swayed(d.sway, d.memory, dtau)
    shared = sw / np.sqrt(np.maximum(ww, 1e-300))
    w = a * d.w + np.sqrt(ww) * f
    variance = d.b * dtau + np.maximum(ss - shared**2, 0.0)
    s = d.s + 0.5 * (d.v + v) * dtau + c * d.w + shared * f + np.sqrt(variance) * g
    before, left = 1.0 - d.s, 1.0 - s
    bridged = np.exp(np.minimum(-2.0 * before * left / np.maximum(d.b * dtau + ss, 1e-300), 0.0))
    crossed = (before > 0) & ((left <= 0) | (chance < bridged))
    share = np.where(crossed, before / np.maximum(before + np.abs(left), 1e-300), np.inf)
    return replace(d, s=s, v=v, w=w), share


def _clock(plant: Plant, wear: Wear, scenarios: Sequence[Scenario], at_s: F8) -> F8:
    """How far the wear's clock goes in each step under each scenario: f8[scenarios or 1, g] s."""
    dt_s = np.diff(at_s)
    if not wear.exposure:
        return np.asarray(dt_s[None], np.float64)
    pace = [usage.means(exposure(plant, wear, s.u)[:, None], s.step_s, at_s)[:, 0] for s in scenarios]
    return np.asarray(np.stack(pace) * dt_s, np.float64)


def exposure(plant: Plant, wear: Wear, u: F8) -> F8:
    """How fast the wear's clock runs under inputs u f8[...,m]: f8[...], 1 at the input's mean, which stands for NaN."""
    if not wear.exposure:
        return np.ones(u.shape[:-1])
    j = [c.tag for c in plant.inputs].index(wear.exposure)
    mean = abs(plant.inputs[j].mean) or plant.inputs[j].scale
    return np.nan_to_num(np.abs(u[..., j] / mean) ** wear.exponent, nan=1.0)


def _inputs(plant: Plant, scenarios: Sequence[Scenario], at_s: F8) -> F8:
    """Inputs in each step under each scenario: f8[scenarios,g,m]; of a plant without inputs f8[1,g,0]."""
    if not plant.inputs:
        return np.zeros((1, len(at_s) - 1, 0))
    return np.stack([usage.means(s.u, s.step_s, at_s) for s in scenarios])


def _at(u: F8, who: np.ndarray[tuple[int], np.dtype[np.intp]], i: int) -> F8:
    """Inputs of all particles in step i: f8[N,m], or f8[m] where there is one scenario."""
    if not len(u):
        return np.zeros(0)
    return np.asarray(u[0, i] if len(u) == 1 else u[who, i], np.float64)


def _noise(plant: Plant, dt_s: float) -> F8:
    """Root f8[n,r] of Q without the walk of health parameters: that belongs to the filter, not to the machine."""
    Q = plant.kind.process_noise(plant.params, dt_s).copy()
    own = [h.state for h in plant.health]
    Q[own], Q[:, own] = 0.0, 0.0
    value, vector = np.linalg.eigh(Q)
    keep = value > 1e-12 * max(float(value.max()), 1e-300)
    return np.asarray(vector[:, keep] * np.sqrt(value[keep]), np.float64)


def _advanced(
    plant: Plant, x: F8, u: F8, dt_s: float, noise: F8, drifting: Sequence[Drifting], rng: np.random.Generator
) -> F8:
    """All particles one step on, what wears put where it has come to."""
    x = plant.advance(x, u, dt_s)
    if noise.shape[1]:
        x = x + rng.standard_normal((len(x), noise.shape[1])) @ noise.T
    for d in drifting:
        new, span = drift.way(d.health)
        x[..., d.health.state] = new + span * drift.damaged(d.s, d.a, d.c)
    return x


def _margin(plant: Plant, limit: Limit, x: F8, u: F8) -> F8:
    """How far each particle is from the limit: f8[N], 0 or less where it is crossed."""
    for health in plant.health:
        if health.name == limit.of:
            failed = limit.limit if math.isfinite(limit.limit) else health.failed
            left = health.value(x) - failed
            return left if health.nominal > failed else -left
    tags = [c.tag for c in (*plant.outputs, *plant.virtual)]
    left = plant.observe(x, u)[..., tags.index(limit.of)] - limit.limit
    return left if limit.falling else -left


def _crossed(before: F8, after: F8) -> F8:
    """Where in the step a margin is used up, on a straight line: f8[N] in [0, 1], inf where it is not."""
    crossed: Mask = (before > 0) & (after <= 0)
    return np.where(crossed, before / np.where(crossed, before - after, 1.0), np.inf)
