"""The twin's own `step` run over pieces of a recording, row by row, as the daemon would run it.

What a limit is set from, and what a virtual output is fitted to, must be what the daemon will compute: the code of
the cycle exists once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8, Frame, Names
from agent.fit.plant import Piece
from agent.twin import linear
from agent.twin.statespace import Params


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Scaled, over a piece: residual f8[rows,p]; state f8[rows,n] of the tracking filter; phi f8[rows,m+q];
    trust f8[rows] in the residual, NaN while the twin settles."""

    residual: F8
    state: F8
    phi: F8
    trust: F8


def track(params: Params, piece: Piece) -> Track:
    """Residuals and tracked states of a piece, from the twin's first frame on."""
    names = Names(params.tags)
    mean = np.array([c.mean for c in (*params.inputs, *params.outputs)])
    scale = np.array([c.scale for c in (*params.inputs, *params.outputs)])
    value = np.hstack([piece.u, piece.y]) * scale + mean
    state, at = linear.init(params), np.arange(len(params.outputs)) * 4 + 1
    residual, states, phi, trust = [], [], [], []
    for row in value:
        state, values = linear.step(params, state, frame(names, row, params.period_s), {})
        residual.append(values.value[at])
        states.append(state.filters.tracking)
        phi.append(state.filters.phi)
        trust.append(np.nan if state.settling else state.trust)
    return Track(np.array(residual) / scale[len(params.inputs) :], np.array(states), np.array(phi), np.array(trust))


def frame(names: Names, value: F8, dt_s: float) -> Frame:
    """A frame in which every tag was read, Good, at this moment."""
    n, dt_ns = len(names), round(dt_s * 1e9)
    stamp = np.zeros(n, np.int64)
    count = np.ones(n, np.int32)
    status = np.zeros(n, np.uint32)
    return Frame(names, 0, dt_ns, value, status, stamp, stamp, value, value, value, count, {}, ())
