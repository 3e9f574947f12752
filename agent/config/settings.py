"""Single values set from outside the file: `--set sources.plc1.port=5021`.

A path names keys, and in a list the item by its id, name or type (or its number from 0).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.config import yaml
from agent.config.problems import Mark, Problem, hint, problem
from agent.config.tree import At, Tree

NAMES = ("id", "name", "type", "tag")


def apply(settings: Mapping[str, str], tree: Tree, out: list[Problem]) -> None:
    """Write each setting into the tree; one whose place does not exist is a problem that lists what does."""
    for path, text in settings.items():
        mark = Mark(f"--set {path}={text}")
        try:
            at = _place(path.split("."), tree)
        except LookupError as error:
            out.append(problem(mark, str(error.args[0])))
        else:
            tree.put(at, yaml.scalar(text), mark)


def _place(words: list[str], tree: Tree) -> At:
    at: At = ()
    for n, word in enumerate(words):
        here = tree.get(at)
        if not word:
            raise LookupError("an empty name, expected a path such as sources.plc1.port")
        if isinstance(here, list):
            at = (*at, _item(word, here))
        elif isinstance(here, dict) or (here is None and at):
            at = (*at, word)
        else:
            raise LookupError(f"{'.'.join(words[:n]) or 'the file'} is not a mapping or list, expected no .{word}")
    if isinstance(tree.get(at), dict | list):
        raise LookupError(f"{'.'.join(words)} holds more than one value, expected the name of one of them")
    return at


def _item(word: str, items: list[Any]) -> int:
    """The row of the item that a word names."""
    for name in NAMES:
        rows = [n for n, item in enumerate(items) if isinstance(item, dict) and str(item.get(name)) == word]
        if len(rows) == 1:
            return rows[0]
    known = [str(item.get("id") or item.get("type")) if isinstance(item, dict) else "" for item in items]
    if known.count(word) == 1:  # of two sinks of a type, the one that has no id of its own has that of its type
        return known.index(word)
    if word.isdecimal() and int(word) < len(items):
        return int(word)
    raise LookupError(f"there is no {word}{hint(word, known)}")
