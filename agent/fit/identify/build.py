"""From a fitted network to the plant that a file holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8
from agent.fit.identify.linear import Linear
from agent.fit.identify.refine import Refined, Stops
from agent.twin.kind import Channel
from agent.twin.kinds import identified
from agent.twin.kinds.identified import Params, Stop, Tanh
from agent.twin.plant import Plant

FLOOR = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What a plant stands in: its channels and period."""

    inputs: tuple[Channel, ...]
    outputs: tuple[Channel, ...]
    period_s: float
    stops: Stops


def plant(frame: Frame, start: Linear, found: Refined) -> Plant:
    """What was found, with the noise of the linear start."""
    net, n, m = found.net, found.net.n, len(frame.inputs)
    W, G, V = net.W[0], net.G[0], net.V[0]
    tanh = Tanh(F=G[:, :-1], h=G[:, -1], E=W[:, n + m + 1 :], K=V[:, n + m + 1 :]) if net.units else None
    y_scale = scales(frame.outputs)
    params = Params(
        period_s=frame.period_s,
        u_mean=means(frame.inputs),
        u_scale=scales(frame.inputs),
        y_mean=means(frame.outputs),
        y_scale=y_scale,
        A=W[:, :n],
        B=W[:, n : n + m],
        a=W[:, n + m],
        C=V[:, :n],
        D=V[:, n : n + m],
        c=V[:, n + m],
        tanh=tanh,
        Q=start.Q + FLOOR * np.eye(n),
        x0=found.x0,
        P0=found.P0,
        stops=_stops(frame),
    )
    R = start.R * y_scale**2
    return Plant(identified, params, frame.inputs, frame.outputs, (), frame.period_s, R, np.zeros(len(R)))


def means(channels: tuple[Channel, ...]) -> F8:
    """Of the recording: f8[channels]."""
    return np.array([c.mean for c in channels])


def scales(channels: tuple[Channel, ...]) -> F8:
    """Of the recording: f8[channels]."""
    return np.array([c.scale for c in channels])


def _stops(frame: Frame) -> tuple[Stop, ...]:
    """In units; what the recording has shown as its end."""
    ends = zip(frame.outputs, frame.stops.low, frame.stops.high, strict=True)
    found = [
        Stop(j, c.low if np.isfinite(low) else np.nan, c.high if np.isfinite(high) else np.nan)
        for j, (c, low, high) in enumerate(ends)
    ]
    return tuple(s for s in found if not (np.isnan(s.low) and np.isnan(s.high)))
