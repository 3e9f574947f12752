"""What the engine is told about one asset: its tags and points, how its mode is found, its rules and its models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from agent.core import swinging
from agent.core.conditions import TRUSTED, Rule
from agent.core.formula import NOTHING, Program
from agent.core.nouns import I8, Frame, Mode, Names, Point, Tag, Values
from agent.core.swinging import Lines


class ModelKind(Protocol):
    """A module (or object) that is a kind of model. `State` is a dataclass that `core.wire` can send.

    Two functions more where a kind has them:
    `obey(params, state, command) -> state`: does what a Command asks of it; ValueError says why not. Pure.
    `resume(params, state) -> state`: instead of `init` where a mode begins in which it holds, with what outlasts a
    pause (health, bias); times in the old state mean nothing any more.
    """

    @property
    def State(self) -> type[Any]:  # noqa: N802
        """The type of this kind's state."""

    def load(self, content: bytes) -> Any:
        """Parameters from a model file; ValueError says what is wrong with it."""

    def points(self, params: Any) -> tuple[Point, ...]:
        """What it gives, with ids relative to the asset (`lower/level.expected`)."""

    def init(self, params: Any) -> Any:
        """The state before the first frame."""

    def step(
        self, params: Any, state: Any, frame: Frame, so_far: Mapping[str, tuple[float, int]]
    ) -> tuple[Any, Values]:
        """One cycle: pure. `so_far` holds what earlier models gave in this cycle: (value, status) by relative id."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model of an asset. Its points follow `first` in the asset's points. `most_ms`: CPU time that a step may
    take, measured by the runtime."""

    name: str
    kind: ModelKind
    params: Any
    sha256: str
    points: tuple[Point, ...]
    first: int
    modes: frozenset[Mode] = frozenset({Mode.RUNNING})
    settle_s: float = 0.0
    every: int = 1
    most_ms: float = 5.0


# What the name of a shadow ends with; no name in a configuration can.
SHADOW = ".shadow"


@dataclass(frozen=True, slots=True)
class Promotion:
    """When a new model takes the place of the old one, and when it is taken back.

    after_h: by itself after so many hours beside the old one, where it keeps its promise (None: only by command).
    alarms_per_day: what it promises. probation_h: so long after it took over it is taken back where it breaks it.
    """

    after_h: float | None = None
    alarms_per_day: float = 1.0
    probation_h: float = 72.0


@dataclass(frozen=True, slots=True)
class Pair:
    """A model and its shadow: two models of the asset, side by side from `number`. One of them speaks for both.

    points: what either gives, the same id once, then what compares them; they follow `first` in the asset's points.
    rows: of each one's points among these. rules: rows of the asset's rules over these. standing: how far the alerts
    of each are believed.
    """

    name: str
    number: int
    points: tuple[Point, ...]
    first: int
    rows: tuple[tuple[int, ...], tuple[int, ...]]
    rules: tuple[int, ...] = ()
    standing: tuple[str, str] = (TRUSTED, TRUSTED)
    promotion: Promotion = Promotion()


@dataclass(frozen=True, slots=True)
class ModeRule:
    """A declared rule: the asset is in `mode` while the tag is within [at_least, at_most], for at least `for_s`."""

    mode: Mode
    tag: str
    at_least: float = float("-inf")
    at_most: float = float("inf")
    for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Modes:
    """How the mode is found: a PLC enumeration (`tag`, `words`), else the first rule that holds, else `otherwise`.

    Where the tag is Bad the last mode is held for `hold_s`, then it is unknown: one missed poll resets no model.
    """

    tag: str | None = None
    words: Mapping[int, Mode] = field(default_factory=dict)
    rules: tuple[ModeRule, ...] = ()
    otherwise: Mode = Mode.UNKNOWN
    hold_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A tag (its row and relative name) that changes within so long while the program of its source runs.

    `rows`: all tags that this asset reads from that source, itself among them.
    """

    row: int
    tag: str
    within_s: float
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Asset:
    """All that is fixed about an asset. `points` (m, ids absolute) are: one measured per tag in order, then
    `<id>/state/mode`, then the points of each model (each pair) in turn, then those of `texts`, which say the same as
    long as the configuration holds (row: text). `derived`: the tags that are not read but computed. `absent`: models
    that could not be loaded, and why. `key`: the hash of all this but the epoch."""

    id: str
    epoch: int
    period_s: float
    tags: tuple[Tag, ...]
    names: Names
    points: tuple[Point, ...]
    modes: Modes
    context: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    models: tuple[Model, ...] = ()
    summary_s: float = 60.0
    stale_s: tuple[float, ...] = ()
    heartbeats: tuple[Heartbeat, ...] = ()
    derived: Program = NOTHING
    texts: Mapping[int, str] = field(default_factory=dict)
    pairs: tuple[Pair, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    key: str = ""

    @property
    def stale_ns(self) -> I8:
        """i8[n]: how long a value of each tag is good for without being confirmed (inf: for ever)."""
        return np.minimum(np.asarray(self.stale_s, np.float64) * 1e9, float(2**62)).astype(np.int64)

    @property
    def lines(self) -> Lines:
        """The traces of its tags, before the first sample."""
        bound = {row: tag.trace for row, tag in enumerate(self.tags) if tag.trace is not None}
        return swinging.begun(np.array(list(bound), np.int32), np.array(list(bound.values()), np.float64))

    @property
    def blocks(self) -> Mapping[str, slice]:
        """Rows of the points of each model by its name: a model and its shadow have one block, under the model's."""
        paired = {pair.number + side for pair in self.pairs for side in (0, 1)}
        single = [(m.name, m.first, m.points) for n, m in enumerate(self.models) if n not in paired]
        double = [(p.name, p.first, p.points) for p in self.pairs]
        return {name: slice(first, first + len(points)) for name, first, points in (*single, *double)}

    def relative(self, point_id: str) -> str:
        """A point's id without the asset."""
        return point_id.removeprefix(self.id + "/")
