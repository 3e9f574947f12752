"""What all ONNX files of ours have in common: `metadata_props` with keys `edgetwin.<field>` and values in JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

PREFIX = "edgetwin."
LONGEST_WINDOW = 4096
MOST_TAGS = 1024


def plain(value: Any) -> Any:
    """A field's value as JSON has it."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def parsed(name: str, text: str) -> Any:
    """What the text of a field says; ValueError where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"metadata {name}: not JSON ({error})") from error


def refuse(name: str, value: Any, expected: str) -> NoReturn:
    """ValueError: what a field is, and what was expected of it."""
    raise ValueError(f"metadata {name} is {json.dumps(value)[:80]}, expected {expected}")


def number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def whole(value: Any, low: int, high: int) -> bool:
    """Whether it is a whole number from low to high."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def texts(value: Any) -> bool:
    """Whether it is a list of texts."""
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def tags(value: list[str]) -> bool:
    """Whether a list of texts names the tags of a model."""
    return 1 <= len(value) <= MOST_TAGS and len(set(value)) == len(value) and "" not in value
