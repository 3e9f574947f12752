"""Model kind `detect.onnx`: an anomaly score and each tag's part in it, from one ONNX file with everything inside.

Graph: input f4[N, W, C] (N windows of W rows of C tags, in the tags' own units, oldest row first);
first output the score f4[N], second the contributions f4[N, C]. What the numbers mean stands in the metadata.

`anomaly/score` is the k-th largest of the last n scores (persistence): it is above `anomaly/limit` exactly when
k of the last n were. The contributions are those of that same row. `anomaly/check` says whether the model still knows
its machine (`agent.detect.drift`), where its file says how healthy rows were.

An input is a tag, or what a model before it gives: `upper/level.residual` of a twin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import itemgetter

import numpy as np

from agent.core import quality
from agent.core.nouns import F8, U4, Frame, Kind, Point, Role, Values
from agent.detect import drift, metadata, session, trial, window
from agent.detect.drift import Reference
from agent.detect.metadata import Metadata
from agent.detect.session import Session
from agent.detect.window import Window


@dataclass(frozen=True, slots=True, eq=False)
class Params:
    """A loaded detector: its metadata, its graph, and how healthy rows were (None: its file does not say)."""

    about: Metadata
    session: Session
    reference: Reference | None

    @property
    def tags(self) -> tuple[str, ...]:
        """Relative names of the tags that it reads, in the order of the window's columns."""
        return self.about.tags

    @property
    def units(self) -> tuple[str, ...]:
        """Units of the tags ("" where the recording did not say)."""
        return self.about.units

    @property
    def modes(self) -> tuple[str, ...]:
        """Modes that it holds for, as words."""
        return self.about.modes

    @property
    def settle_s(self) -> float:
        """Seconds after entry into a mode for which it is not to be believed."""
        return self.about.settle_s

    @property
    def period_s(self) -> float:
        """Seconds between two rows of its window."""
        return self.about.period_s


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Between two steps. memory: the last n scores, each with its C contributions (0 before the first); value and
    status: what was given last, as one of those; drift: what outlasts the stops of the machine."""

    window: Window
    memory: tuple[tuple[float, ...], ...]
    value: tuple[float, ...]
    status: int
    drift: drift.State | None = None


def load(content: bytes) -> Params:
    """A detector from the bytes of its file; ValueError says why it is refused. Loads onnxruntime."""
    about = metadata.parse(session.admitted(content).metadata)
    params = Params(about, session.opened(content), _reference(about))
    _check_shapes(params.session, about)
    _dry_run(params)
    trial.rehearse(params.session, (about.window, len(about.tags)))
    return params


def points(params: Params) -> tuple[Point, ...]:
    """`anomaly/score`, `anomaly/limit`, then `<tag>.contribution` of each tag (in units of the score), then
    `anomaly/check` and its reason, where the file has a reference."""
    score = Point("anomaly/score", Role.SCORE, unit="1", eu_lo=0.0, description=params.about.score)
    limit = Point("anomaly/limit", Role.LIMIT, of="anomaly/score", unit="1", description="limit of the score")
    return (
        score,
        limit,
        *(
            Point(f"{tag}.contribution", Role.CONTRIBUTION, of=tag, unit="1", description=params.about.contribution)
            for tag in params.tags
        ),
        *(_check_points() if params.reference else ()),
    )


def _check_points() -> tuple[Point, Point]:
    name, why = "anomaly/check", "whether inputs, score and alarms are as they were when the model was fitted"
    return (
        Point(name, Role.TRUST, kind=Kind.ENUMERATION, enum=drift.WORDS, description=why),
        Point(f"{name}_reason", Role.TRUST, of=name, kind=Kind.TEXT, description="why"),
    )


def init(params: Params) -> State:
    """Before the first row."""
    tags, memory = len(params.tags), params.about.persistence[1]
    return State(
        window=window.empty(params.about.window, tags),
        memory=((0.0,) * (1 + tags),) * memory,
        value=(math.nan,) * (1 + tags),
        status=quality.BAD_WAITING_FOR_INITIAL_DATA,
        drift=drift.begin(params.reference) if params.reference else None,
    )


def resume(params: Params, state: State) -> State:
    """Before the first row after a stop of the machine."""
    return replace(init(params), drift=state.drift)


def step(params: Params, state: State, frame: Frame, so_far: Mapping[str, tuple[float, int]]) -> tuple[State, Values]:
    """One cycle. Between two rows of the window the last result stands."""
    about = params.about
    given = window.given(frame, about.tags, so_far)
    rows, gained = window.advance(
        state.window, given, frame.dt_ns, period_s=about.period_s, hold_rows=about.hold_rows
    )  # fmt: skip
    if gained == 0:
        state = State(rows, state.memory, state.value, state.status, state.drift)
    elif not rows.full:
        missing = gained < 0
        status = quality.BAD_DATA_UNAVAILABLE if missing else quality.BAD_WAITING_FOR_INITIAL_DATA
        state = replace(resume(params, state), window=rows, status=status)
    else:
        state = _judged(params, state, rows, gained, counts=frame.mode_age_ns >= about.settle_s * 1e9)
    return state, _values(params, state)


def score(params: Params, windows: F8) -> tuple[F8, F8]:
    """The graph's own answer for windows f8[N, W, C], without persistence: score f8[N], contributions f8[N, C]."""
    found, parts = params.session.run(windows)
    return found, parts


