"""Model kind `detect.onnx`: an anomaly score and each tag's part in it, from one ONNX file with everything inside.

Graph: input f4[N, W, C] (N windows of W rows of C tags, in the tags' own units, oldest row first);
first output the score f4[N], second the contributions f4[N, C]. What the numbers mean stands in the metadata.

`anomaly/score` is the k-th largest of the last n scores (persistence): it is above `anomaly/limit` exactly when
k of the last n were. The contributions are those of that same row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from agent.core import quality
from agent.core.nouns import F8, Frame, Point, Role, Values
from agent.detect import metadata, session, trial, window
from agent.detect.metadata import Metadata
from agent.detect.session import Session
from agent.detect.window import Window


@dataclass(frozen=True, slots=True, eq=False)
class Params:
    """A loaded detector: its metadata and its graph."""

    about: Metadata
    session: Session

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
    """Between two steps. memory f8[n, 1 + C]: the last n scores with their contributions (0 before the first);
    value f8[1 + C] and status: what was given last."""

    window: Window
    memory: F8
    value: F8
    status: int


def load(content: bytes) -> Params:
    """A detector from the bytes of its file; ValueError says why it is refused. Loads onnxruntime."""
    about = metadata.parse(session.admitted(content).metadata)
    params = Params(about, session.opened(content))
    _check_shapes(params.session, about)
    _dry_run(params)
    trial.rehearse(params.session, (about.window, len(about.tags)))
    return params


def points(params: Params) -> tuple[Point, ...]:
    """`anomaly/score`, `anomaly/limit`, then `<tag>.contribution` of each tag (in units of the score)."""
    score = Point("anomaly/score", Role.SCORE, unit="1", eu_lo=0.0, description=params.about.score)
    limit = Point("anomaly/limit", Role.LIMIT, of="anomaly/score", unit="1", description="limit of the score")
    return (
        score,
        limit,
        *(
            Point(f"{tag}.contribution", Role.CONTRIBUTION, of=tag, unit="1", description=params.about.contribution)
            for tag in params.tags
        ),
    )


def init(params: Params) -> State:
    """Before the first row."""
    tags, memory = len(params.tags), params.about.persistence[1]
    return State(
        window=window.empty(params.about.window, tags),
        memory=np.zeros((memory, 1 + tags)),
        value=np.full(1 + tags, np.nan),
        status=quality.BAD_WAITING_FOR_INITIAL_DATA,
    )


def step(params: Params, state: State, frame: Frame, so_far: Mapping[str, tuple[float, int]]) -> tuple[State, Values]:
    """One cycle. Between two rows of the window the last result stands."""
    at = frame.names.rows(params.tags)
    about = params.about
    rows, gained = window.advance(state.window, frame, at, period_s=about.period_s, hold_rows=about.hold_rows)
    if gained == 0:
        state = replace(state, window=rows)
    elif not rows.full:
        missing = gained < 0
        status = quality.BAD_DATA_UNAVAILABLE if missing else quality.BAD_WAITING_FOR_INITIAL_DATA
        state = replace(init(params), window=rows, status=status)
    else:
        state = _judge(params, replace(state, window=rows), gained)
    return state, _values(params, state)


def score(params: Params, windows: F8) -> tuple[F8, F8]:
    """The graph's own answer for windows f8[N, W, C], without persistence: score f8[N], contributions f8[N, C]."""
    found, parts = params.session.run(windows)
    return found, parts


def _judge(params: Params, state: State, gained: int) -> State:
    """Scores the window and takes the k-th largest of the last n scores with its contributions."""
    k, n = params.about.persistence
    scored, contribution = score(params, state.window.rows[None])
    new = np.concatenate([scored, contribution[0]])
    if not np.isfinite(new).all():
        return replace(state, value=np.full_like(new, np.nan), status=quality.BAD_INTERNAL_ERROR)
    gained = min(gained, n)
    memory = np.concatenate([state.memory[gained:], np.repeat(new[None], gained, axis=0)])
    value = memory[np.argsort(-memory[:, 0], kind="stable")[k - 1]]
    held = bool(state.window.held.any())
    return replace(
        state,
        memory=memory,
        value=value,
        status=quality.UNCERTAIN_LAST_USABLE_VALUE if held else quality.GOOD,
    )


def _values(params: Params, state: State) -> Values:
    limit = params.about.limit
    value = np.concatenate([state.value[:1], [limit], state.value[1:]])
    status = np.full(len(value), state.status, np.uint32)
    status[1] = quality.GOOD
    return Values(value, status)


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
