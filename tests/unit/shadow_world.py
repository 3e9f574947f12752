"""The asset of `engine_world` with a model and its shadow: scores that are the level times a gain, limit 1."""

import math
from dataclasses import dataclass, replace

import numpy as np
from engine_world import TAGS, batch, tick

from agent.core import quality
from agent.core.conditions import Rule
from agent.core.nouns import Command, Mode, Names, Point, Role, Tag, Values
from agent.engine import compared
from agent.engine import state as states
from agent.engine.asset import SHADOW, Asset, Model, Modes, Pair, Promotion
from agent.engine.step import step

RULE = Rule("anomaly", "anomaly/score", "anomaly", "high", 1.0, "anomaly/limit", hysteresis=0.1)


@dataclass(frozen=True)
class State:
    steps: int


class Scaled:
    """params: (gain, names of the tags that it gives contributions of). It fails at 666 and is silent above 1000."""

    State = State

    def points(self, params):
        return (
            Point("anomaly/score", Role.SCORE),
            Point("anomaly/limit", Role.LIMIT),
            *(Point(f"{tag}.contribution", Role.CONTRIBUTION, of=tag) for tag in params[1]),
        )

    def init(self, params):
        return State(0)

    def step(self, params, state, frame, so_far):
        gain, tags = params
        score = gain * float(frame.value[frame.names.at["tank/level"]])
        if score == 666.0:
            raise ValueError("the devil's score")
        bad = quality.BAD_DATA_UNAVAILABLE if math.isnan(score) or score > 1000.0 else quality.GOOD
        value = np.array([math.nan if bad else score, 1.0, *(score for _ in tags)])
        return State(state.steps + 1), Values(value, np.array([bad, 0, *(bad for _ in tags)], np.uint32))


def paired(old=1.0, new=1.0, *, new_tags=("tank/level",), promotion=None, standing=("trusted", "trusted"), rule=RULE):
    """An asset with the pair `score`, the two by their gains."""
    tags = tuple(Tag(f"rig/{n}", "x", type="string" if n == "process/product" else "float64") for n in TAGS)
    first, kind = len(tags) + 1, Scaled()
    params = ((old, ("tank/level",)), (new, new_tags))
    given = [tuple(replace(p, id=f"rig/{p.id}") for p in kind.points(each)) for each in params]
    ids = list(dict.fromkeys(p.id for points in given for p in points))
    points = {p.id: p for p in (*given[1], *given[0])}
    pair = Pair(
        "score", 0, tuple(points[name] for name in ids), first,
        (tuple(range(len(given[0]))), tuple(ids.index(p.id) for p in given[1])),
        (0,), standing, promotion or Promotion(),
    )  # fmt: skip
    names = ("score", "score" + SHADOW)
    models = tuple(
        Model(name, kind, each, f"sha {each}", made, first)
        for name, each, made in zip(names, params, given, strict=True)
    )
    measured = tuple(Point(t.id, Role.MEASURED) for t in tags)
    return Asset(
        id="rig", epoch=1, period_s=1.0, tags=tags, names=Names(TAGS),
        points=(*measured, Point("rig/state/mode", Role.MODE), *pair.points, *compared.points("rig", "score")),
        modes=Modes(tag="drive/state", words={2: Mode.RUNNING, 3: Mode.IDLE}),
        rules=(replace(rule, standing=standing[0]),),
        models=models, stale_s=(math.inf,) * len(tags), pairs=(pair,),
    )  # fmt: skip


def play(built, levels, state=None, every_s=60.0, start=1, commands=None):
    """(state, snapshots) of levels a minute apart; `commands` by number of the tick."""
    state, shots = state or states.initial(built), []
    for n, level in enumerate(levels):
        t_s = (start + n) * every_s
        asked = (commands or {}).get(n, ())
        state, shot = step(built, state, tick(t_s, batch(t_s, level=level, state=2), commands=asked))
        shots.append(shot)
    return state, shots


def ask(do, target="rig/score", **args):
    return Command("c1", do, target, "jane", args)


def changes(shots):
    return [(e.change, e.text) for shot in shots for e in shot.events if e.change.startswith(("model_", "refused"))]
