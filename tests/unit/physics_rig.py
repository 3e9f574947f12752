"""Machines of a few components, for the tests of the physics kind."""

from __future__ import annotations

from agent.twin.kind import Channel
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

# Two tanks with a valve between them, weirs, and a hole that grows; wear and leak are states.
TWO_TANKS = Params(
    components=(
        Component("sump", "reservoir", {"level": 0.3}, {}),
        Component("pump", "pump", {"shutoff": 4.0, "runout": 1e-3, "best": 5e-4}, {"speed": "pump/speed"}),
        Component("pipe", "pipe", {"rated": 1 / 3600, "turbulent": 0.4}, {}),
        Component("upper", "tank", {"area": 0.05}, {}),
        Component("upper rim", "weir", {"crest": 0.9, "width": 0.1}, {}),
        Component("valve", "valve", {"kv": 2e-3}, {"opening": "valve/position"}),
        Component("lower", "tank", {"area": 0.04}, {}),
        Component("lower rim", "weir", {"crest": 0.8, "width": 0.1}, {}),
        Component("hole", "orifice", {"area": 1e-4}, {}),
        Component("leak", "leak", {}, {}),
    ),
    lines=(
        Line("riser", "sump", ("pump", "pipe"), "upper", rise=1.2),
        Line("transfer", "upper", ("valve",), "lower"),
        Line("upper over", "upper", ("upper rim",), "lower"),
        Line("outlet", "lower", ("hole",), "sump"),
        Line("lower over", "lower", ("lower rim",), "sump"),
        Line("drip", "lower", ("leak",), "sump"),
    ),
    inputs=(Drive("pump/speed", 100.0, 0.0), Drive("valve/position", 100.0, 0.0)),
    outputs=tuple(
        Reading(tag, signal, 1.0, 0.0)
        for tag, signal in (
            ("upper/level", "upper.level"),
            ("lower/level", "lower.level"),
            ("pump/flow", "riser.flow"),
            ("pump/head", "pump.head"),
            ("outlet/flow", "outlet.flow"),
            ("leak/flow", "drip.flow"),
            ("over/flow", "lower over.flow"),
        )
    ),
    health=(
        Wear("pump.wear", "pump.wear", "pump", "1", 0.0, 0.3, -0.1, 0.9, 0.01, 1e-5),
        Wear("lower.leak", "leak.area", "lower", "m2", 0.0, 2e-5, -1e-4, 1e-3, 1e-6, 1e-9),
    ),
    starts=(Start("upper.level", 0.3, 0.1, 1e-3), Start("lower.level", 0.25, 0.1, 1e-3)),
    estimates=(),
    scheme="rk4",
    substep_s=0.5,
)

# The cell of Daigle and Sankararaman 2013 with the parameters that ProgPy 1.9 ships.
CELL = {
    "qMax": 7856.3254, "CMax": 7777.0, "Cbp0": -230.0, "Cbp1": 1.2, "Cbp2": 2079.9, "Cbp3": 27.055726,
    "Rs": 0.0538926, "Cs": 234.387, "Rcp0": 0.0697776, "Rcp1": 1.50528e-17, "Rcp2": 37.223, "Ccp": 14.8223,
    "Rp": 1e4, "Ta": 292.1, "Jt": 800.0, "ha": 0.5, "hcp": 19.0, "hcs": 1.0,
}  # fmt: skip

BATTERY = Params(
    components=(Component("cell", "battery", CELL, {"i": "load"}),),
    lines=(),
    inputs=(Drive("load", 1.0, 0.0),),
    outputs=(Reading("temperature", "cell.t", 1.0, 0.0), Reading("voltage", "cell.v", 1.0, 0.0)),
    health=(),
    starts=(
        Start("cell.tb", 292.1, 1.0, 0.1),
        Start("cell.qb", 7856.3254, 10.0, 0.1),
        Start("cell.qcp", 0.0, 1.0, 0.1),
        Start("cell.qcs", 0.0, 1.0, 0.1),
    ),
    estimates=(),
    scheme="rk4",
    substep_s=1.0,
)


def channels(params: Params) -> tuple[tuple[Channel, ...], tuple[Channel, ...]]:
    """Channels that go with the inputs and outputs of parameters."""
    return (
        tuple(Channel(d.tag, "", 50.0 if d.gain == 100.0 else 2.0, 10.0, 0.0, 100.0) for d in params.inputs),
        tuple(Channel(r.tag, "", 0.0, 1.0, -1.0, 1.0) for r in params.outputs),
    )
