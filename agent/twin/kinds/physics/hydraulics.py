"""Tanks, and what a line leads through: pump, pipe, valve, orifice in series; weir, leak, metering pump alone.

Heads are in m of the liquid, flows in m3/s. In a line through components in series the same Q flows in each, and

    lift = linear Q + square Q |Q|        (sums over the components, and the levels at both ends)

has one solution in closed form. Affinity laws and losses: Gülich, Centrifugal Pumps, 2014; valves: IEC 60534-2-1;
weirs: Francis 1883.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from agent.twin.kinds.physics.law import ComponentKind, Law, Quantity

G = 9.80665
WATER = 998.0
# Keeps 0 / 0 out of a line without any loss.
TINY = 1e-9
# Without axes: numpy is twice as fast with it as with 0.0.
ZERO = np.zeros(())
PER_BAR = 1e5 / (WATER * G)


def one_way(lift: Any, half: Any, half_squared: Any, square: Any) -> Any:
    """Q >= 0 with lift = 2 half Q + square Q^2: m3/s."""
    lift = np.maximum(lift, ZERO)
    return lift / (np.sqrt(square * lift + half_squared) + half)


def both_ways(lift: Any, half: Any, half_squared: Any, square: Any) -> Any:
    """Q of the sign of `lift`: m3/s."""
    return lift / (np.sqrt(square * abs(lift) + half_squared) + half)


def halved(*linear: Any) -> Any:
    """Half of what is linear in Q along a line."""
    return 0.5 * total(*linear) + TINY


def driving(rise: Any, *lifts: Any) -> Any:
    """What drives a line besides the levels: m."""
    return total(*lifts) - rise


def total(first: Any, *others: Any) -> Any:
    """The sum."""
    for term in others:
        first = first + term
    return first


def balance(ins: int) -> Callable[..., Any]:
    """A h' = sum of q_in - sum of q_out, as an equation of A, the `ins` flows in and those out."""

    def rate(area: Any, *flows: Any) -> Any:
        net = total(*flows[:ins]) if ins else ZERO
        for flow in flows[ins:]:
            net = net - flow
        return net / area

    return rate


FLOW = Quantity("m3/s")
LOSSES = {"lift": Quantity("m"), "linear": Quantity("s/m2"), "square": Quantity("s2/m5")}

RESERVOIR = ComponentKind(
    says="liquid at a level that stays as it is: a sump, a drain, the sea",
    parameters={"level": Quantity("m", -1e3, 1e3, 0.0)},
    laws=(),
    gives={"level": Quantity("m")},
)

TANK = ComponentKind(
    says="a vessel of one cross-section, open to the air",
    parameters={"area": Quantity("m2", 1e-6, 1e6)},
    states={"level": Quantity("m", 0.0, 1e3, 0.5)},
    gives={"level": Quantity("m")},
    laws=(),
)

# H = (1 - wear) (h0 w^2 - h1 w Q - h2 Q |Q|), h1 = sag h0 / runout, h2 = (1 - sag) h0 / runout^2
# P = rho g H Q / eta, eta = efficiency (1 - wear) (2 xi - xi^2), xi = Q / (w best)
PUMP = ComponentKind(
    says="a centrifugal pump: affinity laws, efficiency a parabola of flow over speed",
    parameters={
        "shutoff": Quantity("m", 1e-3, 1e4),
        "runout": Quantity("m3/s", 1e-9, 1e3),
        "sag": Quantity("1", 0.0, 1.0, 0.0),
        "best": Quantity("m3/s", 1e-9, 1e3, 1.0),
        "efficiency": Quantity("1", 0.01, 1.0, 0.6),
        "wear": Quantity("1", -0.5, 0.95, 0.0),
    },
    reads={"speed": Quantity("1", 0.0, 2.0)},
    gives={**LOSSES, "head": Quantity("m"), "pressure": Quantity("Pa"), "flow": FLOW, "power": Quantity("W")},
    laws=(
        Law("lift", lambda shutoff, speed, wear: (1.0 - wear) * (shutoff * speed * speed)),
        Law("linear", lambda shutoff, runout, sag, speed, wear: (1.0 - wear) * (sag * shutoff / runout * speed)),
        Law("square", lambda shutoff, runout, sag, wear: (1.0 - wear) * ((1.0 - sag) * shutoff / (runout * runout))),
        Law("head", lambda lift, linear, square, flow: lift - (linear + square * flow) * flow),
        Law("pressure", lambda head, level: (WATER * G) * (head + level)),
        Law("hydraulic_load", lambda speed, best, efficiency, wear: speed * best / (efficiency * (1.0 - wear))),
        Law(
            "power",
            lambda head, flow, speed, best, hydraulic_load: (
                (WATER * G) * head * hydraulic_load / (2.0 - np.minimum(flow / (np.maximum(speed, 0.01) * best), 1.8))
            ),
        ),
    ),
    passes="series",
)

