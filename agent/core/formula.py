"""All expressions of an asset compiled to one program over columns: a thousand products are one call of numpy.

Each node of each tree has a slot in three columns (value f8, status u4, time i8); the first n slots are the asset's
tags. Nodes that need nothing of each other and do the same are one Step. Equal nodes of plain arithmetic are one node;
a function that remembers belongs to its tag alone.

    status   the worst of the operands that were used: the numerically largest StatusCode, its info bits left out
    time     the newest operand's
    a result that is not finite (division by 0, sqrt(-1), overflow)    BadOutOfRange
    if(c, a, b)     uses c and one of a, b;   `and`, `or` use one operand where it decides alone (Kleene 1952)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.core import memory, quality
from agent.core.expression import MEMORIES, Apply, Expression, Number, Read, reads, text
from agent.core.memory import NEVER, Memory, Samples
from agent.core.nouns import F8, I8, U4, Names, Tag
from agent.core.scaling import Scaling, engineering

Rows = npt.NDArray[np.intp]
CODE = np.uint32(0xFFFF_0000)
BAD = np.uint32(quality.BAD)

Ufunc = Callable[..., Any]
PLAIN: dict[str, Ufunc] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
    "neg": np.negative,
    "not": lambda x: x == 0.0,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
    "min": lambda *x: np.minimum.reduce(x),
    "max": lambda *x: np.maximum.reduce(x),
    "abs": np.abs,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "clamp": lambda x, low, high: np.minimum(np.maximum(x, low), high),
}
FOLDS = {"rate": memory.rate, "integral": memory.integral, "total": memory.total}


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation over k slots each: out intp[k], args of intp[k]."""

    op: str
    out: Rows
    args: tuple[Rows, ...]


