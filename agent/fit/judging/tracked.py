"""A twin's own cycle run over rows of a recording, as the daemon would run it.

What a limit is set from, and what a virtual output is fitted to, must be what the daemon will compute: the code of
the cycle exists once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8, Frame, Names
from agent.twin import cycle
from agent.twin.twin import Twin


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Over rows, in units: z f8[rows,p] normalised residuals; expected f8[rows,p], residual f8[rows,p]; virtual
    f8[rows,v]; state f8[rows,n] of the tracking filter; share f8[rows]: how much a residual counts, NaN while the twin
    settles."""

    z: F8
    expected: F8
    residual: F8
    virtual: F8
    state: F8
    share: F8


def track(twin: Twin, u: F8, y: F8) -> Track:
    """An unbroken stretch u f8[rows,m], y f8[rows,p], from the twin's first frame on."""
    names, plant = Names(twin.tags), twin.plant
    p, v = len(plant.outputs), len(plant.virtual)
    at = np.arange(p) * cycle.PER_OUTPUT
    virtual = p * cycle.PER_OUTPUT + np.arange(v) * cycle.PER_VIRTUAL
    state = cycle.init(twin)
    rows: list[tuple[F8, ...]] = []
    for k, row in enumerate(np.hstack([u, y])):
        state, values = cycle.step(twin, state, frame(names, row, k, plant.period_s), {})
        share = np.nan if state.settling or not k else state.judging.share
        rows.append(
            (
                state.judging.z,
                values.value[at],
                values.value[at + 1],
                values.value[virtual],
                state.tracking.belief.x,
                np.array([share]),
            )
        )
    z, expected, residual, estimated, x, share_of = (np.array(column) for column in zip(*rows, strict=True))
    return Track(z, expected, residual, estimated, x, share_of[:, 0])


def frame(names: Names, value: F8, k: int, dt_s: float) -> Frame:
    """Frame k in which every tag was read, Good, at this moment (NaN: absent)."""
    n, dt_ns = len(names), round(dt_s * 1e9)
    stamp = np.zeros(n, np.int64)
    count = np.ones(n, np.int32)
    status = np.zeros(n, np.uint32)
    return Frame(names, (k + 1) * dt_ns, dt_ns, value, status, stamp, stamp, value, value, value, count, {}, ())
