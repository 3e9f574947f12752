"""Runs the models of an asset, each only where it holds, and turns a failing one into an absent value and a fault."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agent.core import quality
from agent.core.nouns import Fault, Frame
from agent.engine.asset import Asset, Model
from agent.engine.state import ModelState, outside

# What a model may raise on bad numbers or files. Anything else is a bug of ours and ends the cycle.
FAILURES = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)

SoFar = dict[str, tuple[float, int]]


def step(
    asset: Asset, states: tuple[ModelState, ...], frame: Frame, seq: int
) -> tuple[tuple[ModelState, ...], SoFar, tuple[Fault, ...]]:
    """All models in order: (states, what they gave by relative id, faults)."""
    so_far: SoFar = {}
    after, faults = [], []
    for model, before in zip(asset.models, states, strict=True):
        try:
            state = _one(model, before, frame, so_far, seq)
        except FAILURES as error:
            state = outside(model, quality.BAD_INTERNAL_ERROR)
            faults.append(Fault(model.name, frame.t_ns, f"{type(error).__name__}: {error}"))
        after.append(state)
        given = zip(model.points, state.value.tolist(), state.status.tolist(), strict=True)
        so_far.update({asset.relative(point.id): (value, status) for point, value, status in given})
    return tuple(after), so_far, tuple(faults)


def _one(model: Model, before: ModelState, frame: Frame, so_far: SoFar, seq: int) -> ModelState:
    if frame.mode not in model.modes:
        return outside(model, quality.NOT_APPLICABLE, before.state)
    entered = before.entered_ns < 0
    if not entered and seq % model.every:
        return before
    own = model.kind.init(model.params) if entered else before.state
    entered_ns = frame.t_ns if entered else before.entered_ns
    own, values = model.kind.step(model.params, own, frame, so_far)
    if frame.t_ns - entered_ns < model.settle_s * 1e9:
        settling = np.full(len(model.points), quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
        return ModelState(own, entered_ns, np.full(len(model.points), np.nan), settling)
    return ModelState(own, entered_ns, values.value, values.status)


def silenced(states: tuple[ModelState, ...], why: int) -> tuple[ModelState, ...]:
    """The same states giving nothing, for the reason `why`."""
    return tuple(replace(s, value=np.full_like(s.value, np.nan), status=np.full_like(s.status, why)) for s in states)
