"""How long the machine will last: what a twin learns for it in each cycle, and the last prediction, ageing.

The prediction itself takes seconds, not milliseconds: it is asked for outside the cycle, from the checkpointed state,
and its result comes back as a command.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from agent.core import quality
from agent.core.nouns import F8, U4, Kind, Point, Role
from agent.twin.filtering import Belief
from agent.twin.lifetime import life
from agent.twin.lifetime.life import Course, Forecast, Life
from agent.twin.twin import Twin

HOUR_S = 3600.0
PER_PART = 6


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """course: what is learned; last: the newest prediction, None before the first; age_s: running since then."""

    course: Course
    last: Life | None
    age_s: float


def begin(twin: Twin) -> State | None:
    """Before anything is known; None for a twin that predicts no life."""
    return State(life.begin(twin.plant, twin.lives), None, 0.0) if twin.lives else None


def fold(twin: Twin, state: State | None, belief: Belief, u: F8, dt_s: float) -> State | None:
    """After dt_s of running under inputs u f8[m]."""
    if state is None or twin.lives is None:
        return None
    course = life.fold(twin.plant, twin.lives, state.course, belief, u, dt_s)
    return replace(state, course=course, age_s=state.age_s + dt_s)


def told(state: State | None, result: str) -> State:
    """With a prediction that has come back; ValueError where it is none, or the twin has no use for it."""
    if state is None:
        raise ValueError("this twin predicts no life")
    return replace(state, last=life.decode(result), age_s=0.0)


def renewed(twin: Twin, state: State | None, component: str) -> State | None:
    """After a component was replaced: nothing is known of its drift, and there is no estimate."""
    if state is None or twin.lives is None:
        return None
    return State(life.renewed(twin.plant, twin.lives, state.course, component), None, 0.0)


def parts(twin: Twin) -> tuple[str, ...]:
    """What a life is told of: "" for the whole, then each wear and limit."""
    if twin.lives is None:
        return ()
    return ("", *(w.health for w in twin.lives.wears), *(limit.of for limit in twin.lives.limits))


def points(twin: Twin, group: str) -> tuple[Point, ...]:
    """Of each part: why there is no estimate (text), then median, interval, what to plan by, and the risk."""
    return tuple(point for name in parts(twin) for point in _part_points(twin, group, name))


def _part_points(twin: Twin, group: str, name: str) -> tuple[Point, ...]:
    base = f"{group}/life" + (f".{name.replace('/', '.')}" if name else "")
    of_what = f"of {name}" if name else "until the first part fails"
    origin = f", from {twin.lives.origin}" if twin.lives and twin.lives.origin else ""
    numbers = {
        "p5": "as likely shorter as 1 in 20",
        "p50": f"running time {of_what}: median",
        "p95": "as likely longer as 1 in 20",
        "not_before": "it lasts so long with 95 %",
    }
    return (
        Point(base, Role.LIFE, kind=Kind.TEXT, description=f"remaining life {of_what}{origin}, in words"),
        *(Point(f"{base}.{n}", Role.LIFE, of=base, unit="h", description=text) for n, text in numbers.items()),
        Point(f"{base}.p_fail", Role.LIFE, of=base, description="probability of failure within the horizon"),
    )


def values(twin: Twin, state: State | None) -> tuple[F8, U4, tuple[str, ...]]:
    """Values and statuses in the order of `points`, and the text of each part."""
    names = parts(twin)
    value = np.full((len(names), PER_PART), np.nan)
    status = np.full((len(names), PER_PART), quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
    status[:, 0] = quality.GOOD
    texts = []
    last = state.last if state else None
    known = {part.name: part for part in (last.whole, *last.parts)} if last else {}
    for row, name in enumerate(names):
        part = known.get(name)
        text = "no estimate: not asked yet" if part is None else f"no estimate: {part.reason}"
        if part is not None and last is not None and state is not None and not part.reason:
            value[row, 1:], status[row, 1:] = _numbers(part, last.horizon_s, state.age_s)
            text = _words(value[row], status[row])
        texts.append(text)
    return value.ravel(), status.ravel(), tuple(texts)


def _numbers(part: Forecast, horizon_s: float, age_s: float) -> tuple[F8, U4]:
    """p5, p50, p95, not before in hours from now, and the risk. What lies beyond the horizon is "more than that"."""
    s = np.array([part.p5_s, part.p50_s, part.p95_s, part.not_before_s])
    beyond = np.isinf(s)
    left_h = np.maximum(np.where(beyond, horizon_s, s) - age_s, 0.0) / HOUR_S
    status = np.where(beyond, quality.GOOD | quality.LIMITED_HIGH, quality.GOOD).astype(np.uint32)
    return np.append(left_h, 1.0 - part.censored), np.append(status, np.uint32(quality.GOOD))


def _words(value: F8, status: U4) -> str:
    p5, p50, p95 = (f"{'more than ' if status[k] else ''}{_hours(value[k])}" for k in (1, 2, 3))
    return f"{p50} (90 %: {p5} to {p95}), not before {_hours(value[4])}"


def _hours(hours: float) -> str:
    if hours >= 48.0:
        return f"{hours / 24.0:.0f} d"
    return f"{hours:.0f} h" if hours >= 2.0 else f"{max(math.floor(hours * 60.0), 0)} min"