def _judged(params: Params, state: State, rows: Window, gained: int, counts: bool) -> State:
    """Scores the window and takes the k-th largest of the last n scores with its contributions. counts: whether the
    machine has settled."""
    k, n = params.about.persistence
    found, parts = params.session.run_single(rows.rows[None])
    # A few Python numbers cost less than numpy calls do.
    new = (found.item(), *parts[0].tolist())
    known = state.drift
    if not all(map(math.isfinite, new)):
        return State(rows, state.memory, (math.nan,) * len(new), quality.BAD_INTERNAL_ERROR, known)
    gained = min(gained, n)
    memory = state.memory[gained:] + (new,) * gained
    value = sorted(memory, key=_score, reverse=True)[k - 1]
    if rows.bridged:
        return State(rows, memory, value, quality.UNCERTAIN_LAST_USABLE_VALUE, known)
    if params.reference and known and counts:
        known = drift.fold(params.reference, known, rows.rows[-1], value[0], value[0] > params.about.limit)
    return State(rows, memory, value, quality.GOOD, known)


_score = itemgetter(0)


def _values(params: Params, state: State) -> Values:
    """In the order of `points`."""
    known, (score_, *parts) = state.drift, state.value
    if known is None:
        return Values(np.array((score_, params.about.limit, *parts)), _statuses(2 + len(parts), state.status, False))
    check = (float(known.seen.level), math.nan)
    value = np.array((score_, params.about.limit, *parts, *check))
    return Values(value, _statuses(2 + len(parts), state.status, True), {len(value) - 1: known.seen.words})


@lru_cache(maxsize=256)
def _statuses(count: int, status: int, checked: bool) -> U4:
    """u4[count + 2 where checked]: of score, limit and contributions; limit and check are always known. Not to be
    written to: it is shared."""
    found = np.full(count + 2 * checked, status, np.uint32)
    found[1] = found[count:] = quality.GOOD
    found.setflags(write=False)
    return found


def _reference(about: Metadata) -> Reference | None:
    rows = about.calibration.get("windows", 0.0)
    return drift.reference(about.tags, about.reference, period_s=about.period_s, rows=rows, apart=about.window)


def _check_shapes(graph: Session, about: Metadata) -> None:
    inputs, outputs = graph.inputs, graph.outputs
    window_shape = [about.window, len(about.tags)]
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or list(inputs[0].shape[1:]) != window_shape:
        found = ", ".join(map(str, inputs))
        raise ValueError(f"input {found}; expected one tensor(float) [N, {window_shape[0]}, {window_shape[1]}]")
    if len(outputs) != 2 or any(o.type != "tensor(float)" for o in outputs):
        found = ", ".join(map(str, outputs))
        raise ValueError(f"output {found}; expected score [N] and contribution [N, {window_shape[1]}], tensor(float)")


def _dry_run(params: Params) -> None:
    """What the outputs are declared as need not be what they are: one window of zeros shows it."""
    tags = len(params.tags)
    try:
        found, parts = score(params, np.zeros((1, params.about.window, tags)))
    except RuntimeError as error:
        raise ValueError(f"it fails when run: {error}") from error
    if found.shape != (1,) or parts.shape != (1, tags):
        raise ValueError(f"it gives shapes {found.shape} and {parts.shape}, expected (1,) and (1, {tags})")
    if not (np.isfinite(found).all() and np.isfinite(parts).all()):
        raise ValueError("it gives no finite score for a window of zeros")
