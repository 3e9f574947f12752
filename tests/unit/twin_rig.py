"""A small linear twin written by hand, frames for it, and a nonlinear tank under PI control to fit one to."""

import numpy as np

from agent.core import quality
from agent.core.nouns import Frame, Names
from agent.twin.statespace import Channel, Deviation, Noise, Params

A = np.array([[0.95, 0.0], [0.06, 0.93]])
B = np.array([[0.05], [0.0]])
TAGS = ("pump/speed", "upper/level", "lower/level")


def params(*, products=False, settle_s=0.0, hold_periods=3):
    """Two tanks in a row, one pump; both levels measured, the flow between them virtual."""
    pairs = ((0, 0), (0, 1)) if products else ()
    q = len(pairs)
    more = np.array([[0.002, 0.001], [0.0, 0.0]])[:, :q]
    return Params(
        inputs=(Channel("pump/speed", "%", 50.0, 10.0, 30.0, 70.0),),
        outputs=(Channel("upper/level", "m", 0.3, 0.05, 0.1, 0.5), Channel("lower/level", "m", 0.2, 0.05, 0.05, 0.4)),
        virtual=(Channel("upper/flow", "m3/h", 1.0, 0.2, 0.4, 1.6),),
        period_s=1.0,
        modes=("running",),
        settle_s=settle_s,
        hold_periods=hold_periods,
        products=pairs,
        product_mean=np.full(q, 0.1),
        A=A,
        B=np.hstack([B, more]),
        C=np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.1]]),
        D=np.zeros((3, 1 + q)),
        Bc=B,
        Dc=np.zeros((2, 1)),
        domain=np.eye(3) / 3.0,
        radius=2.0,
        noise=Noise(
            Q=np.diag([1e-4, 1e-4]),
            R=np.array([4e-4, 4e-4]),
            prior=np.eye(2),
            trust=1e-4,
            residual=np.array([0.05, 0.05]),
            virtual=np.array([0.1]),
        ),
        deviation=Deviation(
            whiten=np.array([[0.5, 0.2], [0.5, 0.2]]),
            spread=np.array([0.03, 0.03]),
            limit=np.array([0.9, 0.9]),
            share=0.05,
            clip=3.0,
        ),
        score={},
        training={"sha256": "0" * 64},
    )


def frame(u, upper, lower, *, status=None, dt_s=1.0, tags=TAGS):
    """A frame with these three values; status as three codes, Good where none are given."""
    n = len(tags)
    value = np.array([u, upper, lower], np.float64)
    codes = np.array(status if status is not None else [quality.GOOD] * n, np.uint32)
    stamp, count = np.zeros(n, np.int64), np.ones(n, np.int32)
    dt_ns = round(dt_s * 1e9)
    return Frame(Names(tags), 0, dt_ns, value, codes, stamp, stamp, value, value, value, count, {}, ())


def plant(rows, seed, *, leak_at=None, leak=0.0, noise=0.0008):
    """Rows of (speed, upper, lower) in the twin's units from the same equations, with process and sensor noise."""
    draw = np.random.default_rng(seed)
    x, speed, out = np.zeros(2), 0.0, []
    for k in range(rows):
        if k % 25 == 0:
            speed = draw.uniform(-1.5, 1.5)
        x = A @ x + B[:, 0] * speed + 0.004 * draw.standard_normal(2)
        if leak_at is not None and k >= leak_at:
            x[1] -= leak
        y = np.array([0.3, 0.2]) + 0.05 * x + noise * draw.standard_normal(2)
        out.append((50.0 + 10.0 * speed, *y))
    return out


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
