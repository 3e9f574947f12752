"""Alarms of a backtest for people and as JSON: when, how long, what; which are gained and lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from agent.engine.trial import Alarm, Difference

When = Callable[[int], str]


def utc(wall_ns: int) -> str:
    """UTC nanoseconds as ISO 8601 to the second."""
    return f"{datetime.fromtimestamp(wall_ns / 1e9, UTC):%Y-%m-%dT%H:%M:%SZ}"


def line(alarm: Alarm, when: When) -> str:
    """One alarm in a line."""
    lasted = f"for {_duration((alarm.ended_ns - alarm.begun_ns) * 1e-9)}" if alarm.ended_ns else "to the end"
    known = "provisional " if alarm.provisional else ""
    what = f": {alarm.message}" if alarm.message else ""
    against = f"{alarm.worst:.3g} against {alarm.limit:.3g}"
    return f"{when(alarm.begun_ns)} {lasted}, {known}{alarm.category} {alarm.id}{what} ({against})"


def lines(found: Difference, other: str, when: When) -> Iterator[str]:
    """What is gained and lost against `other`, in the order of time."""
    counts = f"{len(found.gained)} gained, {len(found.lost)} lost, {len(found.both)} in both"
    yield f"against {other}: {counts}"
    changed = [("gained", a) for a in found.gained] + [("lost", a) for a in found.lost]
    for word, alarm in sorted(changed, key=lambda pair: pair[1].begun_ns):
        yield f"  {word:6} {line(alarm, when)}"
    for now, then in found.both:
        later_s = (now.begun_ns - then.begun_ns) * 1e-9
        if later_s:
            word = "later" if later_s > 0 else "earlier"
            yield f"  {now.id} {_duration(abs(later_s))} {word} than {when(then.begun_ns)}"


def tree(found: Difference, when: When) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "gained": [cell(a, when) for a in found.gained],
        "lost": [cell(a, when) for a in found.lost],
        "both": [{"now": cell(now, when), "then": cell(then, when)} for now, then in found.both],
    }


def cell(alarm: Alarm, when: When) -> dict[str, Any]:
    """One alarm for JSON."""
    return {
        "id": alarm.id,
        "category": alarm.category,
        "kind": alarm.kind,
        "provisional": alarm.provisional,
        "begun": when(alarm.begun_ns),
        "ended": when(alarm.ended_ns) if alarm.ended_ns else None,
        "lasted_s": (alarm.ended_ns - alarm.begun_ns) * 1e-9 if alarm.ended_ns else None,
        "worst": alarm.worst,
        "limit": alarm.limit,
        "message": alarm.message,
    }


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
