"""A YAML 1.2 text as a Tree (`off` is a word), with every duplicate key and the first mistake of grammar as a Problem.

The nodes are read, not ruamel's objects: they alone know the place of each key and each value.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLWarning
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from agent.config.problems import Mark, Problem, problem
from agent.config.tree import At, Key, Tree

# An alias repeats what it names: a few lines could stand for more values than there is memory.
MOST_VALUES = 200_000
MOST_CHARACTERS = 4_000_000
# More than any configuration needs, and less than Python's own limit of nested calls lets ruamel read.
DEEPEST = 40
UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
TAG = "tag:yaml.org,2002:"


def parse(file: str, text: str) -> tuple[Tree, list[Problem]]:
    """The tree of a YAML text and its problems; after a mistake of grammar the tree is empty."""
    empty = Tree({}, {(): Mark(file, 1, 1)})
    found = _unreadable(file, text)
    if found:
        return empty, [found]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", YAMLWarning)
            node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        return empty, [_grammar(file, error)]
    except (YAMLError, RecursionError, ValueError, AttributeError, TypeError, IndexError, KeyError) as error:
        # ruamel meets some malformed texts with an error of its own code instead of one of YAML.
        return empty, [problem(Mark(file, 1, 1), f"not YAML that can be read ({error}), expected YAML 1.2")]
    if node is None:
        return empty, []
    reader = _Reader(file)
    value = reader.value(node, (), ())
    return Tree(value, reader.marks, reader.keys), reader.problems


def scalar(text: str) -> Any:
    """What a YAML scalar (of `--set`) stands for: a number, true, a word. Anything else is the text itself."""
    tree, problems = parse("", text)
    return text if problems or isinstance(tree.value, dict | list) else tree.value


def _unreadable(file: str, text: str) -> Problem | None:
    if len(text) > MOST_CHARACTERS:
        return problem(Mark(file), f"{len(text)} characters, expected at most {MOST_CHARACTERS}")
    bad = UNPRINTABLE.search(text)
    if bad is None:
        return None
    line = text.count("\n", 0, bad.start()) + 1
    col = bad.start() - text.rfind("\n", 0, bad.start())
    return problem(Mark(file, line, col), f"character {bad.group()!r} is not allowed in YAML, expected printable text")


def _grammar(file: str, error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = Mark(file, mark.line + 1, mark.column + 1) if mark else Mark(file, 1, 1)
    what = str(error.problem or error.context or "not YAML")
    if "'\\t'" in what:
        return problem(place, "a tab, expected spaces: YAML does not indent with tabs")
    context = f" ({error.context})" if error.context and error.context != what else ""
    return problem(place, f"{what}{context}, expected YAML 1.2")


@dataclass(slots=True)
class _Reader:
    file: str
    marks: dict[At, Mark] = field(default_factory=dict)
    keys: dict[At, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, node: Node) -> Mark:
        return Mark(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def wrong(self, node: Node, text: str) -> None:
        self.problems.append(problem(self.place(node), text))

    def value(self, node: Node, at: At, above: tuple[int, ...]) -> Any:
        """The plain value of a node at a path; `above` are the nodes it stands in."""
        if id(node) in above or len(above) > DEEPEST:
            self.wrong(node, "nested in itself or too deeply, expected a plain tree of values")
            return None
        if len(self.marks) >= MOST_VALUES:
            if len(self.marks) == MOST_VALUES:
                self.wrong(node, f"more than {MOST_VALUES} values, expected fewer")
                self.marks[(None,)] = self.place(node)
            return None
        self.marks[at] = self.place(node)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*at, n), (*above, id(node))) for n, item in enumerate(node.value)]
        if isinstance(node, MappingNode):
            return {key: self.value(v, (*at, key), (*above, id(node))) for key, v in self.pairs(node, at)}
        return self.scalar(node) if isinstance(node, ScalarNode) else None

    def pairs(self, node: MappingNode, at: At) -> Iterator[tuple[Key, Node]]:
        """The pairs of a mapping whose key is a plain one and not there twice."""
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self.wrong(key_node, "a list or mapping as a key, expected a word")
                continue
            key = self.scalar(key_node)
            if (*at, key) in self.keys:
                first = self.keys[(*at, key)]
                self.wrong(key_node, f"key {key} stands here twice (first in line {first.line}), expected it once")
                continue
            self.keys[(*at, key)] = self.place(key_node)
            yield key, value_node

    def scalar(self, node: ScalarNode) -> Any:
        text, tag = str(node.value), str(node.tag)
        try:
            return _plain(text, tag)
        except ValueError:
            self.wrong(node, f"{tag.removeprefix(TAG)} {text[:40]!r} cannot be read, expected a plain YAML value")
            return None


def _plain(text: str, tag: str) -> Any:
    kind = tag.removeprefix(TAG)
    if kind == "null":
        return None
    if kind == "bool":
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind == "int":
        digits = text.replace("_", "")
        return int(digits, 0) if digits.lstrip("+-")[:2].lower() in ("0x", "0o", "0b") else int(digits)
    if kind == "float":
        return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
    if kind in ("str", "timestamp", "merge", "value"):
        return text
    raise ValueError(tag)
