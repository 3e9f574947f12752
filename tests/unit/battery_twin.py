"""The battery published with ProgPy 1.9 (Daigle & Sankararaman 2013) as a twin: current to voltage, temperature."""

import numpy as np

from agent.twin.domain import learned
from agent.twin.kind import Channel
from agent.twin.kinds.physics.params import Component, Drive, Params, Reading, Start
from agent.twin.lifetime import life
from agent.twin.plant import Plant, kind
from agent.twin.twin import Twin

STATES = {"tb": 292.1, "qb": 7856.3254, "qcp": 0.0, "qcs": 0.0}
SPREAD = {"tb": 0.5, "qb": 80.0, "qcp": 0.1, "qcs": 0.1}
WALK = {"tb": 0.001, "qb": 1.0, "qcp": 0.01, "qcs": 0.01}
VALUES = {
    "qMax": 7856.3254, "CMax": 7777.0, "Cbp0": -230.0, "Cbp1": 1.2, "Cbp2": 2079.9, "Cbp3": 27.055726,
    "Rs": 0.0538926, "Cs": 234.387, "Rcp0": 0.0697776, "Rcp1": 1.50528e-17, "Rcp2": 37.223, "Ccp": 14.8223,
    "Rp": 1e4, "Ta": 292.1, "Jt": 800.0, "ha": 0.5, "hcp": 19.0, "hcs": 1.0,
}  # fmt: skip


def battery() -> Plant:
    """Charged, under the Euler step of 1 s that it was published with."""
    starts = tuple(Start(f"cell.{name}", STATES[name], SPREAD[name], WALK[name]) for name in STATES)
    params = Params(
        components=(Component("cell", "battery", VALUES, {"i": "cell/current"}),), lines=(),
        inputs=(Drive("cell/current", 1.0, 0.0),),
        outputs=(Reading("cell/voltage", "cell.v", 1.0, 0.0), Reading("cell/temperature", "cell.t", 1.0, 0.0)),
        health=(), starts=starts, estimates=(), scheme="euler", substep_s=1.0,
    )  # fmt: skip
    current = Channel("cell/current", "A", 2.0, 1.0, 0.0, 5.0)
    voltage = Channel("cell/voltage", "V", 3.7, 0.3, 2.5, 4.2)
    temperature = Channel("cell/temperature", "K", 295.0, 3.0, 280.0, 320.0)
    R = np.array([1e-4, 1e-2])
    return Plant(kind("physics"), params, (current,), (voltage, temperature), (), 1.0, R, np.zeros(2))


def discharged(load: tuple[float, ...], held_s: float, step_s: float, particles: int, horizon_s=6000.0) -> life.Lives:
    """How long until it is down to 3 V, under a load that repeats."""
    scenario = life.Scenario("load", 1.0, held_s, np.array(load)[:, None])
    limit = life.Limit("cell/voltage", 3.0)
    return life.Lives((), (limit,), (scenario,), horizon_s, step_s, particles, "simulation")


def twin(lives: life.Lives) -> Twin:
    """All of the file."""
    rng = np.random.default_rng(0)
    seen = learned(rng.uniform(0.0, 5.0, (500, 1)), rng.uniform([2.5, 285.0], [4.3, 310.0], (500, 2)))
    return Twin(battery(), ("running",), 0.0, 5, 0.01, np.array([0.05, 0.5]), seen, {}, {}, lives=lives)
