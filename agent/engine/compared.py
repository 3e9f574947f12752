"""What is published of a model and its shadow: numbers, and a line that says how it stands and what there is to do."""

from __future__ import annotations

import math

import numpy as np

from agent.core import quality
from agent.core.nouns import Kind, Point, Role, Values
from agent.engine.asset import Pair
from agent.engine.comparison import NEW, Comparison, quantile

WORDS = ("old", "new")
ACTIVE = "active"
# (name, unit, description); names stand behind `state/<model>.shadow.`.
FIGURES = (
    ("hours", "h", "Time in which both gave something"),
    ("old_alarms_per_day", "1", "Alarms a day that the model of the file raised, or would have"),
    ("new_alarms_per_day", "1", "Alarms a day that the new model raised, or would have"),
    ("apart", "1", "Share of the time with exactly one of them in alarm"),
    ("distance", "1", "Between the distributions of how near they are to their limits, 0 to 1"),
    ("old_p50", "1", "Share of its limit that the model of the file reached, median"),
    ("old_p99", "1", "Share of its limit that the model of the file reached, 99 % of the time below"),
    ("new_p50", "1", "Share of its limit that the new model reached, median"),
    ("new_p99", "1", "Share of its limit that the new model reached, 99 % of the time below"),
)


def points(asset: str, model: str) -> tuple[Point, ...]:
    """`<asset>/state/<model>.shadow`: in words; behind it which one speaks, and the figures."""
    at = f"{asset}/state/{model}.shadow"
    words = dict(enumerate(WORDS))
    return (
        Point(at, Role.STATUS, kind=Kind.TEXT, description=f"The new model beside {model}, and what there is to do"),
        Point(f"{at}.{ACTIVE}", Role.STATUS, kind=Kind.ENUMERATION, enum=words, description="Which one speaks"),
        *(Point(f"{at}.{name}", Role.STATUS, unit=unit, description=text) for name, unit, text in FIGURES),
    )


def values(pair: Pair, known: Comparison) -> Values:
    """What stands at `points` now."""
    old, new = known.sides
    numbers = (
        known.both_s / 3600.0,
        old.alarms_per_day,
        new.alarms_per_day,
        known.apart,
        known.distance,
        *(quantile(side.nearness, share) for side in (old, new) for share in (0.5, 0.99)),
    )
    value = np.array([math.nan, float(known.promoted), *numbers])
    status = np.where(np.isnan(value), quality.BAD_WAITING_FOR_INITIAL_DATA, quality.GOOD).astype(np.uint32)
    status[0] = quality.GOOD
    return Values(value, status, {0: words(pair, known)})


def figures(known: Comparison) -> str:
    """The tallies in words."""
    if not known.both_s:
        return "nothing to compare yet"
    old, new = known.sides
    return (
        f"{_time(known.both_s)} side by side, alarms old {old.alarms} and new {new.alarms}, "
        f"exactly one in alarm {known.apart:.2%} of the time"
    )


def _time(s: float) -> str:
    return f"{s:.0f} s" if s < 120.0 else f"{s / 60.0:.0f} min" if s < 7200.0 else f"{s / 3600.0:.1f} h"


def words(pair: Pair, known: Comparison) -> str:
    """How it stands, for people: what there is to do about it last."""
    parts = [known.because, figures(known)]
    new, rule = known.sides[NEW], pair.promotion
    if new.faults:
        parts.append(f"the new one failed {new.faults} times: {new.fault}")
    if known.promoted:
        left_h = rule.probation_h - new.spoke_s / 3600.0
        parts.append(f"{left_h:.3g} h of probation left" if left_h > 0 else "its probation is over: name it as `file`")
    elif known.barred:
        parts.append("a person may promote it again")
    elif rule.after_h is not None:
        parts.append(f"takes over after {rule.after_h:g} h if it keeps to {rule.alarms_per_day:g} alarms a day")
    return "; ".join(part for part in parts if part)
