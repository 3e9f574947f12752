"""Model kind `detect.rul`: remaining life with a 90 % band, learned from units that ran to failure, from one ONNX file.

Graph: input features f4[N, F] (`rul_features`); first output the estimate f4[N] in the file's unit of time, 0 to the
cap; second f4[N] the distance from what it was trained on: above 1 is outside, and there is no estimate.

Where time is in cycles, a row is taken each time the tag `counter` counts on; else each period of running time.
What the unit was like at first, and its age, outlast pauses and restarts; `maintenance --replaced` begins them anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from agent.core import quality
from agent.core.nouns import F8, U4, Command, Frame, Kind, Point, Role, Values
from agent.detect import rul_features, rul_file, session, window
from agent.detect.rul_file import CYCLES, UNIT_S, About
from agent.detect.session import Session
from agent.detect.window import Window

BASE = "rul/life.machine"
FIGURES = {
    "p5": "as likely shorter as 1 in 20",
    "p50": "remaining life: central estimate",
    "p95": "as likely longer as 1 in 20",
    "not_before": "it lasts so long with 95 %",
}
NS_PER_S = 1e9
# A counter that jumps further than this was set, not counted: the window starts anew.
MOST_CYCLES = 1_000_000
AT_CAP = 1.0 - 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Params:
    """A loaded life predictor: its metadata and its graph."""

    about: About
    session: Session

    @property
    def tags(self) -> tuple[str, ...]:
        """Relative names of the tags that it reads: the columns of a row, then the counter of cycles if any."""
        return (*self.about.tags, *([self.about.counter] if self.about.counter else []))

    @property
    def units(self) -> tuple[str, ...]:
        """Units of the tags ("" where the recording did not say)."""
        return (*self.about.units, *([""] if self.about.counter else []))

    @property
    def modes(self) -> tuple[str, ...]:
        """Modes that it holds for, as words."""
        return self.about.modes

    @property
    def settle_s(self) -> float:
        """Seconds after entry into a mode for which it is not to be believed."""
        return self.about.settle_s


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Between two steps. age: running time since the first row, in the file's unit; begin f8[C] and begun: sum and
    number of the first rows, standardised; cycles: the counter's last value (NaN: not read yet); value f8[3]: p5, p50,
    p95 (NaN without an estimate) with their status, and why there is none."""

    window: Window
    age: float
    begin: F8
    begun: int
    cycles: float
    value: F8
    status: U4
    why: str


def load(content: bytes) -> Params:
    """A life predictor from the bytes of its file; ValueError says why it is refused. Loads onnxruntime."""
    about = rul_file.parse(session.admitted(content).metadata)
    params = Params(about, session.opened(content))
    _dry_run(params)
    return params


def points(params: Params) -> tuple[Point, ...]:
    """Why there is no estimate or what it is (text), then the median, the interval, and what to plan by."""
    unit = "1" if params.about.time_unit == CYCLES else "h"
    text = f"remaining life of the machine, in words, from {params.about.holdout.get('units', 'some')} units that ran"
    return (
        Point(BASE, Role.LIFE, kind=Kind.TEXT, description=f"{text} to failure"),
        *(Point(f"{BASE}.{n}", Role.LIFE, of=BASE, unit=unit, eu_lo=0.0, description=t) for n, t in FIGURES.items()),
    )


