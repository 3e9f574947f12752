"""A kind with its parameters and channels: all that filter, Monte Carlo and what-if know about a machine."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from agent.core.nouns import F8
from agent.twin.kind import Affine, Channel, Health, Kind
from agent.twin.surrogate import Surrogate, Wiring, wired


@dataclass(frozen=True, eq=False)
class Plant:
    """The model alone, in the channels' units: m inputs, p measured and v virtual outputs, n states.

    R f8[p]: variance of the measurement noise; quantum f8[p]: step of the PLC's scaling, 0 where it is fine.
    surrogate: what stands in the place of a part of the kind's output map.
    """

    kind: Kind
    params: Any
    inputs: tuple[Channel, ...]
    outputs: tuple[Channel, ...]
    virtual: tuple[Channel, ...]
    period_s: float
    R: F8
    quantum: F8
    surrogate: Surrogate | None = None

    @property
    def kind_name(self) -> str:
        """As the file says it: the module's own name."""
        return str(self.kind.__name__).rpartition(".")[2]

    @property
    def tags(self) -> tuple[str, ...]:
        """What is read from a frame: inputs, then measured outputs."""
        return tuple(c.tag for c in (*self.inputs, *self.outputs))

    @cached_property
    def n(self) -> int:
        """Number of states."""
        return len(self.prior[0])

    @cached_property
    def prior(self) -> tuple[F8, F8]:
        """Mean f8[n] and covariance f8[n,n] before any measurement."""
        return self.kind.prior(self.params)

    @cached_property
    def health(self) -> tuple[Health, ...]:
        """The health parameters in the state."""
        return self.kind.health(self.params)

    @cached_property
    def affine(self) -> Affine | None:
        """The matrices of one period where the kind is linear and no surrogate stands in its output map."""
        if self.surrogate is not None:
            return None
        return self.kind.affine(self.params, self.period_s)

    @cached_property
    def Q(self) -> F8:  # noqa: N802
        """Process noise of one period: f8[n,n]."""
        return self.kind.process_noise(self.params, self.period_s)

    @cached_property
    def noise(self) -> F8:
        """R with the variance of quantisation, step^2 / 12 (Widrow 1956): f8[p]."""
        return np.asarray(self.R + self.quantum**2 / 12.0, np.float64)

    def advance(self, x: F8, u: F8, dt_s: float | None = None) -> F8:
        """States f8[...,n] one period (or dt_s) later."""
        return self.kind.advance(self.params, x, u, self.period_s if dt_s is None else dt_s)

    def observe(self, x: F8, u: F8) -> F8:
        """Outputs f8[...,p+v] of states f8[...,n] under inputs f8[...,m]."""
        y = self.kind.outputs(self.params, x, u)
        return y if self.wiring is None else self.wiring.applied(x, u, y)

    @cached_property
    def wiring(self) -> Wiring | None:
        """The surrogate on this plant; None where it has none. ValueError says why it does not fit."""
        if self.surrogate is None:
            return None
        return wired(self.surrogate, self.inputs, (*self.outputs, *self.virtual), self.health)

    def outside(self, x: F8, u: F8) -> str:
        """Which inputs of the surrogate are outside its training, for x f8[n], u f8[m]; "" where none is."""
        if self.wiring is None:
            return ""
        y = self.kind.outputs(self.params, x, u)
        return self.wiring.surrogate.outside(self.wiring.inputs(x, u, y))


def kind(name: str) -> Kind:
    """The module of a kind; ValueError where there is none of that name."""
    try:
        return cast(Kind, importlib.import_module(f"agent.twin.kinds.{name}"))
    except ModuleNotFoundError as error:
        raise ValueError(f"kind {name!r}, expected linear, identified or physics") from error
