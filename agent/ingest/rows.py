"""A summary as rows, one a tag: (tag, min, mean, max, last, std, good), None for what is no number. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from agent.ingest.message import RefusedError

KEY = re.compile("[0-9a-f]{16}")
FIGURES = ("min", "mean", "max", "last", "std", "good")

LARGEST = sys.float_info.max

Row = tuple[str, float | None, float | None, float | None, float | None, float | None, float | None]


def rows(tree: Mapping[str, Any], names: Sequence[str] = ()) -> list[Row]:
    """The rows of a summary in either layout; `names` are the tags of its columns. RefusedError: it is not one.

    Of an array, whose newest value is a list, `last` is None: all of it is in the record.
    """
    named, columns = tree.get("tags", {}), tree.get("columns", {})
    if not _is_table(named) or not isinstance(columns, Mapping):
        raise RefusedError("tags or columns: expected an object")
    if any(not isinstance(c, Sequence) or len(c) != len(names) for c in columns.values()):
        raise RefusedError(f"columns: expected lists of {len(names)}, as its names say")
    found = _rows(list(named), {figure: [row.get(figure) for row in named.values()] for figure in FIGURES})
    return [*found, *_rows(names, columns)] if columns else found


def key_of(tree: Mapping[str, Any]) -> str:
    """The key of the names that the columns of a summary need; empty where it has none."""
    key = tree.get("names")
    return key if "columns" in tree and isinstance(key, str) and KEY.fullmatch(key) else ""


def _is_table(named: Any) -> bool:
    return isinstance(named, Mapping) and all(isinstance(figures, Mapping) for figures in named.values())


def _rows(tags: Sequence[str], columns: Mapping[str, Sequence[Any]]) -> list[Row]:
    """Column by column: a number at a time costs twice as much."""
    nothing = [None] * len(tags)
    found = ([*map(number, columns.get(figure, nothing))] for figure in FIGURES)
    return list(zip(tags, *found, strict=True))


def number(value: Any) -> float | None:
    """A finite number, None for anything else."""
    if value.__class__ is float:
        return value if -LARGEST <= value <= LARGEST else None
    if value.__class__ is not int:
        return None
    try:
        return float(value)
    except OverflowError:
        return None
