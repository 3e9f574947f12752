"""Twins from first principles: components in lines, composed into one ODE, with health parameters as states."""

from __future__ import annotations

from typing import Any

import numpy as np

from agent.core.nouns import F8
from agent.twin.kind import Affine, Channel, Health
from agent.twin.kinds.physics.checking import problems
from agent.twin.kinds.physics.integration import integrated
from agent.twin.kinds.physics.params import Params
from agent.twin.kinds.physics.plan import Plan, Slots, compiled, run

__all__ = ["Params", "advance", "affine", "check", "health", "outputs", "prior", "process_noise"]


def check(params: Params, inputs: tuple[Channel, ...], outputs: tuple[Channel, ...]) -> list[str]:
    """What is wrong with parameters of these channels (measured outputs, then virtual ones), in words."""
    wrong = problems(params)
    for what, readings, channels in (("inputs", params.inputs, inputs), ("outputs", params.outputs, outputs)):
        tags, wanted = [r.tag for r in readings], [c.tag for c in channels]
        if tags != wanted:
            wrong.append(f"model.{what} {', '.join(wanted)} as the channels, got {', '.join(tags)}")
    return wrong


def prior(params: Params) -> tuple[F8, F8]:
    """The state before any measurement: mean f8[n], covariance f8[n,n]."""
    nominal = [h.inner(h.nominal) for h in health(params)]
    mean = np.array([*(s.mean for s in params.starts), *nominal])
    sd = np.array([*(s.sd for s in params.starts), *(w.spread for w in params.health)])
    return mean, np.diag(sd**2)


def advance(params: Params, x: F8, u: F8, dt_s: float) -> F8:
    """States f8[...,n] a time dt_s later, inputs f8[...,m] held. Finite whatever the inputs are."""
    plan = compiled(params)
    n = len(plan.states)
    x = _alike(x, u)
    slots, rows = _entered(plan, x, u)
    run(plan.held, slots)
    for at in plan.handed:
        slots[at] = np.asarray(slots[at])
    after = np.empty(x.shape)
    after[..., :n] = _last(integrated(plan, slots, rows[:n], dt_s, params.substep_s, params.scheme))
    after[..., n:] = x[..., n:]
    return after


def outputs(params: Params, x: F8, u: F8) -> F8:
    """Outputs f8[...,p+v] of states f8[...,n] under inputs f8[...,m], in the units of their tags."""
    plan = compiled(params)
    x = _alike(x, u)
    slots, rows = _entered(plan, x, u)
    for at, row in zip(plan.states, rows, strict=False):
        slots[at] = row
    run(plan.held, slots)
    run(plan.seen, slots)
    seen = np.empty((*x.shape[:-1], len(plan.outputs)))
    for j, at in enumerate(plan.outputs):
        seen[..., j] = slots[at]
    seen *= plan.gain
    seen += plan.offset
    return seen


def process_noise(params: Params, dt_s: float) -> F8:
    """Q f8[n,n] over dt_s: each state and each health parameter walks by itself."""
    walk = np.array([*(s.walk for s in params.starts), *(w.walk for w in params.health)])
    return np.diag(walk**2 * dt_s)


def health(params: Params) -> tuple[Health, ...]:
    """The health parameters, behind the moving states."""
    first = len(params.starts)
    return tuple(
        Health(
            name=w.name,
            component=w.component,
            unit=w.unit,
            state=first + i,
            nominal=w.nominal,
            failed=w.failed,
            low=w.low,
            high=w.high,
            spread=w.spread,
            walk=w.walk,
            relative=w.relative,
        )
        for i, w in enumerate(params.health)
    )


def affine(params: Params, dt_s: float) -> Affine | None:
    """None: a machine of these components is not linear."""
    del params, dt_s
    return None


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


def _entered(plan: Plan, x: F8, u: F8) -> tuple[Slots, F8]:
    """The slots with inputs and health parameters in place, and the states by row: f8[n, ...]."""
    slots = plan.template.copy()
    signal = np.fmin(np.fmax(u * plan.scale + plan.shift, plan.floor), plan.ceiling)
    entries: Any = signal.tolist() if signal.ndim == 1 else _first(signal)
    for at, value in zip(plan.inputs, entries, strict=True):
        slots[at] = value
    rows = np.ascontiguousarray(_first(x))
    n = len(plan.states)
    for at, wear, row in zip(plan.worn, plan.health, rows[n:], strict=True):
        value = wear.nominal * np.exp(np.fmin(row, 50.0)) if wear.relative else row
        slots[at] = np.fmin(np.fmax(value, wear.low), wear.high)
    return slots, rows
