"""What every kind of twin is: a stochastic state-space model whose parameters and state are values.

    x_k+1 = f(x_k, u_k, dt) + w,   w ~ N(0, Q(dt))         advance, process_noise
    y_k   = g(x_k, u_k)     + v,   v ~ N(0, R)             outputs

Filter, roll-back, Monte Carlo and what-if are written once, over these few functions. u and y are in the units of
their channels; what x means is the kind's own affair, but it can be read and set by whoever holds the belief.
Health parameters (wear, leak, friction, fade) are states too: a random walk that the filter estimates on line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from agent.core.nouns import F8


@dataclass(frozen=True, slots=True)
class Channel:
    """An input or output. mean, scale (> 0): of the recording, in `unit`; low, high: the range seen in it."""

    tag: str
    unit: str
    mean: float
    scale: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Health:
    """A health parameter: a part of the state that says how worn a component is.

    name: `pump.wear`; component: what a person would repair; state: its index in x; nominal: its value when new, in
    `unit`; failed: where it is worn out (NaN: no limit known); low, high: physical bounds. spread: standard deviation
    when new; walk: of its random walk, per square root of a second; both of what stands in x. `relative`: that is
    ln(value / nominal).
    """

    name: str
    component: str
    unit: str
    state: int
    nominal: float
    failed: float
    low: float
    high: float
    spread: float
    walk: float
    relative: bool = False

    def value(self, x: F8) -> F8:
        """The parameter in its unit, of states f8[..., n]: f8[...]."""
        part = x[..., self.state]
        return np.asarray(self.nominal * np.exp(part) if self.relative else part, np.float64)

    def inner(self, value: float) -> float:
        """What stands in x for a value in `unit`."""
        return float(np.log(value / self.nominal)) if self.relative else value


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """A kind that is linear: x+ = A x + B u + a, y = C x + D u + c, in the channels' units.

    A f8[n,n]; B f8[n,m]; a f8[n]; C f8[p+v,n]; D f8[p+v,m]; c f8[p+v]."""

    A: F8
    B: F8
    a: F8
    C: F8
    D: F8
    c: F8


class Kind(Protocol):
    """A module that is a kind of twin. All functions are pure; leading axes of x and u are particles, and broadcast."""

    __name__: str

    @property
    def Params(self) -> type[Any]:  # noqa: N802
        """The dataclass under "model" in the file, see `agent.twin.jsontree`."""

    def check(self, params: Any, inputs: tuple[Channel, ...], outputs: tuple[Channel, ...]) -> list[str]:
        """What is wrong with parameters of these channels (measured outputs, then virtual ones), in words."""

    def prior(self, params: Any) -> tuple[F8, F8]:
        """The state before any measurement: mean f8[n], covariance f8[n,n] (positive definite)."""

    def advance(self, params: Any, x: F8, u: F8, dt_s: float) -> F8:
        """f: states f8[...,n] a time dt_s later, inputs f8[...,m] held. Bounded for bounded u, finite for finite x."""

    def outputs(self, params: Any, x: F8, u: F8) -> F8:
        """g: f8[...,p+v], measured outputs, then virtual ones."""

    def process_noise(self, params: Any, dt_s: float) -> F8:
        """Q f8[n,n] over a time dt_s: positive semidefinite, health parameters' walk included."""

    def health(self, params: Any) -> tuple[Health, ...]:
        """The health parameters that are part of x; empty for a kind that has none."""

    def affine(self, params: Any, dt_s: float) -> Affine | None:
        """The same model as matrices where it is linear, else None."""
