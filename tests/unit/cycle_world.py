"""A tank with a worn outlet and its twin, row by row as the daemon would see it; all with seeds."""

from dataclasses import replace

import numpy as np
from filter_rig import TANK_HEALTH, Tank, channels, tank_kind

from agent.core.nouns import Batch, Frame, Mode, Names
from agent.twin.departure import cusum, deviation, whitening
from agent.twin.domain import learned
from agent.twin.plant import Plant
from agent.twin.twin import Charts, Twin

SECOND = 1_000_000_000
SD = np.array([0.02, 0.01])


def truth(rows, seed, wear=0.0):
    """(u f8[rows,1], y f8[rows,2]): level and outflow of a tank under a wandering inflow."""
    rng = np.random.default_rng(seed)
    wear = np.broadcast_to(wear, rows)
    u = np.repeat(rng.uniform(0.5, 0.9, rows // 60 + 1), 60)[:rows, None]
    x, y = np.array([1.5, 0.0]), np.empty((rows, 2))
    for k in range(rows):
        x[1] = wear[k]
        y[k] = tank_kind.outputs(Tank(), x, u[k]) + SD * rng.normal(size=2)
        x = tank_kind.advance(Tank(), x, u[k], 1.0)
    return u, y


def twin(**changes):
    """The tank's twin, its limits a little wide so that nothing hangs on a lucky seed."""
    u, y = truth(2000, 1)
    tank = Plant(tank_kind, Tank(), channels("u", 1, 0.3, 0.7), channels("y", 2, 1.0, 1.0), (), 1.0, SD**2, np.zeros(2))
    charts = Charts(
        whitening.Whitening(np.full((2, 1), 0.3), np.ones(2), 4.0),
        deviation.Deviation(0.05, np.full(2, 0.9)),
        cusum.Cusum(0.5, np.full(2, 40.0), 30.0),
    )
    made = Twin(tank, ("running",), 20.0, 5, 1e-4, SD * 1.2, learned(u, y), {}, {}, charts)
    return replace(made, **changes)


def frame(names, value, k, status=None, dt_s=1.0, late=()):
    n = len(names)
    stamp, dt_ns = np.zeros(n, np.int64), round(dt_s * SECOND)
    status = np.zeros(n, np.uint32) if status is None else status
    batches = tuple(
        Batch("s", np.array([row], np.int32), np.array([v]), np.zeros(1, np.uint32), np.array([t_ns]), np.zeros(1, int))
        for row, v, t_ns in late
    )
    return Frame(
        names, (k + 1) * SECOND, dt_ns, np.asarray(value, float), status, stamp, stamp, value, value, value,
        np.ones(n, np.int32), {}, batches, Mode.RUNNING,
    )  # fmt: skip


def names(made):
    return Names(made.tags)


def played(module, made, u, y, state=None, first=0):
    """(state, [Values]) after rows u, y (NaN: absent)."""
    state = module.init(made) if state is None else state
    given, of = [], names(made)
    for k, row in enumerate(np.hstack([u, y])):
        state, values = module.step(made, state, frame(of, row, first + k), {})
        given.append(values)
    return state, given


HEALTH = TANK_HEALTH