@dataclass(frozen=True, slots=True)
class Recall:
    """One function that remembers. `key` names it in checkpoints; `of`: the tag whose samples it takes, None for the
    value of the slot `arg` once a cycle."""

    function: str
    key: str
    out: int
    arg: int
    of: Read | None
    parameter: float


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """What can be done once all levels before are done; `finished` are derived tags that then have their value."""

    steps: tuple[Step, ...]
    recalls: tuple[Recall, ...]
    results: Rows
    finished: Rows
    scaling: Scaling


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Expressions of an asset with n tags. `rows` intp[k]: the derived tags, with their `texts`; `recalls` number the
    memories.

    `sources` intp[...] are the rows of the read tags that the j-th derived tag comes from in the end, from
    `starts[j]` on. `elements`: (slot, row, element) of each element of an array that is read.
    `streams`: the reads, with their rows, of which `run` wants every sample.
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
    streams: tuple[tuple[int, Read], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Slots:
    """The columns of a run, and the whole status of each derived tag (info bits too) by row."""

    value: F8
    status: U4
    t_ns: I8
    whole: U4


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
    recalls = tuple(recall for level in found for recall in level.recalls)
    streams = dict.fromkeys((names.at[r.of.tag], r.of) for r in recalls if r.of and r.function != "hold")
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
        recalls=recalls,
        streams=tuple(streams),
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
    recalls: list[tuple[int, Recall]] = field(default_factory=list)
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
        first = tree.args[0]
        of = first if isinstance(first, Read) and self.level[args[0]] == 0 else None
        parameter = self.numbers[args[1]] if len(args) > 1 else 0.0
        self.recalls.append((level, Recall(tree.op, f"{owner}: {text(tree)}", slot, args[0], of, parameter)))
        return slot


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
    recalls = tuple(recall for level, recall in compiler.recalls if level == n)
    return Level(tuple(steps), recalls, _rows(s for s, _ in done), _rows(rows), Scaling.of([tags[r] for r in rows]))


def run(
    program: Program,
    memories: tuple[Memory, ...],
    seen: tuple[F8, U4, I8],
    arrays: Mapping[int, F8],
    streams: Mapping[Read, Samples],
    now_ns: int,
) -> tuple[Slots, tuple[Memory, ...]]:
    """One cycle. `seen`: value f8[n], status u4[n], t_ns i8[n] of all tags; `streams`: the cycle's samples by tag."""
    slots, after = _begun(program, seen, arrays), list[Memory]()
    with np.errstate(all="ignore"):
        for level in program.levels:
            for step in level.steps:
                _do(step, slots)
            for recall in level.recalls:
                after.append(_recall(recall, memories[len(after)], slots, streams, now_ns))
            _finish(level, slots)
    return slots, tuple(after)


def _begun(program: Program, seen: tuple[F8, U4, I8], arrays: Mapping[int, F8]) -> Slots:
    """Slots with what is read and what is constant; a value that is no finite number is Bad."""
    n, k = program.n, program.slots
    slots = Slots(np.empty(k), np.zeros(k, np.uint32), np.full(k, NEVER, np.int64), np.zeros(n, np.uint32))
    slots.value[:n], slots.status[:n], slots.t_ns[:n] = seen[0], seen[1] & CODE, seen[2]
    slots.value[program.constants] = program.numbers
    for slot, row, element in program.elements:
        array = arrays.get(row)
        slots.value[slot] = array[element] if array is not None and element < len(array) else np.nan
        slots.status[slot], slots.t_ns[slot] = slots.status[row], slots.t_ns[row]
    usable = slots.status < BAD
    slots.status[usable & np.isinf(slots.value)] = quality.BAD_OUT_OF_RANGE
    slots.status[usable & np.isnan(slots.value)] = quality.BAD_NO_DATA
    return slots


def _do(step: Step, slots: Slots) -> None:
    values, states = [slots.value[a] for a in step.args], [slots.status[a] for a in step.args]
    if step.op == "if":
        value, status = _if(values, states)
    elif step.op in ("and", "or"):
        value, status = _logic(step.op == "or", values, states)
    else:
        value = np.asarray(PLAIN[step.op](*values), np.float64)
        status = np.maximum.reduce(states)
    status[(status < BAD) & ~np.isfinite(value)] = quality.BAD_OUT_OF_RANGE
    slots.value[step.out], slots.status[step.out] = value, status
    slots.t_ns[step.out] = np.maximum.reduce([slots.t_ns[a] for a in step.args])


def _if(values: Sequence[F8], states: Sequence[U4]) -> tuple[F8, U4]:
    yes = values[0] != 0.0
    return np.where(yes, values[1], values[2]), np.maximum(states[0], np.where(yes, states[1], states[2]))


def _logic(decisive: bool, values: Sequence[F8], states: Sequence[U4]) -> tuple[F8, U4]:
    """`or` is decided by one that is not 0, `and` by one that is."""
    left, right = ((state < BAD) & ((value != 0.0) == decisive) for value, state in zip(values, states, strict=True))
    status = np.where(left, states[0], np.where(right, states[1], np.maximum(*states)))
    return np.where(left | right, float(decisive), float(not decisive)), status


def _finish(level: Level, slots: Slots) -> None:
    """Ranges as for any tag: what lies beyond becomes Uncertain, clamped or Bad."""
    if not len(level.finished):
        return
    value, whole = engineering(slots.value[level.results], slots.status[level.results], level.scaling)
    slots.value[level.finished], slots.whole[level.finished] = value, whole
    slots.status[level.finished], slots.t_ns[level.finished] = whole & CODE, slots.t_ns[level.results]


def _recall(recall: Recall, kept: Memory, slots: Slots, streams: Mapping[Read, Samples], now_ns: int) -> Memory:
    """One function that remembers, one cycle on."""
    t_ns, x, status = int(slots.t_ns[recall.arg]), float(slots.value[recall.arg]), int(slots.status[recall.arg])
    x = memory.NAN if quality.is_bad(status) else x
    if recall.function == "hold":
        kept, t_ns, x, status = memory.hold(kept, t_ns, x, status, now_ns, recall.parameter)
    else:
        bad = quality.is_bad(status)
        samples = [(t_ns, x)] if recall.of is None else list(streams.get(recall.of, ()))
        if bad:
            samples.append((t_ns, memory.NAN))
        kept = _folded(recall, kept, samples)
        x = kept.sum
        if not bad and recall.function == "increase":
            kept = memory.told(kept)
        if not bad and not np.isfinite(x):
            status = quality.BAD_WAITING_FOR_INITIAL_DATA if x != x else quality.BAD_OUT_OF_RANGE
    slots.t_ns[recall.out], slots.value[recall.out], slots.status[recall.out] = t_ns, x, status
    return kept


def _folded(recall: Recall, kept: Memory, samples: Samples) -> Memory:
    if not samples:
        return kept
    if recall.function == "increase":
        return memory.increase(kept, samples, recall.parameter)
    return FOLDS[recall.function](kept, samples)


NOTHING = compiled((), Names(), {})
