"""The file in which an engineer describes a machine, read into parameters and what of them is unknown.

components:
  tank 1: {kind: tank, area: 0.03 to 0.08 m2}          a range: unknown, to be fitted within it
  pump: {kind: pump, shutoff: 2 to 6 m, runout: 3 m3/h, speed: pump/speed}
lines:
  riser: {from: sump, through: [pump], to: tank 1, rise: 1.2 m}
inputs: {pump/speed: "%"}                              tag: its unit
outputs: {tank 1/level: tank 1.level in mm}            tag: a signal, and the tag's unit
health:
  pump.wear: {failed: 0.3, low: -0.1, high: 0.9, new within: 0.02, walk: 0.02 in 30 d}
states:
  tank 1.level: {start: 0.3 m, within: 0.1 m, wander: 1 mm in 1 s}     may be left out
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from agent.config import yaml
from agent.config.problems import Problem, hint, problem, shown
from agent.config.tree import At, Tree
from agent.fit.physics import quantity
from agent.fit.recording import FitError
from agent.twin.kinds.physics import checking, network
from agent.twin.kinds.physics.components import KINDS
from agent.twin.kinds.physics.law import Quantity
from agent.twin.kinds.physics.params import Component, Drive, Line, Params, Reading, Start, Wear

SECTIONS = ("components", "lines", "inputs", "outputs", "health", "states", "scheme", "substep")
LINE_KEYS = ("from", "through", "to", "rise", "submerged", "share")
HEALTH_KEYS = ("parameter", "component", "nominal", "failed", "low", "high", "new within", "walk", "relative")
STATE_KEYS = ("start", "within", "wander")
SUBSTEP_S = 1.0
NOT_KNOWN = float("nan")


@dataclass(frozen=True, slots=True)
class Unknown:
    """A parameter to be found within bounds."""

    parameter: str
    low: float
    high: float
    unit: str


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """What a file says. `params` stand in the middle of what is unknown; starts of states that the file does not
    give are NaN. units: of inputs and outputs by tag; own_substep: the file sets the step."""

    file: str
    params: Params
    unknown: tuple[Unknown, ...]
    units: Mapping[str, str]
    own_substep: bool


def read(file: str | Path) -> Sketch:
    """The machine of a file. FitError has everything that is wrong with it as `file:line:col: text`."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FitError(f"{file}: not a text in UTF-8 ({error.reason})") from error
    tree, wrong = yaml.parse(str(file), text)
    if wrong:
        raise FitError("\n".join(map(str, wrong)))
    reader = _Reader(str(file), tree)
    sketch = reader.sketch()
    wrong = sorted({*reader.problems, *(problem(tree.mark(at), text) for at, text in _checked(sketch, reader))})
    if wrong:
        raise FitError("\n".join(map(str, wrong)))
    return sketch


def _checked(sketch: Sketch, reader: _Reader) -> list[checking.Wrong]:
    """What is wrong with the machine itself; a start that the file leaves open is not."""
    starts = tuple(
        replace(s, sd=s.sd if s.sd <= 0 else 1.0, walk=s.walk if s.walk < 0 else 0.0) for s in sketch.params.starts
    )
    if reader.problems and any(c.kind not in KINDS for c in sketch.params.components):
        return []
    return checking.found(replace(sketch.params, starts=starts))


