"""What of a frame a twin can use: inputs and outputs with their weights, and samples that came late.

Only rows that are there are used: a Bad one is dropped, an Uncertain one counts with 25 R. What is absurd is cut to
what keeps the arithmetic sound, an input to the recording's range and as much again on either side.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from agent.core import quality
from agent.core.nouns import F8, Batch, Frame, Names
from agent.twin.filtering import Sample
from agent.twin.plant import Plant

UNCERTAIN_WEIGHT = 25.0
ABSURD = 1e6
MOST_LATE = 16


@lru_cache(maxsize=256)
def _bounds(plant: Plant) -> tuple[F8, F8]:
    """low, high f8[m+p] of what is believed of a signal."""
    span = np.array([c.high - c.low for c in plant.inputs])
    low = np.array([c.low for c in plant.inputs]) - span
    high = np.array([c.high for c in plant.inputs]) + span
    mean = np.array([c.mean for c in plant.outputs])
    far = ABSURD * np.array([c.scale for c in plant.outputs])
    return np.concatenate([low, mean - far]), np.concatenate([high, mean + far])


def sample(plant: Plant, frame: Frame, t_ns: int, held: F8) -> tuple[Sample, bool]:
    """The frame as a sample at t_ns, absent inputs as `held` f8[m] (NaN: none yet); whether all inputs are there."""
    row = frame.names.rows(plant.tags)
    value, status = frame.value[row], frame.status[row]
    low, high = _bounds(plant)
    usable = np.isfinite(value) & ~quality.bad_mask(status)
    value = np.where(usable, np.minimum(np.maximum(value, low), high), np.nan)
    m = len(plant.inputs)
    u = np.where(usable[:m], value[:m], held)
    weight = np.where(quality.good_mask(status[m:]), 1.0, UNCERTAIN_WEIGHT)
    return Sample(t_ns, u, value[m:], weight), bool(usable[:m].all())


def late(plant: Plant, frame: Frame) -> Iterator[Sample]:
    """Measured outputs of this frame's batches from before the last cycle, oldest first, one sample a time.

    u is NaN: the inputs of that time are in the filter's window.
    """
    before_ns = frame.t_ns - frame.dt_ns
    if not frame.dt_ns or not any(len(b.t_ns) and int(b.t_ns.min()) < before_ns for b in frame.batches):
        return
    columns = _columns(plant, frame.names)
    found: dict[int, F8] = {}
    weights: dict[int, F8] = {}
    for batch in frame.batches:
        for k in np.flatnonzero((batch.t_ns < before_ns) & _usable(batch)):
            at = columns.get(int(batch.tag[k]))
            if at is not None:
                t_ns = int(batch.t_ns[k])
                found.setdefault(t_ns, np.full(len(plant.outputs), np.nan))[at] = batch.value[k]
                weights.setdefault(t_ns, np.ones(len(plant.outputs)))[at] = (
                    1.0 if quality.is_good(int(batch.status[k])) else UNCERTAIN_WEIGHT
                )
    none = np.full(len(plant.inputs), np.nan)
    for t_ns in sorted(found)[-MOST_LATE:]:
        yield Sample(t_ns, none, found[t_ns], weights[t_ns])


def _columns(plant: Plant, names: Names) -> dict[int, int]:
    """Output index by tag row."""
    rows = names.rows(plant.tags)[len(plant.inputs) :]
    return {int(row): at for at, row in enumerate(rows)}


def _usable(batch: Batch) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(np.isfinite(batch.value) & ~quality.bad_mask(batch.status), np.bool_)
