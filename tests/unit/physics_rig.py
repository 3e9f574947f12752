"""Machines of a few components, for the tests of the physics kind."""

from __future__ import annotations

from agent.twin.kinds.physics.params import Component, Drive, Line, Params, Reading, Start, Wear

# A pump lifts water into a tank that empties through a hole.
FILLING = Params(
    components=(
        Component("sump", "reservoir", {"level": 0.3}, {}),
        Component("upper", "tank", {"area": 0.05}, {}),
        Component("pump", "pump", {"shutoff": 4.0, "runout": 8e-4}, {"speed": "pump/speed"}),
        Component("hole", "orifice", {"area": 1e-4}, {}),
    ),
    lines=(
        Line("riser", "sump", ("pump",), "upper", rise=1.2),
        Line("outlet", "upper", ("hole",), "sump"),
    ),
    inputs=(Drive("pump/speed", 100.0, 0.0),),
    outputs=(Reading("upper/level", "upper.level", 1.0, 0.0), Reading("pump/flow", "riser.flow", 3600.0, 0.0)),
    health=(Wear("pump.wear", "pump.wear", "pump", "1", 0.0, 0.3, -0.1, 0.9, 0.01, 1e-5),),
    starts=(Start("upper.level", 0.3, 0.1, 1e-3),),
    estimates=(),
    scheme="rk4",
    substep_s=1.0,
)
