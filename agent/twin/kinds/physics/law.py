"""What a kind of component is: its quantities, and its equations as plain functions of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

INF = float("inf")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A parameter, state or signal: its unit and what is physically possible.

    default: of a parameter that may be left out, or where a state starts; None: it must be given.
    """

    unit: str
    low: float = -INF
    high: float = INF
    default: float | None = None


@dataclass(frozen=True, slots=True)
class Law:
    """An equation. Its arguments are the names of the quantities it needs; `gives`: what it yields, x' for dx/dt."""

    gives: str
    equation: Callable[..., Any]

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of the arguments."""
        return arguments(self.equation)


@cache
def arguments(equation: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's arguments."""
    return tuple(inspect.signature(equation).parameters)


@dataclass(frozen=True, slots=True)
class ComponentKind:
    """A kind of component.

    parameters, states; reads: signals it is given by its ports; gives: signals that others may read; laws. `passes`:
    what it does to a line that leads through it, "" where none may: "series" if it gives lift, linear and square (see
    `hydraulics`); "flow" if it says itself what flows, from level and rise, and stands alone in its line.
    """

    says: str
    parameters: Mapping[str, Quantity]
    laws: tuple[Law, ...]
    states: Mapping[str, Quantity] = field(default_factory=dict)
    reads: Mapping[str, Quantity] = field(default_factory=dict)
    gives: Mapping[str, Quantity] = field(default_factory=dict)
    passes: str = ""
