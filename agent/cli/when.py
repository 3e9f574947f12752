"""Times as people type them: `2026-11-01T06:00+01:00`, `-2h` (before now), `now`."""

from __future__ import annotations

from agent.cli.telling import fail
from agent.cli.wording import WordingError, seconds
from agent.runtime import clock


def wall_ns(option: str, text: str, otherwise: int) -> int:
    """UTC nanoseconds of what stands behind an option, `otherwise` where nothing does; ends with a line if it is no
    time."""
    from agent.fit import times

    text = text.strip()
    try:
        if not text:
            return otherwise
        if text == "now":
            return clock.wall_ns()
        if text.startswith("-"):
            return clock.wall_ns() - round(seconds(text[1:]) * 1e9)
        return round(times.seconds(text) * 1e9)
    except (ValueError, WordingError):
        fail(f"{option} {text}: expected a time as 2026-11-01, 2026-11-01T06:00+01:00, or -2h before now", 2)
