"""The small languages of `edgetwin whatif`: changes, limits, costs and loops, as people type them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from agent.twin.trial.loop import Interlock, Loop
from agent.twin.trial.plc import Change
from agent.twin.trial.tally import Constraint, Cost

SIZES_S = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)")
_LOOP_WORDS = {"gain", "reset", "setpoint", "weight", "low", "high", "rate", "period"}


class WordingError(ValueError):
    """What was typed cannot be read, and what was expected."""


def seconds(text: str) -> float:
    """A span of time: 90s, 10m, 4h, 1h30m, 2d, or a number of seconds."""
    text = text.strip()
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text.replace(" ", ""):
        return sum(float(number) * SIZES_S[unit] for number, unit in parts)
    return _number(text, f"{text!r} is no span of time, expected 90s, 10m, 4h or 1h30m")


def shown(span_s: float) -> str:
    """A span of time as it is typed, with two units at most."""
    if not math.isfinite(span_s):
        return "never"
    left, said = round(span_s), list[str]()
    for name, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count and len(said) < 2:
            said.append(f"{count}{name}")
    return "".join(said) or "0s"


def change(text: str, known: Sequence[str]) -> Change:
    """`TAG=VALUE`, `TAG=VALUE@+10m`, or a ramp `TAG=VALUE@+10m..+20m`."""
    named, equals, rest = text.partition("=")
    value, _, when = rest.partition("@")
    start, _, end = when.partition("..")
    expected = f"--set {text}: expected TAG=VALUE@+TIME, as pump/speed=80@+10m"
    if not equals or not named:
        raise WordingError(expected)
    start_s = seconds(start.lstrip("+")) if start else 0.0
    return Change(tag(named, known), _number(value, expected), start_s, seconds(end.lstrip("+")) if end else start_s)


def limit(text: str, known: Sequence[str]) -> Constraint:
    """`TAG<VALUE` or `TAG>VALUE`: where it should stay."""
    found = re.fullmatch(r"\s*([^<>=]+?)\s*([<>])\s*([^<>=]+?)\s*", text)
    expected = f"--limit {text}: expected TAG<VALUE or TAG>VALUE, as upper/level<0.5"
    if found is None:
        raise WordingError(expected)
    named, side, bound = found.groups()
    return Constraint(tag(named, known), "high" if side == "<" else "low", _number(bound, expected))


def cost(text: str, known: Sequence[str]) -> Cost:
    """`NAME=TAG`, or a tag alone."""
    name, equals, named = text.partition("=")
    return Cost(name.strip(), tag(named, known)) if equals else Cost(text, tag(text, known))


def loop(text: str, known: Sequence[str]) -> tuple[Loop, bool]:
    """`MEASURED -> INPUT gain=110 reset=32s setpoint=TAG low=40 high=85 rate=2 weight=1 period=1s`; whether its gain is
    stated: where it is not, it is to be found in a recording."""
    route, *words = re.sub(r"\s*(->|→)\s*", "->", text.strip()).split()
    measured, arrow, moved = route.partition("->")
    given = dict(word.partition("=")[::2] for word in words)
    unknown = sorted(set(given) - _LOOP_WORDS)
    if not arrow or unknown or (("gain" in given) != ("reset" in given)):
        what = f"unknown: {', '.join(unknown)}; " if unknown else ""
        raise WordingError(
            f"--loop {text}: {what}expected MEASURED->INPUT with gain= and reset=, or neither and --from; "
            f"also {', '.join(sorted(_LOOP_WORDS - {'gain', 'reset'}))}"
        )
    found = Loop(
        measured=tag(measured, known),
        manipulated=tag(moved, known),
        gain=_given(given, "gain", math.nan),
        reset_s=seconds(given["reset"]) if "reset" in given else math.nan,
        setpoint=tag(given.get("setpoint", ""), known),
        weight=_given(given, "weight", 1.0),
        low=_given(given, "low", math.nan),
        high=_given(given, "high", math.nan),
        rate=_given(given, "rate", math.nan),
        period_s=seconds(given["period"]) if "period" in given else 0.0,
    )
    return found, "gain" in given


def interlock(text: str, known: Sequence[str]) -> Interlock:
    """`TAG>LIMIT -> INPUT=VALUE after=0.5s`: once passed for so long, the input is held there."""
    found = re.fullmatch(r"\s*([^<>=\s]+)\s*([<>])\s*(\S+)\s*(?:->|→)\s*([^=\s]+)=(\S+)(?:\s+after=(\S+))?\s*", text)
    expected = f"--interlock {text}: expected TAG>LIMIT -> INPUT=VALUE, as upper/level>0.545 -> pump/speed=0 after=0.5s"
    if found is None:
        raise WordingError(expected)
    named, side, limit, moved, value, after = found.groups()
    return Interlock(
        tag=tag(named, known),
        side="high" if side == ">" else "low",
        limit=_number(limit, expected),
        manipulated=tag(moved, known),
        value=_number(value, expected),
        hold_s=seconds(after) if after else 0.0,
    )


def tag(text: str, known: Sequence[str]) -> str:
    """A tag as the twin names it: `pump.speed` is `pump/speed`, an asset in front of it is left out."""
    text = text.strip()
    if text in known:
        return text
    slashed = text.replace(".", "/")
    return next((name for name in known if slashed == name or slashed.endswith(f"/{name}")), slashed if text else "")


def _given(given: dict[str, str], name: str, default: float) -> float:
    return _number(given[name], f"--loop {name}={given[name]}: expected a number") if name in given else default


def _number(text: str, expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise WordingError(expected) from None
    if not math.isfinite(value):
        raise WordingError(expected)
    return value
