"""A file's content as plain values, and where each of them stands."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from agent.config.problems import Mark

Key = str | int | float | bool | None
At = tuple[Key, ...]


@dataclass(slots=True)
class Tree:
    """Nested dicts, lists and scalars; `marks` has the place of each value, `keys` that of each key."""

    value: Any
    marks: dict[At, Mark] = field(default_factory=dict)
    keys: dict[At, Mark] = field(default_factory=dict)

    def get(self, at: At, default: Any = None) -> Any:
        """The value at a path, `default` where there is none."""
        here = self.value
        for key in at:
            try:
                here = here[key]
            except (KeyError, IndexError, TypeError):
                return default
        return here

    def mark(self, at: At) -> Mark:
        """Where the value at a path stands; what is not written stands where its nearest parent does."""
        for n in range(len(at), -1, -1):
            if at[:n] in self.marks:
                return self.marks[at[:n]]
        return Mark("")

    def key_mark(self, at: At) -> Mark:
        """Where the key of a path stands."""
        return self.keys.get(at) or self.mark(at)

    def origin(self, at: At) -> str:
        """`file:line` of a value that is written, `default` of one that is not."""
        return str(self.marks[at]) if at in self.marks else "default"

    def put(self, at: At, value: Any, mark: Mark) -> None:
        """Write a value; mappings on the way are made where they are missing."""
        here = self.value
        for n, key in enumerate(at[:-1], 1):
            if isinstance(here, dict) and here.get(key) is None:
                here[key] = {}
                self.marks[at[:n]] = mark
            here = here[key]
        here[at[-1]] = value
        for old in [m for m in self.marks if m[: len(at)] == at]:
            del self.marks[old]
        self.marks[at] = self.keys[at] = mark

    def fork(self) -> Tree:
        """A tree of its own with the same content, which can be changed without changing this one."""
        return Tree(copy.deepcopy(self.value), dict(self.marks), dict(self.keys))

    def graft(self, at: At, other: Tree, start: At) -> None:
        """Write the value that stands at `start` in another tree (or this one), and keep where it stands there."""
        value, mark, key = copy.deepcopy(other.get(start)), other.mark(start), other.key_mark(start)
        marks, keys = _below(other.marks, start), _below(other.keys, start)
        self.put(at, value, mark)
        self.marks |= {at + path: mark for path, mark in marks.items()}
        self.keys |= {at + path: mark for path, mark in keys.items()} | {at: key}


def _below(marks: dict[At, Mark], start: At) -> dict[At, Mark]:
    n = len(start)
    return {path[n:]: mark for path, mark in marks.items() if path[:n] == start}
