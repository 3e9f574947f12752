"""A program of expressions run over one cycle: columns in, columns out. It never raises, whatever the numbers are.

status   the worst of the operands that were used: the numerically largest StatusCode, its info bits left out
time     the newest operand's
a result that is not finite (division by 0, sqrt(-1), overflow)    BadOutOfRange
if(c, a, b)     uses c and one of a, b;   `and`, `or` use one operand where it decides alone (Kleene 1952)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.core import memory, quality
from agent.core.formula import Level, Program, Recall, Step
from agent.core.memory import NEVER, Memory, Samples
from agent.core.nouns import F8, I8, U4
from agent.core.scaling import engineering

CODE = np.uint32(0xFFFF_0000)
BAD = quality.BAD

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


@dataclass(frozen=True, slots=True, eq=False)
class Slots:
    """The columns of a run, and the whole status of each derived tag (info bits too) by row."""

    value: F8
    status: U4
    t_ns: I8
    whole: U4


def run(
    program: Program,
    memories: tuple[Memory, ...],
    seen: tuple[F8, U4, I8],
    arrays: Mapping[int, F8],
    streams: Sequence[Samples],
    now_ns: int,
) -> tuple[Slots, tuple[Memory, ...]]:
    """One cycle. `seen`: value f8[n], status u4[n], t_ns i8[n] of all tags; `streams`: every sample of the
    program's streams, in order of arrival."""
    slots, after = _begun(program, seen, arrays), list[Memory]()
    with np.errstate(all="ignore"):
        for level in program.levels:
            for step in level.steps:
                _do(step, slots)
            if level.recalls:
                after += _recall(level, memories[len(after) :], slots, streams, now_ns)
            _finish(level, slots)
    return slots, tuple(after)


def _begun(program: Program, seen: tuple[F8, U4, I8], arrays: Mapping[int, F8]) -> Slots:
    """Slots with what is read and what is constant; a value that is no finite number is Bad."""
    n, k = program.n, program.slots
    slots = Slots(np.zeros(k), np.zeros(k, np.uint32), np.full(k, NEVER, np.int64), np.zeros(n, np.uint32))
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


def _recall(
    level: Level, kept: Sequence[Memory], slots: Slots, streams: Sequence[Samples], now_ns: int
) -> list[Memory]:
    """The functions of a level that remember, one cycle on."""
    (args,), out, after = level.recalled.args, level.recalled.out, list[Memory]()
    columns = slots.t_ns[args].tolist(), slots.value[args].tolist(), slots.status[args].tolist()
    found = list[list[float]]()
    for recall, before, t_ns, value, status in zip(level.recalls, kept, *columns, strict=False):
        x = value if status < BAD else memory.NAN
        if recall.function == "hold":
            known, *result = memory.hold(before, t_ns, x, status, now_ns, recall.parameter)
        else:
            known, *result = _folded(recall, before, t_ns, x, status, streams)
        after.append(known)
        found.append(result)
    times, values, states = zip(*found, strict=True)
    slots.t_ns[out], slots.value[out], slots.status[out] = times, values, states
    return after


def _folded(
    recall: Recall, before: Memory, t_ns: int, x: float, status: int, streams: Sequence[Samples]
) -> tuple[Memory, int, float, int]:
    """(memory, t_ns, value, status) after the samples of this cycle; where the operand is Bad at its end, so is it."""
    samples = streams[recall.stream] if recall.stream >= 0 else [(t_ns, x)]
    fold = memory.FOLDS[recall.function]
    known = fold(before, samples, recall.parameter) if samples else before
    if status >= BAD:
        return fold(known, [(t_ns, memory.NAN)], recall.parameter), t_ns, memory.NAN, status
    if not math.isfinite(known.sum):
        none = quality.BAD_OUT_OF_RANGE if math.isinf(known.sum) else quality.BAD_WAITING_FOR_INITIAL_DATA
        return known, t_ns, memory.NAN, none
    return (memory.told(known) if recall.function == "increase" else known), t_ns, known.sum, status
