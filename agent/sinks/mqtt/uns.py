"""A plain unified namespace: the newest of every point, retained, under where its machine stands.

    <enterprise>/<site>/<area>/<line>/<asset>/<group>/<tag>   {"value": 12.5, "unit": "m3/h", "status": 0, "time": ...}
    .../<asset>/_event      each event at once                .../<asset>/_alarm/<condition>   retained: how it stands
    .../<asset>/_summary    each closed window                .../<asset>/_meta                retained: what it has
    <enterprise>/_gateway/<gateway>/status | request | answer

The prefix is the enterprise; the levels after it are the asset's `path`, then its id. Values go out as they change, at
most so often, each with the time of its sample and its OPC UA StatusCode; what is Bad has the value null. Events and
summaries are those of our own format, from the journal, at least once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from agent.core.nouns import F8, I8, U4, Catalogue, Condition, Mask, Part, Point, Snapshot
from agent.runtime import clock
from agent.runtime.journal import Record
from agent.sinks.mqtt import Config, payload
from agent.sinks.mqtt import form as forms
from agent.sinks.mqtt.demands import OF_GATEWAY
from agent.sinks.mqtt.form import Form, Out, Said
from agent.sinks.mqtt.payload import json_of

NO_LEVEL = re.compile(r"[/+#\0]+")


def level(word: str) -> str:
    """A word as one level of a topic."""
    return NO_LEVEL.sub("_", word)


def form(config: Config, gateway: str) -> Form:
    """Topics and payloads of the namespace. `config` is settled: its prefix is that of the gateway itself."""
    own = forms.own(config, gateway)
    places = Places(config.prefix.partition(OF_GATEWAY)[0])

    def record(record: Record) -> Said:
        said, topic = own.record(record), f"{places.of(record.asset)}/_{record.class_}"
        return replace(said, outs=tuple(replace(out, topic=topic) for out in said.outs))

    def birth(catalogue: Catalogue) -> Iterator[Out]:
        places.know(catalogue)
        yield from own.birth(catalogue)
        for part in catalogue.parts:
            yield Out(f"{places.of(part.asset)}/_meta", payload.birth(_alone(catalogue, part)), retain=True)

    def raw(asset: str, content: bytes) -> tuple[Out, ...]:
        outs = () if own.raw is None else own.raw(asset, content)
        return tuple(replace(out, topic=f"{places.of(asset)}/_raw") for out in outs)

    return replace(own, record=record, birth=birth, raw=raw, values=partial(Values, places, config.values_every_s))


def _alone(catalogue: Catalogue, part: Part) -> Catalogue:
    """The catalogue of one asset."""
    points = catalogue.points[part.start : part.stop]
    return replace(catalogue, points=points, parts=(replace(part, start=0, stop=len(points)),))


class Places:
    """Where the assets of the newest catalogue stand."""

    def __init__(self, enterprise: str) -> None:
        """No catalogue yet."""
        self._enterprise = enterprise
        self._paths: dict[str, tuple[str, ...]] = {}

    def know(self, catalogue: Catalogue) -> None:
        """Take the paths of a catalogue."""
        self._paths = {part.asset: part.path for part in catalogue.parts}

    def of(self, asset: str) -> str:
        """The topic of an asset; of one that is not in the catalogue any more, right below the enterprise."""
        return "/".join([self._enterprise, *map(level, (*self._paths.get(asset, ()), asset))])


@dataclass(slots=True, eq=False)
class Known:
    """What was said last of m points of an asset, and when: value f8[m], status u4[m], at_ns i8[m]; texts and arrays by
    row as JSON; conditions by id."""

    value: F8
    status: U4
    at_ns: I8
    beside: dict[int, bytes] = field(default_factory=dict)
    conditions: dict[str, Condition] = field(default_factory=dict)


NEVER = -(2**62)


class Values:
    """What is new in a snapshot since it was said last on this connection, each point at most so often."""

    def __init__(self, places: Places, every_s: float) -> None:
        """Nothing is said yet."""
        self._places, self._every_ns = places, round(every_s * 1e9)
        self._known: dict[str, Known] = {}

    def __call__(self, catalogue: Catalogue, snapshot: Snapshot) -> Iterator[Out]:
        """The messages for a snapshot; what is taken counts as said."""
        points, known, at = catalogue.of(snapshot.asset), self._of(snapshot), self._places.of(snapshot.asset)
        wall_ns = clock.wall_ns() - clock.now_ns()
        for row in np.flatnonzero(self._due(known, snapshot)).tolist():
            value = _value(snapshot, row)
            if row in snapshot.texts or row in snapshot.arrays:
                known.beside[row] = json_of({"": value})
            known.value[row], known.status[row] = snapshot.value[row], snapshot.status[row]
            known.at_ns[row] = snapshot.t_ns
            topic = "/".join([at, *map(level, points[row].id.removeprefix(f"{snapshot.asset}/").split("/"))])
            yield Out(topic, _message(points[row], value, snapshot, row, wall_ns), retain=True)
        for condition in snapshot.conditions:
            if known.conditions.get(condition.id) != condition:
                known.conditions[condition.id] = condition
                name = level(condition.id.removeprefix(f"{snapshot.asset}/"))
                yield Out(f"{at}/_alarm/{name}", _alarm(condition, wall_ns), retain=True)

    def _of(self, snapshot: Snapshot) -> Known:
        known = self._known.get(snapshot.asset)
        if known is None or len(known.value) != len(snapshot.value):
            m = len(snapshot.value)
            never = np.full(m, NEVER, np.int64)
            known = Known(np.full(m, np.nan), np.full(m, 0xFFFF_FFFF, np.uint32), never)
            self._known[snapshot.asset] = known
        return known

    def _due(self, known: Known, snapshot: Snapshot) -> Mask:
        """bool[m]: what differs from what was said, and was not said just now."""
        same = (known.value == snapshot.value) | (np.isnan(known.value) & np.isnan(snapshot.value))
        new = ~same | (known.status != snapshot.status)
        for row in {*snapshot.texts, *snapshot.arrays}:
            new[row] |= known.beside.get(row) != json_of({"": _value(snapshot, row)})
        return np.asarray(new & (snapshot.t_ns - known.at_ns >= self._every_ns), np.bool_)


def _value(snapshot: Snapshot, row: int) -> Any:
    if row in snapshot.texts:
        return snapshot.texts[row]
    if row in snapshot.arrays:
        return [_number(value) for value in snapshot.arrays[row].tolist()]
    return _number(float(snapshot.value[row]))


def _number(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


def _message(point: Point, value: Any, snapshot: Snapshot, row: int, wall_ns: int) -> bytes:
    t_ns = int(snapshot.time_ns[row])
    said = {
        "value": value,
        **({"word": point.enum[int(value)]} if point.enum and value in point.enum else {}),
        **({"unit": point.unit} if point.unit else {}),
        "status": int(snapshot.status[row]),
        **payload.times("time", t_ns + wall_ns if t_ns else None),
    }
    return json_of(said)


def _alarm(condition: Condition, wall_ns: int) -> bytes:
    told = asdict(condition)
    said = {k: _number(v) if isinstance(v, float) else v for k, v in told.items() if not k.endswith("_ns")}
    return json_of({**said, **payload.times("since", condition.since_ns + wall_ns if condition.since_ns else None)})
