"""Rows of the output map for what is not measured later: fitted to what the filter makes of the measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agent.core.nouns import F8
from agent.fit.identify.build import means, scales
from agent.fit.identify.subspace import ridge
from agent.fit.pieces import START_ROWS, Piece
from agent.twin import simulate
from agent.twin.kind import Channel
from agent.twin.plant import Plant

ROWS = 4000
WEIGHT = 1e-6


def added(plant: Plant, channels: tuple[Channel, ...], pieces: Sequence[Piece]) -> Plant:
    """The identified plant with virtual outputs v = C x + D u + c + K s, scaled, by ridge regression on its states."""
    if not channels:
        return plant
    params, tanh = plant.params, plant.params.tanh
    some = pieces[:: max(1, sum(len(p.u) for p in pieces) // ROWS)]
    phi = np.vstack([_regressors(plant, piece)[START_ROWS:] for piece in some])
    v = np.vstack([piece.v[START_ROWS:] for piece in some])
    n, m = len(params.A), len(plant.inputs)
    C, D, c, K = np.split(ridge(phi, v, WEIGHT).T, [n, n + m, n + m + 1], axis=1)
    more = replace(
        params,
        C=np.vstack([params.C, C]),
        D=np.vstack([params.D, D]),
        c=np.concatenate([params.c, c[:, 0]]),
        tanh=tanh and replace(tanh, K=np.vstack([tanh.K, K])),
        y_mean=np.concatenate([params.y_mean, means(channels)]),
        y_scale=np.concatenate([params.y_scale, scales(channels)]),
    )
    return replace(plant, params=more, virtual=channels)


def _regressors(plant: Plant, piece: Piece) -> F8:
    """[x; u; 1; s] of each row, x by the filter: f8[rows, n+m+1+h]."""
    u = piece.u * scales(plant.inputs) + means(plant.inputs)
    y = piece.y * scales(plant.outputs) + means(plant.outputs)
    x = simulate.tracked(plant, u, y)[1]
    columns = [x, piece.u, np.ones((len(x), 1))]
    tanh = plant.params.tanh
    if tanh is not None:
        columns.append(np.tanh(np.hstack([x, piece.u]) @ tanh.F.T + tanh.h))
    return np.hstack(columns)
