"""All expressions of an asset compiled to one program over columns: a thousand products are one call of numpy.

Each node of each tree has a slot in three columns (value f8, status u4, time i8); the first n slots are the asset's
tags. Nodes that need nothing of each other and do the same are one Step. Equal nodes of plain arithmetic are one node;
a function that remembers belongs to its tag alone. `core.evaluation` runs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from itertools import groupby

import numpy as np
import numpy.typing as npt

from agent.core.expression import MEMORIES, Apply, Expression, Number, Read, reads, text
from agent.core.nouns import F8, Names, Tag
from agent.core.scaling import Scaling

Rows = npt.NDArray[np.intp]
Stream = tuple[int, int | None]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation over k slots each: out intp[k], args of intp[k]."""

    op: str
    out: Rows
    args: tuple[Rows, ...]


@dataclass(frozen=True, slots=True)
class Recall:
    """One function that remembers. `key` names it in checkpoints. `stream`: which of the program's streams it folds;
    -1: the value of its operand once a cycle."""

    function: str
    key: str
    stream: int
    parameter: float


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """What can be done once all levels before are done. `recalled` has the slots of the recalls; `finished` are derived
    tags that then have their value, that of the slots `results`."""

    steps: tuple[Step, ...]
    recalls: tuple[Recall, ...]
    recalled: Step
    results: Rows
    finished: Rows
    scaling: Scaling


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Expressions of an asset with n tags. `rows` intp[k]: the derived tags, with their `texts`; `recalls` number the
    memories.

    `sources` intp[...] are the rows of the read tags that the j-th derived tag comes from in the end, from
    `starts[j]` on. `elements`: (slot, row, element) of each element of an array that is read.
    `streams`: (row, element) of which every sample of a cycle is wanted.
    """

    n: int
    slots: int
    constants: Rows
    numbers: F8
    elements: tuple[tuple[int, int, int], ...]
    levels: tuple[Level, ...]
    rows: Rows
    texts: tuple[str, ...]
    sources: Rows
    starts: Rows
    recalls: tuple[Recall, ...]
    streams: tuple[Stream, ...]


def order(trees: Mapping[str, Expression]) -> tuple[str, ...]:
    """Derived tags, each after those it reads; graphlib.CycleError names a circle in args[1]."""
    graph = {name: [r.tag for r in reads(tree) if r.tag in trees] for name, tree in trees.items()}
    return tuple(TopologicalSorter(graph).static_order())


def compiled(tags: Sequence[Tag], names: Names, trees: Mapping[str, Expression]) -> Program:
    """The program of the derived tags (by relative name) of an asset. KeyError: a tag that is not there."""
    compiler = _Compiler(names)
    ends: dict[str, tuple[int, int]] = {}
    for name in order(trees):
        slot = compiler.slot(trees[name], name)
        level = 1 + compiler.level[slot]
        ends[name] = (slot, level)
        compiler.level[names.at[name]] = level
    found = [_level(n, compiler, ends, tags, names) for n in range(1, 1 + max(compiler.level.values(), default=0))]
    leaves = _leaves(names, trees)
    return Program(
        n=len(names),
        slots=compiler.slots,
        constants=_rows(compiler.numbers),
        numbers=np.array(list(compiler.numbers.values()), np.float64),
        elements=tuple(compiler.elements),
        levels=tuple(found),
        rows=_rows(names.at[name] for name in trees),
        texts=tuple(text(tree) for tree in trees.values()),
        sources=_rows(row for name in trees for row in sorted(leaves[name])),
        starts=np.cumsum([0, *(len(leaves[name]) for name in trees)], dtype=np.intp)[:-1],
        recalls=tuple(recall for level in found for recall in level.recalls),
        streams=tuple(compiler.streams),
    )


def _leaves(names: Names, trees: Mapping[str, Expression]) -> dict[str, set[int]]:
    """Rows of the read tags that each derived tag comes from in the end."""
    found: dict[str, set[int]] = {}
    for name in order(trees):
        tags = {read.tag for read in reads(trees[name])}
        found[name] = set().union(*(found[tag] if tag in trees else {names.at[tag]} for tag in tags))
    return found


def _rows(rows: Iterable[int]) -> Rows:
    return np.array(list(rows), np.intp)


@dataclass(slots=True)
class _Compiler:
    """Slots given out so far. `level` by slot: what needs it comes later; 0, where it is missing, for what is read."""

    names: Names
    slots: int = 0
    level: dict[int, int] = field(default_factory=dict)
    numbers: dict[int, float] = field(default_factory=dict)
    elements: list[tuple[int, int, int]] = field(default_factory=list)
    operations: list[tuple[int, str, tuple[int, ...], int]] = field(default_factory=list)
    recalls: list[tuple[int, int, int, Recall]] = field(default_factory=list)
    streams: dict[Stream, int] = field(default_factory=dict)
    known: dict[tuple[str, Expression], int] = field(default_factory=dict)
    remembering: dict[int, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.slots = len(self.names)

    def new(self) -> int:
        self.slots += 1
        return self.slots - 1

    def slot(self, tree: Expression, owner: str) -> int:
        """The slot of a node in the tag `owner`, the same for an equal node."""
        for key in (("", tree), (owner, tree)):
            if key in self.known:
                return self.known[key]
        slot = self.place(tree, owner)
        own = owner if self.remembering.get(slot) else ""
        self.known[own, tree] = slot
        return slot

    def place(self, tree: Expression, owner: str) -> int:
        if isinstance(tree, Number):
            slot = self.new()
            self.numbers[slot] = tree.value
        elif isinstance(tree, Read):
            slot = row = self.names.at[tree.tag]
            if tree.element is not None:
                slot = self.new()
                self.elements.append((slot, row, tree.element))
        else:
            slot = self.apply(tree, owner)
        self.level.setdefault(slot, 0)
        return slot

    def apply(self, tree: Apply, owner: str) -> int:
        args = tuple(self.slot(arg, owner) for arg in tree.args)
        slot, level = self.new(), 1 + max(self.level[a] for a in args)
        self.level[slot] = level
        self.remembering[slot] = tree.op in MEMORIES or any(self.remembering.get(a, False) for a in args)
        if tree.op not in MEMORIES:
            self.operations.append((level, tree.op, args, slot))
            return slot
        parameter = self.numbers[args[1]] if len(args) > 1 else 0.0
        recall = Recall(tree.op, f"{owner}: {text(tree)}", self.stream(tree, level), parameter)
        self.recalls.append((level, args[0], slot, recall))
        return slot

    def stream(self, tree: Apply, level: int) -> int:
        """The number of the stream that a function folds: a tag that is read gives all its samples."""
        first = tree.args[0]
        if not isinstance(first, Read) or level > 1 or tree.op == "hold":
            return -1
        return self.streams.setdefault((self.names.at[first.tag], first.element), len(self.streams))


def _level(n: int, compiler: _Compiler, ends: dict[str, tuple[int, int]], tags: Sequence[Tag], names: Names) -> Level:
    here = [(op, len(args), args, slot) for level, op, args, slot in compiler.operations if level == n]
    here.sort(key=lambda operation: operation[:2])
    steps = []
    for (op, _), group in groupby(here, key=lambda operation: operation[:2]):
        alike = list(group)
        columns = zip(*(args for _, _, args, _ in alike), strict=True)
        steps.append(Step(op, _rows(slot for *_, slot in alike), tuple(_rows(column) for column in columns)))
    done = [(slot, names.at[name]) for name, (slot, level) in ends.items() if level == n]
    rows = [row for _, row in done]
    recalls = [(arg, slot, recall) for level, arg, slot, recall in compiler.recalls if level == n]
    recalled = Step("", _rows(slot for _, slot, _ in recalls), (_rows(arg for arg, _, _ in recalls),))
    scaling = Scaling.of([tags[row] for row in rows])
    found = tuple(recall for _, _, recall in recalls)
    return Level(tuple(steps), found, recalled, _rows(s for s, _ in done), _rows(rows), scaling)


NOTHING = compiled((), Names(), {})
