"""A part of a value: `Status.Speed`, `Samples[3]`, `[2]`, `Axes[1].Position`, `Matrix[0,2]`. Pure.

Indices count from 0. A member is a tuple of field names and indices, empty for the whole value.
"""

from __future__ import annotations

import re
from typing import Any

Member = tuple[str | int, ...]
PART = re.compile(r"(?P<dot>\.?)(?P<name>[^.\[\]]+)|\[(?P<index>\d+(?:,\d+)*)\]")
EXPECTED = "expected a member as #Status.Speed, #Samples[3] or #[2]"


def parse(text: str) -> Member:
    """The member that a text names. ValueError says what was expected."""
    found, at = list[str | int](), 0
    while at < len(text):
        part = PART.match(text, at)
        if part is None or (part["name"] is not None and bool(part["dot"]) != (at > 0)):
            raise ValueError(f"{text!r} is no member, {EXPECTED}")
        found += [part["name"]] if part["name"] is not None else [int(i) for i in part["index"].split(",")]
        at = part.end()
    if not found:
        raise ValueError(f"nothing after #, {EXPECTED}")
    return tuple(found)


def shown(member: Member) -> str:
    """The member as it is written."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in member).lstrip(".")


def pick(value: Any, member: Member) -> Any:
    """That part of a value of dicts and lists. LookupError says where it ends."""
    for n, part in enumerate(member):
        if isinstance(part, int) and isinstance(value, list | tuple):
            if part >= len(value):
                raise LookupError(f"{shown(member[: n + 1])} is beyond the end, the array has {len(value)} elements")
            value = value[part]
        elif isinstance(part, str) and isinstance(value, dict) and part in value:
            value = value[part]
        else:
            names = f", it has {', '.join(value)}" if isinstance(value, dict) else ""
            raise LookupError(f"{shown(member[: n + 1])} is not there{names}")
    return value
