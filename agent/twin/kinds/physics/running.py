"""A plan put to work: states moved on, outputs worked out, whole trajectories."""

from __future__ import annotations

from typing import Any

import numpy as np

from agent.core.nouns import F8
from agent.twin.kinds.physics.integration import integrated
from agent.twin.kinds.physics.params import Params
from agent.twin.kinds.physics.plan import Plan, Slots, compiled, run


def advance(params: Params, x: F8, u: F8, dt_s: float) -> F8:
    """States f8[...,n] a time dt_s later, inputs f8[...,m] held. Finite whatever the inputs are."""
    plan = compiled(params)
    n = len(plan.states)
    x = _alike(x, u)
    slots, rows = _entered(plan, x)
    _drive(plan, slots, u)
    after = np.empty(x.shape)
    after[..., :n] = _last(integrated(plan, slots, rows[:n], dt_s, params.substep_s, params.scheme))
    after[..., n:] = x[..., n:]
    return after


def outputs(params: Params, x: F8, u: F8) -> F8:
    """Outputs f8[...,p+v] of states f8[...,n] under inputs f8[...,m], in the units of their tags."""
    plan = compiled(params)
    x = _alike(x, u)
    slots, rows = _entered(plan, x)
    _drive(plan, slots, u)
    out = np.empty((*x.shape[:-1], len(plan.outputs)))
    _look(plan, slots, rows, out)
    return out


def trajectory(params: Params, x: F8, u: F8, dt_s: float) -> tuple[F8, F8]:
    """Outputs f8[rows,...,p+v] of a free run from states f8[...,n] under inputs f8[rows,...,m], each held for dt_s,
    and the states at its end f8[...,n]. Health parameters stand still, so that what rests on them is done once."""
    plan = compiled(params)
    n = len(plan.states)
    slots, rows = _entered(plan, x)
    out = np.empty((len(u), *x.shape[:-1], len(plan.outputs)))
    z = rows[:n]
    for k, now in enumerate(u):
        _drive(plan, slots, now)
        _look(plan, slots, z, out[k])
        z = integrated(plan, slots, z, dt_s, params.substep_s, params.scheme)
    return out, np.concatenate([_last(z), x[..., n:]], axis=-1)


def _entered(plan: Plan, x: F8) -> tuple[Slots, F8]:
    """The slots with the health parameters of x f8[...,n] in place, and x by row: f8[n,...]."""
    slots = plan.template.copy()
    rows = np.ascontiguousarray(_first(x))
    for at, wear, row in zip(plan.worn, plan.health, rows[len(plan.states) :], strict=True):
        value = wear.nominal * np.exp(np.fmin(row, 50.0)) if wear.relative else row
        slots[at] = np.fmin(np.fmax(value, wear.low), wear.high)
    run(plan.steady, slots)
    return slots, rows


def _drive(plan: Plan, slots: Slots, u: F8) -> None:
    """Put inputs f8[...,m] into their slots, within what is possible (NaN: its lower end)."""
    signal = np.fmin(np.fmax(u * plan.scale + plan.shift, plan.floor), plan.ceiling)
    entries: Any = signal.tolist() if signal.ndim == 1 else _first(signal)
    for at, value in zip(plan.inputs, entries, strict=True):
        slots[at] = value
    run(plan.held, slots)
    for at in plan.handed:
        slots[at] = np.asarray(slots[at])


def _look(plan: Plan, slots: Slots, rows: F8, out: F8) -> None:
    """Outputs of states by row, into f8[...,p+v]."""
    for at, row in zip(plan.states, rows, strict=False):
        slots[at] = row
    run(plan.seen, slots)
    for j, at in enumerate(plan.outputs):
        out[..., j] = slots[at]
    out *= plan.gain
    out += plan.offset


def _alike(x: F8, u: F8) -> F8:
    """x with the leading axes of both."""
    if u.ndim == 1 or u.shape[:-1] == x.shape[:-1]:
        return x
    return np.broadcast_to(x, (*np.broadcast_shapes(x.shape[:-1], u.shape[:-1]), x.shape[-1]))


def _first(x: F8) -> F8:
    """The last axis to the front."""
    return x.T if x.ndim < 3 else np.moveaxis(x, -1, 0)


def _last(x: F8) -> F8:
    """The first axis to the end."""
    return x.T if x.ndim < 3 else np.moveaxis(x, 0, -1)