class _Reader:
    """One pass over a tree. What cannot be read is a problem and something harmless in its place."""

    def __init__(self, file: str, tree: Tree) -> None:
        self.file, self.tree = file, tree
        self.problems: list[Problem] = []
        self.unknown: list[Unknown] = []
        self.units: dict[str, str] = {}

    def wrong(self, at: At, text: str) -> None:
        self.problems.append(problem(self.tree.mark(at), text))

    def sketch(self) -> Sketch:
        top = self.mapping((), SECTIONS)
        components = tuple(self.component(name) for name in self.mapping(("components",)))
        lines = tuple(self.line(name) for name in self.mapping(("lines",)))
        machine = Params(components, lines, (), (), (), (), (), "rk4", SUBSTEP_S)
        known = network.quantities(machine) if all(c.kind in KINDS for c in components) else {}
        inputs = tuple(self.input(tag, components) for tag in self.mapping(("inputs",)))
        outputs = tuple(self.output(tag, known) for tag in self.mapping(("outputs",)))
        for section in ("components", "inputs", "outputs"):
            if not top.get(section):
                self.wrong((section,), f"no {section}, expected at least one")
        health = tuple(self.health(name, known, machine) for name in self.mapping(("health",)))
        params = replace(
            machine,
            inputs=inputs,
            outputs=outputs,
            health=health,
            starts=self.starts(components, known),
            scheme=str(top.get("scheme", "rk4")),
            substep_s=self.number(("substep",), "s", SUBSTEP_S),
        )
        return Sketch(self.file, params, tuple(self.unknown), self.units, "substep" in top)

    def mapping(self, at: At, keys: tuple[str, ...] = ()) -> Mapping[str, Any]:
        """The mapping at a path by words, with keys that are not known refused."""
        found = self.tree.get(at)
        if found is None:
            return {}
        if not isinstance(found, dict):
            self.wrong(at, f"{shown(found)}, expected a mapping")
            return {}
        for key in found:
            if keys and key not in keys:
                self.problems.append(problem(self.tree.key_mark((*at, key)), f"{key!r} is not known{hint(key, keys)}"))
        return {str(key): value for key, value in found.items()}

    def attempt(self, at: At, reading: Callable[[Any], Any], fallback: Any) -> Any:
        """What `reading` makes of the value at a path; where nothing is written, or nothing can be read, `fallback`."""
        written = self.tree.get(at)
        if written is None:
            return fallback
        try:
            return reading(written)
        except ValueError as error:
            self.wrong(at, f"{at[-1]} is {error}" if str(error)[:1] in "'-0123456789" else f"{at[-1]}: {error}")
            return fallback

    def number(self, at: At, unit: str, fallback: float, *, difference: bool = False) -> float:
        found: float = self.attempt(at, lambda w: quantity.number(w, unit, difference=difference), fallback)
        return found

    def parameter(self, at: At, name: str, q: Quantity) -> float | None:
        """A parameter's value, or the middle of its range, which is noted as unknown."""
        found = self.attempt(at, lambda w: quantity.value(w, q.unit), None)
        if found is None:
            return None
        if found.unknown:
            self.unknown.append(Unknown(name, found.low, found.high, q.unit))
            for end in (found.low, found.high):
                if not q.low <= end <= q.high:
                    self.wrong(at, f"{at[-1]} reaches {end:g} {q.unit}, expected {q.low:g} to {q.high:g}")
        return float(found.middle)

    def component(self, name: str) -> Component:
        at: At = ("components", name)
        written = self.mapping(at)
        word = written.get("kind")
        kind = KINDS.get(str(word))
        if kind is None:
            self.wrong((*at, "kind"), f"kind {shown(word)}{hint(word, KINDS) if word else ''}")
            return Component(name, str(word), {}, {})
        known = (*kind.parameters, *kind.reads)
        for key in written:
            if key not in ("kind", *known):
                place = self.tree.key_mark((*at, key))
                self.problems.append(problem(place, f"a {word} has no {key!r}{hint(key, known)}"))
        read = {p: self.parameter((*at, p), f"{name}.{p}", q) for p, q in kind.parameters.items() if p in written}
        values = {p: v for p, v in read.items() if v is not None}
        ports = {p: str(written[p]) for p in kind.reads if p in written}
        return Component(name, str(word), values, ports)

    def line(self, name: str) -> Line:
        at: At = ("lines", name)
        written = self.mapping(at, LINE_KEYS)
        through = written.get("through")
        read = {n: self.parameter((*at, n), f"{name}.{n}", q) for n, q in network.LINE_VALUES.items()}
        return Line(
            name=name,
            source=str(written.get("from", "")),
            through=tuple(map(str, through if isinstance(through, list) else [through] if through else [])),
            to=str(written.get("to", "")),
            rise=0.0 if read["rise"] is None else read["rise"],
            submerged=written.get("submerged") is True,
            share=1.0 if read["share"] is None else read["share"],
        )

    def input(self, tag: str, components: tuple[Component, ...]) -> Drive:
        at: At = ("inputs", tag)
        self.units[tag] = str(self.tree.get(at) or "")
        bases = [KINDS[c.kind].reads[p].unit for c in components for p, source in c.ports.items() if source == tag]
        found = [self.attempt(at, partial(_scale, base), (1.0, 0.0)) for base in bases]
        return Drive(tag, *(found[0] if found else (1.0, 0.0)))

    def output(self, tag: str, known: Mapping[str, Quantity]) -> Reading:
        at: At = ("outputs", tag)
        signal, _, unit = (part.strip() for part in str(self.tree.get(at)).partition(" in "))
        base = known[signal].unit if signal in known else ""
        self.units[tag] = unit or base
        gain, offset = self.attempt(at, lambda _: quantity.scale(base, unit) if unit else (1.0, 0.0), (1.0, 0.0))
        return Reading(tag, signal, gain, offset)

    def health(self, name: str, known: Mapping[str, Quantity], machine: Params) -> Wear:
        at: At = ("health", name)
        written = self.mapping(at, HEALTH_KEYS)
        parameter = str(written.get("parameter", name))
        q = known.get(parameter, Quantity(""))
        if "walk" not in written or "new within" not in written:
            self.wrong(at, "expected `new within` (how far it is from nominal when new) and `walk` (0.01 in 1 d)")
        nominal = network.constants(machine).get(parameter, 0.0) if known else 0.0
        return Wear(
            name=name,
            parameter=parameter,
            component=str(written.get("component", parameter.partition(".")[0])),
            unit=q.unit,
            nominal=self.number((*at, "nominal"), q.unit, nominal),
            failed=self.number((*at, "failed"), q.unit, NOT_KNOWN),
            low=self.number((*at, "low"), q.unit, max(q.low, -1e12)),
            high=self.number((*at, "high"), q.unit, min(q.high, 1e12)),
            spread=self.number((*at, "new within"), "1" if written.get("relative") else q.unit, 1.0, difference=True),
            walk=self.attempt(
                (*at, "walk"), lambda w: quantity.walk(w, "1" if written.get("relative") else q.unit), 0.0
            ),
            relative=written.get("relative") is True,
        )

    def starts(self, components: tuple[Component, ...], known: Mapping[str, Quantity]) -> tuple[Start, ...]:
        states = tuple(_states(components))
        self.mapping(("states",), states)
        return tuple(self.start(state, known[state]) for state in states)

    def start(self, state: str, q: Quantity) -> Start:
        at: At = ("states", state)
        self.mapping(at, STATE_KEYS)
        return Start(
            state=state,
            mean=self.number((*at, "start"), q.unit, NOT_KNOWN),
            sd=self.number((*at, "within"), q.unit, NOT_KNOWN, difference=True),
            walk=self.attempt((*at, "wander"), lambda w: quantity.walk(w, q.unit), NOT_KNOWN),
        )


def _scale(base: str, unit: Any) -> tuple[float, float]:
    return quantity.scale(base, str(unit))


def _states(components: tuple[Component, ...]) -> Iterator[str]:
    for c in components:
        if c.kind in KINDS:
            yield from (f"{c.name}.{s}" for s in KINDS[c.kind].states)
