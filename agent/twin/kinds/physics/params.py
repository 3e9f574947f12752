"""The parameters of a physics twin: components, the lines between them, and what their values are. SI throughout.

This is the tree under "model" in the file. `agent.fit.physics` makes it from what an engineer writes; `plan` turns it
into equations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Component:
    """A part of the machine. kind: a name in `components.KINDS`; values: its parameters by name; ports: by the name
    of what it reads, a signal `component.name` or an input's tag."""

    name: str
    kind: str
    values: Mapping[str, float]
    ports: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A flow from one tank or reservoir to another through components in series.

    rise: how far its end lies above the bottom of its source, in m (negative: below). submerged: it ends under the
    surface of its receiver, so that the receiver's level counts too. share: of the flow that arrives there.
    """

    name: str
    source: str
    through: tuple[str, ...]
    to: str
    rise: float = 0.0
    submerged: bool = False
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Drive:
    """An input of the twin, which ports read by its tag: value in the tag's unit = gain * SI value + offset."""

    tag: str
    gain: float
    offset: float


@dataclass(frozen=True, slots=True)
class Reading:
    """An output of the twin and the signal it is: value in the tag's unit = gain * signal + offset."""

    tag: str
    signal: str
    gain: float
    offset: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A parameter that was fitted: its bounds, and the interval that holds it with 95 % (NaN: not identifiable)."""

    parameter: str
    value: float
    low: float
    high: float
    interval_low: float
    interval_high: float
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Wear:
    """A health parameter: the value of `parameter` in its component is a state. As `agent.twin.kind.Health`."""

    name: str
    parameter: str
    component: str
    unit: str
    nominal: float
    failed: float
    low: float
    high: float
    spread: float
    walk: float
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """What is known of a state before any measurement, and how much it wanders by itself.

    walk: standard deviation of what the equations leave out, per square root of a second."""

    state: str
    mean: float
    sd: float
    walk: float


@dataclass(frozen=True, slots=True, eq=False)
class Params:
    """A machine as one ODE. x holds the states in the order of `starts`, then the health parameters.

    scheme: rk4, or euler where a model was published so; substep_s: the longest step of it.
    """

    components: tuple[Component, ...]
    lines: tuple[Line, ...]
    inputs: tuple[Drive, ...]
    outputs: tuple[Reading, ...]
    health: tuple[Wear, ...]
    starts: tuple[Start, ...]
    estimates: tuple[Estimate, ...]
    scheme: str
    substep_s: float
