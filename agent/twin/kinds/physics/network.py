"""All equations of a machine by name: those of its components, with each argument resolved, and those of its lines."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from agent.twin.kinds.physics import hydraulics
from agent.twin.kinds.physics.components import KINDS
from agent.twin.kinds.physics.law import ComponentKind, Quantity, arguments
from agent.twin.kinds.physics.params import Component, Line, Params

# What a component reads from the line that leads through it.
FROM_LINE = ("flow", "level", "rise")
LINE_VALUES = {"rise": Quantity("m", -1e3, 1e3, 0.0), "share": Quantity("1", 0.0, 1.0, 1.0)}
VESSELS = ("tank", "reservoir")


@dataclass(frozen=True, slots=True)
class Equation:
    """`gives` = run(*needs), all full names: `pump.lift`, `upper.level'`."""

    gives: str
    needs: tuple[str, ...]
    run: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Network:
    """constants: values of parameters by name; states: what is known of each; equations by what they give."""

    constants: Mapping[str, float]
    states: Mapping[str, Quantity]
    equations: Mapping[str, Equation]
    quantities: Mapping[str, Quantity]


def network(params: Params) -> Network:
    """The equations of parameters that `problems` has nothing against."""
    lines = {part: line for line in params.lines for part in line.through}
    equations = [e for c in params.components for e in _of_component(c, lines.get(c.name))]
    equations += [e for line in params.lines for e in _of_line(line, params)]
    equations += [e for c in params.components if c.kind == "tank" for e in (_level(c, params.lines),)]
    return Network(
        constants=constants(params),
        states={f"{c.name}.{s}": q for c in params.components for s, q in KINDS[c.kind].states.items()},
        equations={e.gives: e for e in equations},
        quantities=quantities(params),
    )


def constants(params: Params) -> dict[str, float]:
    """All parameters by their full name, defaults included."""
    found: dict[str, float] = {}
    for c in params.components:
        defaults = {n: q.default for n, q in KINDS[c.kind].parameters.items() if q.default is not None}
        found |= {f"{c.name}.{n}": float(v) for n, v in (defaults | dict(c.values)).items()}
    for line in params.lines:
        found |= {f"{line.name}.rise": line.rise, f"{line.name}.share": line.share}
    return found


def quantities(params: Params) -> dict[str, Quantity]:
    """Every name that means something in this machine: parameters, states, signals."""
    found: dict[str, Quantity] = {}
    for c in params.components:
        kind = KINDS[c.kind]
        found |= {f"{c.name}.{n}": q for n, q in {**kind.gives, **kind.parameters, **kind.states}.items()}
    for line in params.lines:
        found |= {f"{line.name}.{n}": q for n, q in {**LINE_VALUES, "flow": hydraulics.FLOW}.items()}
    return found


def signals(params: Params) -> tuple[str, ...]:
    """What a port or an output may be connected to, inputs apart."""
    kinds = [(c.name, KINDS[c.kind]) for c in params.components if c.kind in KINDS]
    found = [f"{name}.{n}" for name, kind in kinds for n in {**kind.gives, **kind.states}]
    return (*found, *(f"{line.name}.flow" for line in params.lines))


def _of_component(c: Component, line: Line | None) -> Iterator[Equation]:
    kind = KINDS[c.kind]
    for law in kind.laws:
        needs = tuple(_resolved(n, c, kind, line) for n in law.needs)
        if line is not None or not any(n in FROM_LINE and n not in kind.parameters for n in law.needs):
            yield Equation(f"{c.name}.{law.gives}", needs, law.equation)
    if kind.passes == "series" and line is not None:
        yield Equation(f"{c.name}.flow", (f"{line.name}.flow",), _same)


def _same(value: Any) -> Any:
    return value


def _resolved(name: str, c: Component, kind: ComponentKind, line: Line | None) -> str:
    if name in kind.reads:
        return c.ports[name]
    if line is not None and name in FROM_LINE:
        return {"flow": f"{line.name}.flow", "level": f"{line.source}.level", "rise": f"{line.name}.rise"}[name]
    return f"{c.name}.{name}"


def _of_line(line: Line, params: Params) -> Iterator[Equation]:
    kinds = {c.name: KINDS[c.kind] for c in params.components}
    alone = kinds[line.through[0]].passes == "flow"
    if alone:
        yield Equation(f"{line.name}.flow", (f"{line.through[0]}.flow",), _same)
    else:
        yield from _series(line, params)
    yield Equation(f"{line.name}.arrives", (f"{line.name}.flow", f"{line.name}.share"), lambda q, share: q * share)


def _series(line: Line, params: Params) -> Iterator[Equation]:
    """lift = 2 half Q + square Q |Q| of the whole line, and the flow that solves it."""
    name = line.name
    lift, linear, square = (tuple(f"{part}.{what}" for part in line.through) for what in hydraulics.LOSSES)
    ends = (f"{name}.drive", f"{line.source}.level", *((f"{name}.against",) if line.submerged else ()))
    pumped = any(c.kind == "pump" for c in params.components if c.name in line.through)
    flow = hydraulics.both_ways if line.submerged and not pumped else hydraulics.one_way
    yield Equation(f"{name}.drive", (f"{name}.rise", *lift), hydraulics.driving)
    yield Equation(f"{name}.against", (f"{line.to}.level",), operator.neg)
    yield Equation(f"{name}.lift", ends, hydraulics.total)
    yield Equation(f"{name}.half", linear, hydraulics.halved)
    yield Equation(f"{name}.half_squared", (f"{name}.half",), lambda half: half * half)
    yield Equation(f"{name}.square", square, hydraulics.total)
    yield Equation(f"{name}.flow", tuple(f"{name}.{n}" for n in arguments(flow)), flow)


def _level(tank: Component, lines: tuple[Line, ...]) -> Equation:
    ins = [f"{n.name}.flow" if n.share == 1.0 else f"{n.name}.arrives" for n in lines if n.to == tank.name]
    outs = [f"{n.name}.flow" for n in lines if n.source == tank.name]
    return Equation(f"{tank.name}.level'", (f"{tank.name}.area", *ins, *outs), hydraulics.balance(len(ins)))


def nearest(word: str, known: tuple[str, ...]) -> str:
    """`; did you mean x?` where a known word is near."""
    near = get_close_matches(word, known, 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""
