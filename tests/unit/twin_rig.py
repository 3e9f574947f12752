"""A small linear twin written by hand, and a nonlinear tank under PI control to fit one to."""

import numpy as np

from agent.twin.departure import cusum, deviation, whitening
from agent.twin.domain import Domain
from agent.twin.kind import Channel
from agent.twin.kinds import identified
from agent.twin.plant import Plant
from agent.twin.twin import Charts, Twin

TAGS = ("pump/speed", "upper/level", "lower/level")
INPUTS = (Channel("pump/speed", "%", 50.0, 10.0, 30.0, 70.0),)
OUTPUTS = (Channel("upper/level", "m", 0.3, 0.05, 0.1, 0.5), Channel("lower/level", "m", 0.2, 0.05, 0.05, 0.4))
VIRTUAL = (Channel("upper/flow", "m3/h", 1.0, 0.2, 0.4, 1.6),)


def twin(*, settle_s=0.0, hold_periods=3):
    """Two tanks in a row, one pump; both levels measured, the flow between them virtual."""
    model = identified.Params(
        period_s=1.0,
        u_mean=np.array([50.0]),
        u_scale=np.array([10.0]),
        y_mean=np.array([0.3, 0.2, 1.0]),
        y_scale=np.array([0.05, 0.05, 0.2]),
        A=np.array([[0.95, 0.0], [0.06, 0.93]]),
        B=np.array([[0.05], [0.0]]),
        a=np.zeros(2),
        C=np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.1]]),
        D=np.zeros((3, 1)),
        c=np.zeros(3),
        tanh=None,
        Q=np.diag([1e-4, 1e-4]),
        x0=np.zeros(2),
        P0=np.eye(2),
    )
    charts = Charts(
        whitening.Whitening(np.array([[0.5, 0.2], [0.5, 0.2]]), np.array([0.6, 0.6]), 3.0),
        deviation.Deviation(0.05, np.array([0.9, 0.9])),
        cusum.Cusum(0.5, np.array([30.0, 30.0]), 30.0),
    )
    return Twin(
        plant=Plant(identified, model, INPUTS, OUTPUTS, VIRTUAL, 1.0, np.full(2, 1e-6), np.zeros(2)),
        modes=("running",),
        settle_s=settle_s,
        hold_periods=hold_periods,
        reference=1e-4,
        spread=np.array([0.0025, 0.0025, 0.02]),
        domain=Domain(np.array([50.0, 0.3, 0.2]), np.diag([1e-2, 400.0, 400.0]) / 3.0, 2.0),
        score={},
        training={"sha256": "0" * 64},
        charts=charts,
    )


def tanks_csv(path, rows=1600, seed=1, *, extra=""):
    """Writes a recording of two nonlinear tanks (outflow ~ sqrt(level)) under PI control, with stops; 1 s rows."""
    draw = np.random.default_rng(seed)
    upper, lower, integral, wanted, valve = 0.3, 0.2, 0.0, 0.2, 0.5
    lines = ["time,pump/speed,valve/position,upper/level,lower/level,upper/flow,drive/state,product"]
    for k in range(rows):
        if k % 30 == 0:
            wanted, valve = draw.uniform(0.15, 0.25), draw.uniform(0.45, 0.55)
        state = 0 if k % 800 > 740 else 2
        error = wanted - (lower + 0.0008 * draw.standard_normal())
        integral = np.clip(integral + 0.002 * error, -0.3, 0.3)
        speed = float(np.clip(0.6 + 1.5 * error + integral, 0.2, 1.0)) if state else 0.0
        flow = 0.05 * valve * np.sqrt(max(upper, 0.0) / 0.3)
        for _ in range(1):
            upper += 0.9 * (0.04 * speed - flow)
            lower += 0.9 * (flow - 0.0262 * np.sqrt(max(lower, 0.0) / 0.2))
        upper, lower = max(upper, 0.01), max(lower, 0.01)
        y = (upper + 0.0008 * draw.standard_normal(), lower + 0.0008 * draw.standard_normal())
        meter = 40.0 * flow * (1.0 + 0.01 * draw.standard_normal())
        lines.append(f"{k},{100 * speed:.3f},{100 * valve:.3f},{y[0]:.5f},{y[1]:.5f},{meter:.4f},{state},water")
    path.write_text("\n".join(lines) + "\n" + extra)
    return path