def init(params: Params) -> State:
    """Before the first row of a unit."""
    tags = len(params.about.regimes.tags)
    nothing = np.full(3, np.nan), np.full(3, quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
    rows = window.empty(params.about.window, len(params.about.tags))
    return State(rows, 0.0, np.zeros(tags), 0, float("nan"), *nothing, "no row yet")


def resume(params: Params, state: State) -> State:
    """Where a mode begins again: rows from before the pause do not belong to those after it; the unit's age does."""
    new = init(params)
    return replace(new, age=state.age, begin=state.begin, begun=state.begun, cycles=state.cycles)


def obey(params: Params, state: State, command: Command) -> State:
    """After maintenance that replaced the machine, or the part whose life it tells, a new unit begins."""
    replaced = command.args.get("replaced", "") if command.do == "maintenance" else ""
    if replaced not in ("machine", "unit"):
        raise ValueError(f"{command.do} {replaced}: expected maintenance with replaced=machine".replace("  ", " "))
    return init(params)


def step(params: Params, state: State, frame: Frame, so_far: Mapping[str, tuple[float, int]]) -> tuple[State, Values]:
    """One cycle. Between two rows the last result stands."""
    about = params.about
    frame, cycles = _clocked(params, state, frame)
    before = state.window
    given = window.given(frame, about.tags, so_far)
    rows, gained = window.advance(before, given, frame.dt_ns, period_s=_row_s(about), hold_rows=about.hold_rows)
    age = state.age + (frame.dt_ns / NS_PER_S / _unit_s(about) if state.begun else 0.0)
    state = replace(state, window=rows, age=age, cycles=cycles)
    if gained < 0:
        state = _none(state, quality.BAD_DATA_UNAVAILABLE, "an input is absent")
    elif gained:
        state = _judged(params, _begun(params, state, gained))
    return state, _values(params, state)


def estimated(params: Params, features: F8) -> tuple[F8, F8]:
    """The graph's own answer for features f8[N, F]: estimates f8[N], distances f8[N]."""
    life, distance = params.session.run(features)
    return life, distance


def banded(about: About, life: F8) -> F8:
    """p5, p50, p95 of estimates f8[N]: f8[N, 3]; at the cap they are "more than that"."""
    at = about.band[0]
    return np.column_stack([np.interp(life, at, row) for row in about.band[1:]])


def _unit_s(about: About) -> float:
    """Seconds of the file's unit of time; a cycle passes as one second of a frame's time."""
    return UNIT_S.get(about.time_unit, 1.0)


def _row_s(about: About) -> float:
    return about.period * _unit_s(about)


def _clocked(params: Params, state: State, frame: Frame) -> tuple[Frame, float]:
    """The frame in the model's own time: where that is cycles, it passes as the counter counts."""
    if not params.about.counter:
        return frame, state.cycles
    (at,) = frame.names.rows((params.about.counter,))
    cycles = float(frame.value[at])
    if quality.is_bad(int(frame.status[at])) or not np.isfinite(cycles):
        return replace(frame, dt_ns=0), state.cycles
    passed = cycles - state.cycles if np.isfinite(state.cycles) else 0.0
    return replace(frame, dt_ns=round(NS_PER_S * min(max(passed, 0.0), MOST_CYCLES))), cycles


def _begun(params: Params, state: State, gained: int) -> State:
    """With the newest rows counted among the unit's first, as long as there are too few."""
    new = min(gained, rul_features.BEGIN_ROWS - state.begun)
    if new <= 0:
        return state
    z = rul_features.standardised(params.about.regimes, _newest(state.window, 1))[0]
    return replace(state, begin=state.begin + new * z, begun=state.begun + new)


def _newest(rows: Window, count: int) -> F8:
    return rows.rows[-count:].astype(np.float64)


def _judged(params: Params, state: State) -> State:
    about, rows = params.about, state.window
    if rows.filled < about.least:
        return _none(state, quality.BAD_WAITING_FOR_INITIAL_DATA, f"{rows.filled} of {about.least} rows seen yet")
    newest = _newest(rows, rows.filled)
    _, away = rul_features.regime(about.regimes, newest)
    if away.max() > about.farthest:
        return _none(state, quality.BAD_OUT_OF_RANGE, "an operating point that it was not trained for")
    z = np.zeros((len(rows.rows), len(about.regimes.tags)))
    z[-rows.filled :] = rul_features.standardised(about.regimes, newest)
    begin, age = (state.begin / state.begun)[None], np.array([state.age])
    given = (begin, age) if about.from_new else (None, None)
    life, distance = estimated(params, rul_features.of_windows(z[None], rows.filled, *given))
    if not np.isfinite(life[0] + distance[0]):
        return _none(state, quality.BAD_INTERNAL_ERROR, "the graph gave no number")
    if distance[0] > 1.0:
        return _none(state, quality.BAD_OUT_OF_RANGE, f"{distance[0]:.2g} times as far as what it was trained on")
    value = banded(about, life)[0]
    code = quality.UNCERTAIN_LAST_USABLE_VALUE if rows.held.any() else quality.GOOD
    over = np.where(value >= about.cap * AT_CAP, quality.LIMITED_HIGH, 0)
    return replace(state, value=value, status=np.asarray(code | over, np.uint32), why="")


def _none(state: State, status: int, why: str) -> State:
    return replace(state, value=np.full(3, np.nan), status=np.full(3, status, np.uint32), why=why)


def _values(params: Params, state: State) -> Values:
    about = params.about
    shown = state.value if about.time_unit == CYCLES else state.value * _unit_s(about) / 3600.0
    value = np.array([np.nan, *shown, shown[0]])
    status = np.array([quality.GOOD, *state.status, state.status[0]], np.uint32)
    return Values(value, status, {0: words(about, state)})


def words(about: About, state: State) -> str:
    """The life in words, or why there is none."""
    if state.why:
        return f"no estimate: {state.why}"
    more = ["more than " if status & quality.LIMITED_HIGH else "" for status in state.status]
    p5, p50, p95 = (f"{over}{value:.3g}" for over, value in zip(more, state.value, strict=True))
    return f"{p50} {about.time_unit} (90 %: {p5} to {p95})"


def _dry_run(params: Params) -> None:
    """What the outputs are declared as need not be what they are: one row of zeros shows it."""
    about = params.about
    count = len(rul_features.names(tuple(map(str, about.regimes.tags)), about.from_new))
    inputs = params.session.inputs
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or list(inputs[0].shape[1:]) != [count]:
        raise ValueError(f"input {', '.join(map(str, inputs))}; expected one tensor(float) [N, {count}]")
    try:
        found = params.session.run(np.zeros((1, count)))
    except RuntimeError as error:
        raise ValueError(f"it fails when run: {error}") from error
    if [each.shape for each in found] != [(1,), (1,)] or not np.isfinite(found).all():
        raise ValueError("it gives no finite life [N] and distance [N] for features of zero")
