"""What is wrong with a configuration: each problem with its place, all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """Where something stands: line and column count from 1; line 0 where the place is not a line (a whole file)."""

    file: str
    line: int = 0
    col: int = 0

    def __str__(self) -> str:
        """`file:line`, or what the place is called."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to put right. `text`: what is wrong, what is expected."""

    file: str
    line: int
    col: int
    text: str

    def __str__(self) -> str:
        """`file:line:col: text`, as editors read it."""
        return f"{self.file}:{self.line}:{self.col}: {self.text}" if self.line else f"{self.file}: {self.text}"


class ConfigErrors(ValueError):  # noqa: N818  (the plural says that it carries all of them)
    """A configuration that cannot be used: all its problems, in the order of files and lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep each problem once."""
        self.problems: tuple[Problem, ...] = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


def problem(mark: Mark, text: str) -> Problem:
    """A problem at a mark."""
    return Problem(mark.file, mark.line, mark.col, text)


def hint(word: object, known: Iterable[str], used: Iterable[str] = ()) -> str:
    """`; did you mean x?` where a known word is near, else the known words (less those in use), else nothing."""
    words = list(known)
    near = [k for k in words if k.lower() == str(word).lower()] or get_close_matches(str(word), words, 1, 0.6)
    if near:
        return f"; did you mean {near[0]}?"
    left = [w for w in words if w not in set(used)]
    return f", expected one of {', '.join(left)}" if 0 < len(left) <= 24 else ""


def shown(value: Any) -> str:
    """A value as a person would write it, cut to a length that fits a line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
