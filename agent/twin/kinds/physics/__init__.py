"""Twins from first principles: components in lines, composed into one ODE, with health parameters as states."""

from __future__ import annotations

import numpy as np

from agent.core.nouns import F8
from agent.twin.kind import Affine, Channel, Health
from agent.twin.kinds.physics import running
from agent.twin.kinds.physics.checking import problems
from agent.twin.kinds.physics.params import Params

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
    return running.advance(params, x, u, dt_s)


def outputs(params: Params, x: F8, u: F8) -> F8:
    """Outputs f8[...,p+v] of states f8[...,n] under inputs f8[...,m], in the units of their tags."""
    return running.outputs(params, x, u)


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
