"""A machine with a wear and a tank that runs empty, small enough to know its life in closed form."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from agent.twin.kind import Channel, Health
from agent.twin.lifetime import drift, life
from agent.twin.plant import Plant

HOUR = 3600.0
WALK = 1e-5  # per root second, of a damage that runs from 0 to 1


@dataclass(frozen=True)
class Params:
    noise: float = 0.0


class Draining:
    """level' = -(1 + wear) u. States: level, wear."""

    __name__ = "tests.draining"
    Params = Params

    def __init__(self, failed=1.0, walk=WALK):
        self.failed, self.walk = failed, walk

    def check(self, params, inputs, outputs):
        return []

    def prior(self, params):
        return np.array([100.0, 0.0]), np.diag([1.0, 0.02**2])

    def advance(self, params, x, u, dt_s):
        level = x[..., 0] - (1.0 + x[..., 1]) * u[..., 0] * dt_s
        return np.stack([level, np.broadcast_to(x[..., 1], level.shape)], axis=-1)

    def outputs(self, params, x, u):
        return x[..., :1]

    def process_noise(self, params, dt_s):
        return np.diag([params.noise**2 * dt_s, self.walk**2 * dt_s])

    def health(self, params):
        return (Health("pump.wear", "pump", "1", 1, 0.0, self.failed, 0.0, 2.0, 0.02, self.walk),)

    def affine(self, params, dt_s):
        return None


def plant(noise=0.0, **kind):
    load = Channel("load", "m/s", 1.0, 0.2, 0.0, 2.0)
    level = Channel("level", "m", 50.0, 10.0, 0.0, 100.0)
    return Plant(Draining(**kind), Params(noise), (load,), (level,), (), 1.0, np.array([0.01]), np.zeros(1))


def belief(level=100.0, wear=0.0, spread=0.0, level_spread=0.0):
    return SimpleNamespace(x=np.array([level, wear]), root=np.diag([level_spread, spread]))


def wearing(**other):
    wear = drift.Wear("pump.wear", 1000 * HOUR, 2 * HOUR, **other)
    return life.Lives((wear,), (), (), 5000 * HOUR, 1.0, 2000, "simulation")


def draining(step_s=1.0, horizon_s=300.0, loads=((1.0, 1.0),), **other):
    scenarios = tuple(life.Scenario(f"load {u}", weight, 10.0, np.array([[u]])) for u, weight in loads)
    return life.Lives((), (life.Limit("level", 0.0),), scenarios, horizon_s, step_s, 400, "simulation", **other)


def worn(rate, hours, noise=0.003, seed=1, lives=None, machine=None, load=1.0, start=0.0):
    """(plant, lives, course, belief) after so many hours of a steady wear (per hour), estimated with that noise."""
    machine, lives = machine or plant(), lives or wearing()
    rng = np.random.default_rng(seed)
    course, now = life.begin(machine, lives), belief()
    for hour in range(1, hours + 1):
        now = belief(wear=start + rate * hour + noise * rng.standard_normal(), spread=noise)
        course = life.fold(machine, lives, course, now, np.array([load]), HOUR)
    return machine, lives, course, now
