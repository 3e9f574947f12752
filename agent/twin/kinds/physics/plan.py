"""The equations of a machine in the order of evaluation, compiled once for its parameters.

Every quantity has a slot in a flat list. Inputs, states and health parameters are put into theirs, then each step
fills one more. What depends on no moving state is worked out once for a whole advance, what depends on constants
alone once for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from agent.core.nouns import F8
from agent.twin.kinds.physics.components import KINDS
from agent.twin.kinds.physics.law import Quantity
from agent.twin.kinds.physics.network import Network, network
from agent.twin.kinds.physics.params import Params, Wear

Slots = list[Any]


class Step(NamedTuple):
    """slots[at] = run(*args(slots))."""

    run: Callable[..., Any]
    args: Callable[[Slots], tuple[Any, ...]]
    at: int


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """n moving states, k health parameters, m inputs, q outputs.

    steady: steps that neither inputs nor moving states enter, only health; held: those that inputs enter but no moving
    state; moving: the others that rates f8[n] need; seen: those that outputs need, after `held`. handed: slots that
    are filled before these and read by them. low, high f8[n]: bounds of states; scale, shift, floor, ceiling f8[m]:
    signal = scale u + shift, within bounds; gain, offset f8[q].
    """

    template: Slots
    steady: tuple[Step, ...]
    held: tuple[Step, ...]
    moving: tuple[Step, ...]
    seen: tuple[Step, ...]
    handed: tuple[int, ...]
    inputs: tuple[int, ...]
    states: tuple[int, ...]
    rates: tuple[int, ...]
    worn: tuple[int, ...]
    health: tuple[Wear, ...]
    outputs: tuple[int, ...]
    scale: F8
    shift: F8
    floor: F8
    ceiling: F8
    low: F8
    high: F8
    gain: F8
    offset: F8


def run(steps: tuple[Step, ...], slots: Slots) -> None:
    """Fill the slots of the steps, one after the other."""
    for equation, args, at in steps:
        slots[at] = equation(*args(slots))


@lru_cache(maxsize=64)
def compiled(params: Params) -> Plan:
    """The plan of parameters; ValueError names an algebraic loop. Parameters are told apart by identity."""
    whole = network(params)
    free = {w.parameter for w in params.health}
    states = tuple(s.state for s in params.starts)
    given = {r.tag for r in params.inputs} | free | set(states)
    rates = tuple(f"{s}'" for s in states)
    order = ordered(whole, given, (*rates, *(r.signal for r in params.outputs)))
    slot = {name: i for i, name in enumerate(_names(whole, params, order))}
    template: Slots = [whole.constants.get(name, np.nan) for name in slot]
    moves = _reached(whole, order, set(states))
    driven = _reached(whole, order, {r.tag for r in params.inputs})
    varies = _reached(whole, order, given)
    for name in order:
        if name not in varies:
            equation = whole.equations[name]
            template[slot[name]] = equation.run(*(template[slot[n]] for n in equation.needs))

    def steps(wanted: Iterable[str], among: set[str]) -> tuple[Step, ...]:
        return tuple(_step(whole, slot, n) for n in ordered(whole, given, wanted) if n in among)

    outputs = tuple(r.signal for r in params.outputs)
    after = {slot[n] for name in moves for n in whole.equations[name].needs if n not in moves and n not in states}
    # A constant as an array without axes: numpy is twice as fast with it as with a float.
    template = [np.array(v) if i in after else v for i, v in enumerate(template)]
    floor, ceiling = _ranges(params)
    gain = np.array([r.gain for r in params.inputs])
    return Plan(
        template=template,
        steady=steps((*rates, *outputs), varies - moves - driven),
        held=steps((*rates, *outputs), driven - moves),
        moving=steps(rates, moves),
        seen=steps(outputs, moves),
        handed=tuple(i for i in sorted(after) if np.isnan(template[i])),
        inputs=tuple(slot[r.tag] for r in params.inputs),
        states=tuple(slot[s] for s in states),
        rates=tuple(slot[r] for r in rates),
        worn=tuple(slot[w.parameter] for w in params.health),
        health=params.health,
        outputs=tuple(slot[n] for n in outputs),
        scale=1.0 / gain,
        shift=-np.array([r.offset for r in params.inputs]) / gain,
        floor=floor,
        ceiling=ceiling,
        low=np.array([whole.states[s].low for s in states]),
        high=np.array([whole.states[s].high for s in states]),
        gain=np.array([r.gain for r in params.outputs]),
        offset=np.array([r.offset for r in params.outputs]),
    )


def ordered(whole: Network, given: set[str], wanted: Iterable[str]) -> list[str]:
    """The names whose equations lead to `wanted`, each after what it needs. ValueError names a loop."""
    order: list[str] = []
    done, open_ = set(given) | (set(whole.constants) - set(whole.equations)), list[str]()

    def visit(name: str) -> None:
        if name in done:
            return
        if name in open_:
            loop = " -> ".join([*open_[open_.index(name) :], name])
            raise ValueError(f"{loop}: an algebraic loop; put a lag into it")
        open_.append(name)
        for need in whole.equations[name].needs:
            visit(need)
        open_.pop()
        done.add(name)
        order.append(name)

    for name in wanted:
        visit(name)
    return order


def _names(whole: Network, params: Params, order: list[str]) -> dict[str, None]:
    given = (r.tag for r in params.inputs)
    return dict.fromkeys((*given, *(s.state for s in params.starts), *whole.constants, *order))


def _reached(whole: Network, order: list[str], source: set[str]) -> set[str]:
    """Names of `order` that something of `source` enters."""
    found: set[str] = set()
    for name in order:
        if any(n in source or n in found for n in whole.equations[name].needs):
            found.add(name)
    return found


def _step(whole: Network, slot: dict[str, int], name: str) -> Step:
    equation = whole.equations[name]
    at = [slot[n] for n in equation.needs]
    return Step(equation.run, itemgetter(*at) if len(at) > 1 else _single(at), slot[name])


def _single(at: list[int]) -> Callable[[Slots], tuple[Any, ...]]:
    return lambda slots: tuple(slots[i] for i in at)


def _ranges(params: Params) -> tuple[F8, F8]:
    """What each input's signal can physically be: the tightest range of the ports that read it."""
    ports = [(source, KINDS[c.kind].reads[port]) for c in params.components for port, source in c.ports.items()]
    read: list[list[Quantity]] = [[q for source, q in ports if source == r.tag] for r in params.inputs]
    return (
        np.array([max((q.low for q in qs), default=-1e12) for qs in read]),
        np.array([min((q.high for q in qs), default=1e12) for qs in read]),
    )
