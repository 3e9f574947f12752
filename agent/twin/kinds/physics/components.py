"""The kinds of component, by the word that a file uses for them."""

from __future__ import annotations

from collections.abc import Mapping

from agent.twin.kinds.physics import electrics, hydraulics, signals
from agent.twin.kinds.physics.law import ComponentKind

KINDS: Mapping[str, ComponentKind] = {
    "tank": hydraulics.TANK,
    "reservoir": hydraulics.RESERVOIR,
    "pump": hydraulics.PUMP,
    "metering pump": hydraulics.METERING,
    "pipe": hydraulics.PIPE,
    "valve": hydraulics.VALVE,
    "linear valve": hydraulics.LINEAR_VALVE,
    "orifice": hydraulics.ORIFICE,
    "weir": hydraulics.WEIR,
    "leak": hydraulics.LEAK,
    "motor": electrics.MOTOR,
    "thermal": electrics.THERMAL,
    "battery": electrics.BATTERY,
    "sensor": signals.SENSOR,
    "lag": signals.LAG,
}
