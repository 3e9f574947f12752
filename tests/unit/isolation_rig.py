"""Two tanks in a row as a twin with two health parameters, its residuals by free run, and healthy or faulty rows."""

from types import SimpleNamespace

import numpy as np

from agent.fit.judging import limits, signatures
from agent.twin.kind import Channel, Health
from agent.twin.plant import Plant

SD = np.array([0.003, 0.003])
PERIOD_S = 1.0
HEALTH = (
    Health("pump.wear", "pump", "share", 2, 0.0, 0.5, 0.0, 1.0, 0.05, 1e-5),
    Health("lower.leak", "lower tank", "mm2", 3, 0.0, np.nan, 0.0, 100.0, 0.5, 1e-4),
)


def advance(params, x, u, dt_s):
    upper, lower = np.sqrt(np.maximum(x[..., 0], 1e-6)), np.sqrt(np.maximum(x[..., 1], 1e-6))
    pumped = 0.02 * u[..., 0] * (1.0 - x[..., 2])
    through = 0.04 * u[..., 1] * upper
    out = (0.02 + 1e-3 * x[..., 3]) * lower
    d = np.stack([pumped - through, through - out, 0.0 * pumped, 0.0 * pumped], axis=-1)
    return x + dt_s * d


def outputs(params, x, u):
    return np.stack([x[..., 0], x[..., 1]], axis=-1)


KIND = SimpleNamespace(
    __name__="tanks",
    advance=advance,
    outputs=outputs,
    prior=lambda params: (np.array([0.25, 0.25, 0.0, 0.0]), np.eye(4)),
    process_noise=lambda params, dt_s: 1e-6 * np.eye(4),
    health=lambda params: HEALTH,
    affine=lambda params, dt_s: None,
)


def plant():
    return Plant(
        kind=KIND,
        params=None,
        inputs=(Channel("pump/speed", "%", 0.5, 0.05, 0.4, 0.6), Channel("valve/position", "%", 0.5, 0.05, 0.4, 0.6)),
        outputs=(Channel("upper/level", "m", 0.25, 0.03, 0.1, 0.4), Channel("lower/level", "m", 0.25, 0.03, 0.1, 0.4)),
        virtual=(),
        period_s=PERIOD_S,
        R=SD**2,
        quantum=np.zeros(2),
    )


def inputs(rows, seed):
    draw = np.random.default_rng(seed)
    steps = draw.uniform(0.45, 0.55, (rows // 60 + 1, 2))
    return np.repeat(steps, 60, axis=0)[:rows]


def simulated(u, *, health=None, onset=0):
    """y f8[rows,2]; health: (state, size) from the onset on."""
    x, out = np.array([0.25, 0.25, 0.0, 0.0]), []
    for k, now in enumerate(u):
        if health and k == onset:
            x[health[0]] = health[1]
        out.append(x[:2])
        x = advance(None, x, now, PERIOD_S)
    return np.array(out)


def residuals(u, y):
    """Normalised residuals of a reference that never follows the measurements."""
    return (y - simulated(u)) / SD


def noise(rows, seed):
    """What the reference does not know: sensor noise, and a slow wander."""
    draw = np.random.default_rng(seed)
    out, wander = np.empty((rows, 2)), np.zeros(2)
    for k in range(rows):
        wander = 0.95 * wander + 0.3 * draw.standard_normal(2)
        out[k] = SD * (0.5 * draw.standard_normal(2) + wander)
    return out


def learned(cases=()):
    """(limits, signatures) from healthy rows."""
    healthy = [residuals(inputs(1500, s), simulated(inputs(1500, s)) + noise(1500, 100 + s)) for s in range(4)]
    found = limits.learned(healthy, [np.ones(1500)] * 4, PERIOD_S)
    stretch = signatures.Stretch(inputs(1500, 9), simulated(inputs(1500, 9)))
    return found, signatures.learned(plant(), found.whitening, [stretch], residuals, healthy, warm=50, cases=cases)


def faulty(seed, *, rows=150, health=None, sensor=None, actuator=None, onset=60):
    """z f8[rows,2] of one fault: health (state, size); sensor (output, size); actuator (input, size it is off)."""
    u = inputs(rows, seed)
    true = u.copy()
    if actuator:
        true[onset:, actuator[0]] -= actuator[1]
    y = simulated(true, health=health, onset=onset) + noise(rows, 1000 + seed)
    if sensor:
        y[onset:, sensor[0]] += sensor[1]
    return residuals(u, y)
