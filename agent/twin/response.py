"""What kind of machine a twin describes: its operating point, how fast it moves, what a step of each input does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8
from agent.twin.kind import Health
from agent.twin.plant import Plant

SETTLE_PERIODS = 20000
LOOKED_AT = 100
STILL = 1e-5
STEP = 1e-5
STANDS = 1.0 - 1e-7
ROWS = (60, 6000)
Z95 = 1.959964


@dataclass(frozen=True, slots=True, eq=False)
class Operating:
    """A point of rest: inputs f8[m], state f8[n], outputs f8[p+v]; settled: whether it stood still there."""

    u: F8
    x: F8
    y: F8
    settled: bool


@dataclass(frozen=True, slots=True)
class Mode:
    """One eigenvalue of the twin: magnitude of it, time constant in s (inf: it stands, as health and integrators do; 0:
    gone within a period), period of oscillation in s (inf: none)."""

    magnitude: float
    time_s: float
    period_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """Steps of one scale of each input, less what happens without: time_s f8[rows]; up, down f8[m,rows,p+v]."""

    time_s: F8
    up: F8
    down: F8


def when_new(health: Health) -> tuple[float, float]:
    """95 % interval of a health parameter of a new machine, in its unit."""
    middle = health.inner(health.nominal)
    ends = np.array([[middle - Z95 * health.spread], [middle + Z95 * health.spread]])
    whole = np.zeros((2, health.state + 1))
    whole[:, health.state :] = ends
    low, high = sorted(health.value(whole).tolist())
    return low, high


def operating(plant: Plant) -> Operating:
    """Where the twin comes to rest under the mean inputs of its recording; it is followed for 20000 periods at most."""
    u = np.array([c.mean for c in plant.inputs], np.float64)
    scale = np.array([c.scale for c in (*plant.outputs, *plant.virtual)])
    x = plant.prior[0]
    y = plant.observe(x, u)
    for k in range(SETTLE_PERIODS):
        x = plant.advance(x, u)
        if k % LOOKED_AT == 0:
            before, y = y, plant.observe(x, u)
            if k and np.max(np.abs(y - before) / scale) < STILL:
                return Operating(u, x, y, True)
    return Operating(u, x, plant.observe(x, u), False)


def jacobian(plant: Plant, at: Operating) -> F8:
    """A = df/dx of one period there: f8[n,n]; central differences where the kind is not linear."""
    if plant.affine is not None:
        return plant.affine.A
    size = STEP * np.maximum(np.sqrt(np.diag(plant.prior[1])), 1e-9)
    moved = np.diag(size)
    ahead = plant.advance(np.concatenate([at.x + moved, at.x - moved]), at.u)
    return np.asarray(((ahead[: plant.n] - ahead[plant.n :]) / (2.0 * size[:, None])).T, np.float64)


def modes(plant: Plant, at: Operating) -> tuple[Mode, ...]:
    """The eigenvalues of the twin there, slowest first; a pair that oscillates is one."""
    found = np.linalg.eigvals(jacobian(plant, at)) if plant.n else np.zeros(0)
    once = [complex(value) for value in found if value.imag >= 0.0]
    return tuple(_mode(value, plant.period_s) for value in sorted(once, key=abs, reverse=True))


def _mode(value: complex, period_s: float) -> Mode:
    """z = exp(-T / tau +- 2 pi i T / P)."""
    size, angle = abs(value), abs(math.atan2(value.imag, value.real))
    time_s = math.inf if size >= STANDS else (-period_s / math.log(size) if size > 1e-9 else 0.0)
    return Mode(size, time_s, 2.0 * math.pi * period_s / angle if angle > 1e-9 else math.inf)


def responses(plant: Plant, at: Operating) -> Responses:
    """Step responses from there, five times as long as the slowest time constant (6000 periods at most)."""
    slowest = max((m.time_s for m in modes(plant, at) if math.isfinite(m.time_s)), default=0.0)
    rows = int(min(max(5.0 * slowest / plant.period_s, ROWS[0]), ROWS[1]))
    step = np.diag([c.scale for c in plant.inputs]).reshape(len(plant.inputs), len(plant.inputs))
    u = at.u + np.concatenate([np.zeros((1, len(at.u))), step, -step])
    x = np.tile(at.x, (len(u), 1))
    y = np.empty((rows, len(u), len(plant.outputs) + len(plant.virtual)))
    for k in range(rows):
        y[k] = plant.observe(x, u)
        x = plant.advance(x, u)
    moved = np.moveaxis(y[:, 1:] - y[:, :1], 0, 1)
    m = len(at.u)
    return Responses(plant.period_s * np.arange(rows, dtype=np.float64), moved[:m], moved[m:])
