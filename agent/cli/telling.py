"""How the command line tells people things: one line for an error, and how to go on."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import typer


def fail(text: str, code: int = 1) -> NoReturn:
    """Print a line to stderr and end with `code`."""
    typer.echo(f"edgetwin: {text}", err=True)
    raise typer.Exit(code)


def settings(given: Sequence[str]) -> dict[str, str]:
    """`a.b=c` strings as a mapping; ends with a line where one has no `=`."""
    found = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or not key:
            fail(f"--set {item}: expected NAME=VALUE, as sources.plc1.port=5021", 2)
        found[key] = value
    return found


def where(given: Sequence[str]) -> dict[str, float] | None:
    """`tag=value` strings as numbers by tag, None for none."""
    found = {}
    for item in given:
        tag, _, value = item.partition("=")
        try:
            found[tag] = float(value)
        except ValueError:
            fail(f"--where {item}: expected TAG=NUMBER, as drive/state=2", 2)
    return found or None


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def listed(values: Sequence[float], most: int = 8) -> str:
    """An array in a line: `[1.5, 2, 3]`, a long one with its first values and how many there are."""
    some = ", ".join(f"{value:.6g}" for value in values[:most])
    return f"[{some}, ... {len(values)} values]" if len(values) > most else f"[{some}]"


def as_json(tree: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print strict JSON: what is not a finite number is null."""
    json.dump(finite(tree), sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def finite(tree: Any) -> Any:
    """A tree for JSON: None in the place of numbers that are not finite."""
    if isinstance(tree, float):
        return tree if abs(tree) < float("inf") else None
    if isinstance(tree, Mapping):
        return {str(k): finite(v) for k, v in tree.items()}
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return [finite(v) for v in tree]
    return tree
