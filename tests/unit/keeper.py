"""A model that says texts, obeys, and keeps its wear over a pause: what a twin does, without a filter."""

import math
from dataclasses import dataclass, replace

import numpy as np
from engine_world import TAGS

from agent.core import quality
from agent.core.nouns import Kind, Mode, Names, Point, Role, Tag, Values
from agent.engine.asset import Asset, Model, Modes


@dataclass(frozen=True)
class State:
    steps: int
    wear: float
    life: str


class Keeper:
    """Wear grows by 0.1 a step; `replaced=pump` sets it back, `life` stores what somebody predicted."""

    State = State
    given = (
        Point("tank/level.residual", Role.RESIDUAL, of="tank/level"),
        Point("health/pump.wear", Role.HEALTH),
        Point("health/finding", Role.FINDING, kind=Kind.TEXT),
    )

    def points(self, params):
        return self.given

    def init(self, params):
        return State(0, 0.0, "no estimate")

    def resume(self, params, state):
        return replace(state, steps=0)

    def obey(self, params, state, command):
        if command.do == "life":
            return replace(state, life=command.args["text"])
        if "recalibrated" in command.args:
            return replace(state, life=f"{command.args['recalibrated']} set right")
        if command.args.get("replaced", "pump") != "pump":
            raise ValueError(f"no component {command.args['replaced']}, expected pump")
        return replace(state, wear=0.0, life="no estimate")

    def step(self, params, state, frame, so_far):
        level = float(frame.value[frame.names.at["tank/level"]])
        if level == 666.0:
            raise ValueError("the devil's level")
        bad = quality.BAD_DATA_UNAVAILABLE if math.isnan(level) else quality.GOOD
        state = replace(state, steps=state.steps + 1, wear=state.wear + 0.1)
        values = np.array([level, state.wear, math.nan])
        return state, Values(values, np.array([bad, 0, 0], np.uint32), {2: f"{state.life}, {state.steps} steps"})


def kept(rules=(), *, kind=None, settle_s=0.0):
    """The asset of `engine_world` with this model, running while the drive says 2."""
    kind = kind or Keeper()
    tags = tuple(Tag(f"rig/{n}", "x", type="string" if n == "process/product" else "float64") for n in TAGS)
    measured = tuple(Point(t.id, Role.MEASURED) for t in tags)
    given = tuple(replace(p, id=f"rig/{p.id}") for p in kind.points(None))
    model = Model("twin", kind, None, "hash", given, len(tags) + 1, settle_s=settle_s)
    return Asset(
        id="rig", epoch=1, period_s=1.0, tags=tags, names=Names(TAGS),
        points=(*measured, Point("rig/state/mode", Role.MODE), *given),
        modes=Modes(tag="drive/state", words={2: Mode.RUNNING, 3: Mode.IDLE}),
        context={"product": "process/product"}, rules=tuple(rules), models=(model,), stale_s=(2.5,) * len(tags),
    )  # fmt: skip
