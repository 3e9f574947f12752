"""What can be wrong with a machine of components, each with the path in the file where it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from agent.twin.kinds.physics.components import KINDS
from agent.twin.kinds.physics.integration import SCHEMES
from agent.twin.kinds.physics.network import LINE_VALUES, VESSELS, constants, nearest, signals
from agent.twin.kinds.physics.params import Component, Line, Params
from agent.twin.kinds.physics.plan import compiled

Path = tuple[str, ...]
Wrong = tuple[Path, str]


def problems(params: Params) -> list[str]:
    """Everything that is wrong, in words, with the path in front."""
    return [f"{'.'.join(('model', *path))}: {text}" for path, text in found(params)]


def found(params: Params) -> list[Wrong]:
    """Everything that is wrong with parameters. The equations are looked at where all else is right."""
    wrong = [w for c in params.components for w in _component(c, params)]
    wrong += [w for line in params.lines for w in _line(line, params)]
    wrong += [*_names(params), *_readings(params)]
    if wrong:
        return wrong
    wrong = [*_health(params), *_starts(params), *_scheme(params)]
    try:
        compiled(params) if not wrong else None
    except ValueError as error:
        wrong.append((("components",), str(error)))
    return wrong


def _component(c: Component, params: Params) -> Iterator[Wrong]:
    at: Path = ("components", c.name)
    if c.kind not in KINDS:
        yield (*at, "kind"), f"kind {c.kind!r}{nearest(c.kind, tuple(KINDS)) or ', expected ' + ', '.join(KINDS)}"
        return
    kind = KINDS[c.kind]
    known = (*kind.parameters, *kind.reads)
    for name in (*c.values, *c.ports):
        if name not in known:
            yield (*at, name), f"a {c.kind} has no {name!r}{nearest(name, known) or ', expected ' + ', '.join(known)}"
    for name, q in kind.parameters.items():
        if name not in c.values and q.default is None:
            yield at, f"a {c.kind} needs {name} (in {q.unit})"
        elif name in c.values and not q.low <= c.values[name] <= q.high:
            yield (*at, name), f"{name} is {c.values[name]:g} {q.unit}, expected {q.low:g} to {q.high:g}"
    sources = (*(d.tag for d in params.inputs), *signals(params))
    for port in kind.reads:
        if port not in c.ports:
            yield at, f"a {c.kind} needs {port}: an input or a signal of another component"
        elif c.ports[port] not in sources:
            yield (*at, port), f"no signal or input {c.ports[port]!r}{nearest(c.ports[port], sources)}"


def _line(line: Line, params: Params) -> Iterator[Wrong]:
    at: Path = ("lines", line.name)
    kinds = {c.name: c.kind for c in params.components}
    vessels = tuple(n for n, k in kinds.items() if k in VESSELS)
    for word, name in (("from", line.source), ("to", line.to)):
        if name not in vessels:
            yield (*at, word), f"{name!r}, expected a tank or reservoir{nearest(name, vessels)}"
    passing = tuple(n for n, k in kinds.items() if k in KINDS and KINDS[k].passes)
    for part in line.through:
        if part not in passing:
            yield (*at, "through"), f"{part!r}, expected a component that liquid flows through{nearest(part, passing)}"
    alone = [p for p in line.through if p in passing and KINDS[kinds[p]].passes == "flow"]
    if not line.through:
        yield at, "leads through nothing, expected at least one component"
    elif alone and len(line.through) > 1:
        yield (*at, "through"), f"{alone[0]} is a {kinds[alone[0]]}, which stands alone in its line"
    for name, q in LINE_VALUES.items():
        if not q.low <= getattr(line, name) <= q.high:
            yield (*at, name), f"{name} is {getattr(line, name):g}, expected {q.low:g} to {q.high:g}"


def _names(params: Params) -> Iterator[Wrong]:
    names = Counter([*(c.name for c in params.components), *(n.name for n in params.lines)])
    for name, count in names.items():
        where = "components" if any(c.name == name for c in params.components) else "lines"
        if count > 1:
            yield (where, name), f"the name {name} stands there {count} times, expected once"
        if "." in name:
            yield (where, name), f"the name {name} has a dot, expected none"
    used = Counter(part for line in params.lines for part in line.through)
    for c in params.components:
        passes = c.kind in KINDS and KINDS[c.kind].passes
        if passes and used[c.name] != 1:
            yield ("components", c.name), f"stands in {used[c.name]} lines, expected in one"


def _readings(params: Params) -> Iterator[Wrong]:
    known = signals(params) if all(c.kind in KINDS for c in params.components) else ()
    for r in params.outputs:
        if known and r.signal not in known:
            yield ("outputs", r.tag), f"no signal {r.signal!r}{nearest(r.signal, known)}"
    read = {source for c in params.components for source in c.ports.values()}
    for d in params.inputs:
        if d.tag not in read:
            yield ("inputs", d.tag), f"no component reads {d.tag}"
    for where, rows in (("inputs", params.inputs), ("outputs", params.outputs)):
        for row in rows:
            if not row.gain:
                yield (where, row.tag), "gain 0, expected another"


def _health(params: Params) -> Iterator[Wrong]:
    known: tuple[str, ...] = tuple(constants(params))
    for w in params.health:
        at: Path = ("health", w.name)
        checks: tuple[tuple[Any, str], ...] = (
            (w.parameter in known, f"no parameter {w.parameter!r}{nearest(w.parameter, known)}"),
            (w.low < w.high, "low below high"),
            (w.low <= w.nominal <= w.high, f"nominal {w.nominal:g}, expected {w.low:g} to {w.high:g}"),
            (w.spread > 0 and w.walk >= 0, "expected a spread over 0 and a walk of 0 or more"),
            (not w.relative or w.nominal > 0, "relative, expected a nominal value over 0"),
        )
        yield from ((at, text) for good, text in checks if not good)
    for name, count in Counter(w.parameter for w in params.health).items():
        if count > 1:
            yield ("health",), f"{name} stands there {count} times, expected once"


def _starts(params: Params) -> Iterator[Wrong]:
    states = [f"{c.name}.{s}" for c in params.components for s in KINDS[c.kind].states]
    if sorted(s.state for s in params.starts) != sorted(states):
        yield ("starts",), f"expected one entry for each of {', '.join(states)}"
    for s in params.starts:
        if not (s.sd > 0 and s.walk >= 0):
            yield ("starts", s.state), "expected an sd over 0 and a walk of 0 or more"


def _scheme(params: Params) -> Iterator[Wrong]:
    if params.scheme not in SCHEMES:
        yield ("scheme",), f"scheme {params.scheme!r}, expected {' or '.join(SCHEMES)}"
    if not params.substep_s > 0:
        yield ("substep_s",), f"substep_s {params.substep_s:g}, expected over 0"
