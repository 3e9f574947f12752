"""An asset of plain tags and derived ones, played through the engine or straight through its program."""

import numpy as np

from agent.core import evaluation, expression, formula, quality
from agent.core.nouns import Batch, Mode, Names, Point, Role, Tag, Tick
from agent.engine import state as states
from agent.engine.asset import Asset, Modes
from agent.engine.step import step

SECOND = 1_000_000_000
READ = ("m/a", "m/b", "m/zones")


def asset(texts, ranges=None, heartbeats=(), stale_s=3.0, rules=()):
    """`texts`: expression by tag; `ranges`: more of a Tag by tag."""
    trees = {name: expression.parse(text) for name, text in texts.items()}
    names = Names((*READ, *texts))
    kinds = {"m/zones": "float64[]"}
    tags = tuple(Tag(f"rig/{n}", "", kinds.get(n, "float64"), **(ranges or {}).get(n, {})) for n in names)
    return Asset(
        id="rig",
        epoch=1,
        period_s=1.0,
        tags=tags,
        names=names,
        points=(*(Point(t.id, Role.MEASURED, kind=t.kind) for t in tags), Point("rig/state/mode", Role.MODE)),
        modes=Modes(otherwise=Mode.RUNNING),
        rules=tuple(rules),
        stale_s=(stale_s,) * len(READ) + (float("inf"),) * len(texts),
        heartbeats=tuple(heartbeats),
        derived=formula.compiled(tags, names, trees),
    )


def batch(*samples, arrays=()):
    """Samples (t_s, tag, value[, status]); arrays (t_s, tag, values) follow them."""
    rows, columns = list(samples), []
    for at, (t_s, tag, _) in enumerate(arrays, len(rows)):
        rows.append((t_s, tag, float("nan")))
        columns.append((at, np.array(arrays[at - len(samples)][2], np.float64)))
    status = np.array([s[3] if len(s) > 3 else quality.GOOD for s in rows], np.uint32)
    tag, value = [READ.index(s[1]) for s in rows], [s[2] for s in rows]
    t_ns = np.array([round(s[0] * SECOND) for s in rows], np.int64)
    stamps = np.zeros(len(rows), np.int64)
    return Batch("plc", np.array(tag, np.int32), np.array(value, np.float64), status, t_ns, stamps, (), tuple(columns))


class Play:
    """An asset going through cycles of a second."""

    def __init__(self, built, state=None):
        self.asset = built
        self.state = state or states.initial(built)
        self.n = 0
        self.shot = None

    def tick(self, t_s, *batches):
        self.n += 1
        one = Tick("rig", 1, self.n, round(t_s * SECOND), batches)
        self.state, self.shot = step(self.asset, self.state, one)
        return self

    def of(self, name):
        """(value, name of the status) of a tag after the last cycle."""
        row = self.asset.names.at[name]
        return float(self.shot.value[row]), quality.name(int(self.shot.status[row]))


def worked_out(text, a=(1.0, quality.GOOD), b=(1.0, quality.GOOD), zones=()):
    """(value, status) of one expression over m/a and m/b, without an engine around it."""
    built = asset({"d/x": text})
    value = np.array([a[0], b[0], np.nan, np.nan])
    status = np.array([a[1], b[1], quality.GOOD, quality.BAD], np.uint32)
    streams = [()] * len(built.derived.streams)
    begun = (value, status, np.ones(4, np.int64))
    memories = states.initial(built).memories
    slots, _ = evaluation.run(built.derived, memories, begun, {2: np.array(zones)}, streams, 1)
    return float(slots.value[3]), int(slots.whole[3])
