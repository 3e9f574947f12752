"""A small asset and its ticks, for the engine's tests."""

import math
from dataclasses import dataclass

import numpy as np

from agent.core import quality
from agent.core.conditions import Rule
from agent.core.nouns import Batch, Mode, Names, Point, Role, Tag, Tick, Values
from agent.engine.asset import Asset, Model, Modes

SECOND = 1_000_000_000
TAGS = ("drive/state", "tank/level", "process/product")


@dataclass(frozen=True)
class State:
    steps: int


class Doubling:
    """A model that expects the level to be twice what it is, and counts its steps."""

    State = State

    def load(self, content):
        return None

    def points(self, params):
        return (Point("tank/level.deviation", Role.DEVIATION), Point("anomaly/score", Role.SCORE))

    def init(self, params):
        return State(0)

    def step(self, params, state, frame, so_far):
        level = float(frame.value[frame.names.at["tank/level"]])
        if level == 666.0:
            raise ValueError("the devil's level")
        bad = quality.BAD_DATA_UNAVAILABLE if math.isnan(level) else quality.GOOD
        values = Values(np.array([level - 1.0, abs(level)]), np.array([bad, bad], np.uint32))
        return State(state.steps + 1), values


def asset(rules=(), settle_s=0.0, summary_s=60.0, every=1, modes=None):
    tags = tuple(Tag(f"rig/{n}", "x", type="string" if n == "process/product" else "float64") for n in TAGS)
    kind = Doubling()
    measured = tuple(Point(t.id, Role.MEASURED) for t in tags)
    given = tuple(Point(f"rig/{p.id}", p.role) for p in kind.points(None))
    model = Model("twin", kind, None, "hash", given, len(tags) + 1, settle_s=settle_s, every=every)
    return Asset(
        id="rig",
        epoch=1,
        period_s=1.0,
        tags=tags,
        names=Names(TAGS),
        points=(*measured, Point("rig/state/mode", Role.MODE), *given),
        modes=modes or Modes(tag="drive/state", words={2: Mode.RUNNING, 3: Mode.IDLE}),
        context={"product": "process/product"},
        rules=tuple(rules),
        models=(model,),
        summary_s=summary_s,
        stale_s=(2.5,) * len(tags),
    )


def high(limit=10.0, **more):
    rule = {"category": "alert", "of": "tank/level", "kind": "limit", "side": "high", "limit": limit} | more
    return Rule(id="tank/level.high", point="tank/level", **rule)


def batch(t_s, level=None, state=None, product=None, status=quality.GOOD):
    rows, values, texts = [], [], []
    for row, value in ((0, state), (1, level), (2, product)):
        if value is None:
            continue
        if row == 2:
            texts.append((len(rows), value))
        rows.append(row)
        values.append(math.nan if row == 2 else value)
    n = len(rows)
    t_ns = np.full(n, int(t_s * SECOND), np.int64)
    return Batch("plc", np.array(rows, np.int32), np.array(values), np.full(n, status, np.uint32), t_ns,
                 np.zeros(n, np.int64), tuple(texts))  # fmt: skip


def tick(t_s, *batches, commands=(), last=False):
    return Tick("rig", 1, int(t_s * 10), int(t_s * SECOND), batches, tuple(commands), last)


def at(built, snapshot, relative):
    row = [p.id for p in built.points].index(f"rig/{relative}")
    return float(snapshot.value[row]), int(snapshot.status[row])
