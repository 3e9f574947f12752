"""Q and R of an identified plant, from the innovations over the pieces it was fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agent.fit import tuning
from agent.fit.identify.build import Frame, means, scales
from agent.fit.pieces import Piece
from agent.fit.tuning import Factors
from agent.twin.plant import Plant


def tuned(plant: Plant, frame: Frame, pieces: Sequence[Piece]) -> Factors:
    """The likeliest factors; a value at a stop says nothing about noise."""
    segments = []
    for piece in pieces:
        stopped = (piece.y >= frame.stops.high) | (piece.y <= frame.stops.low)
        y = np.where(stopped, np.nan, piece.y * scales(frame.outputs) + means(frame.outputs))
        segments.append((piece.u * scales(frame.inputs) + means(frame.inputs), y))
    return tuning.tuned(plant, segments)


def scaled(plant: Plant, factors: Factors) -> Plant:
    """The plant with its noise by such factors."""
    params = replace(plant.params, Q=factors.process * plant.params.Q)
    return replace(plant, R=factors.measurement * plant.R, params=params)