# loss = laminar (Q / rated) + turbulent (Q / rated)^2
PIPE = ComponentKind(
    says="a pipe with its bends: what it loses at a rated flow, in proportion and in square to the flow",
    parameters={
        "rated": Quantity("m3/s", 1e-9, 1e3),
        "turbulent": Quantity("m", 0.0, 1e4),
        "laminar": Quantity("m", 0.0, 1e4, 0.0),
    },
    gives={**LOSSES, "flow": FLOW},
    laws=(
        Law("lift", lambda: 0.0),
        Law("linear", lambda laminar, rated: laminar / rated),
        Law("square", lambda turbulent, rated: turbulent / (rated * rated)),
    ),
    passes="series",
)

# Q = A sqrt(2 g dh)
ORIFICE = ComponentKind(
    says="a hole or nozzle: area times its coefficient of discharge",
    parameters={"area": Quantity("m2", 1e-9, 1e3)},
    gives={**LOSSES, "flow": FLOW},
    laws=(
        Law("lift", lambda: 0.0),
        Law("linear", lambda: 0.0),
        Law("square", lambda area: 1.0 / (2.0 * G * area * area)),
    ),
    passes="series",
)


def _resistance(kv: Any, fouling: Any, share: Any) -> Any:
    # Q = kv (1 - fouling) f(u) sqrt(dp / bar)
    through = kv * (1.0 - fouling) * share
    return PER_BAR / (through * through)


VALVE = ComponentKind(
    says="an equal-percentage control valve, f(u) = rangeability^(u - 1)",
    parameters={
        "kv": Quantity("m3/s", 1e-9, 1e3),
        "rangeability": Quantity("1", 2.0, 1000.0, 50.0),
        "offset": Quantity("1", -1.0, 1.0, 0.0),
        "fouling": Quantity("1", -0.5, 0.95, 0.0),
    },
    reads={"opening": Quantity("1", 0.0, 1.0)},
    gives={**LOSSES, "flow": FLOW, "share": Quantity("1")},
    laws=(
        Law(
            "share",
            lambda opening, offset, rangeability: np.exp(
                np.log(rangeability) * (np.minimum(np.maximum(opening + offset, 0.0), 1.0) - 1.0)
            ),
        ),
        Law("lift", lambda: 0.0),
        Law("linear", lambda: 0.0),
        Law("square", _resistance),
    ),
    passes="series",
)

LINEAR_VALVE = ComponentKind(
    says="a control valve with f(u) = u, and a leakage when closed",
    parameters={
        "kv": Quantity("m3/s", 1e-9, 1e3),
        "leakage": Quantity("1", 1e-4, 1.0, 1e-3),
        "offset": Quantity("1", -1.0, 1.0, 0.0),
        "fouling": Quantity("1", -0.5, 0.95, 0.0),
    },
    reads={"opening": Quantity("1", 0.0, 1.0)},
    gives={**LOSSES, "flow": FLOW, "share": Quantity("1")},
    laws=(
        Law("share", lambda opening, offset, leakage: np.minimum(np.maximum(opening + offset, leakage), 1.0)),
        Law("lift", lambda: 0.0),
        Law("linear", lambda: 0.0),
        Law("square", _resistance),
    ),
    passes="series",
)


def _over(level: Any, crest: Any, francis: Any) -> Any:
    # q = 1.84 width (h - crest)^1.5
    above = np.maximum(level - crest, ZERO)
    return francis * (above * np.sqrt(above))


WEIR = ComponentKind(
    says="an overflow: all that stands above its crest",
    parameters={"crest": Quantity("m", 0.0, 1e3), "width": Quantity("m", 1e-4, 1e3)},
    gives={"flow": FLOW},
    laws=(Law("francis", lambda width: 1.84 * width), Law("flow", _over)),
    passes="flow",
)

# q = A sqrt(2 g h). Linear in A, on both sides of zero, so that an estimate of no leak can be zero on average.
LEAK = ComponentKind(
    says="a hole that is not meant to be there",
    parameters={"area": Quantity("m2", -1.0, 1e3, 0.0)},
    gives={"flow": FLOW},
    laws=(Law("flow", lambda level, rise, area: area * np.sqrt(2.0 * G * np.maximum(level - rise, 0.0))),),
    passes="flow",
)

# q = gain d (1 + bend d), d = max(drive - dead, 0)
METERING = ComponentKind(
    says="a pump whose flow follows its drive whatever the pressure, but for a dead band and a bend",
    parameters={
        "gain": Quantity("m3/s", 0.0, 1e6),
        "dead": Quantity("", -1e6, 1e6, 0.0),
        "bend": Quantity("", -1e3, 1e3, 0.0),
    },
    reads={"drive": Quantity("", -1e6, 1e6)},
    gives={"flow": FLOW},
    laws=(
        Law("over", lambda drive, dead: np.maximum(drive - dead, 0.0)),
        Law("flow", lambda over, gain, bend: gain * over * np.maximum(1.0 + bend * over, 0.0)),
    ),
    passes="flow",
)
