"""The metrics of a device: those of its points, and three for each condition.

    lower/level                              a point by its id in the asset
    conditions/lower/level.high/active       Boolean
                            .../acknowledged Boolean
                            .../since        DateTime of its last change

An alias is a number for one metric of the whole edge node: a point's place in the catalogue, conditions after them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8, Catalogue, Condition, Kind, Mask, Part, Point, Role
from agent.sinks.mqtt.sparkplug.proto import DataType

OF_CONDITION = (("active", DataType.BOOLEAN), ("acknowledged", DataType.BOOLEAN), ("since", DataType.DATETIME))

# UInt32 is not used: the specification puts it into int_value, Tahu's decoders read it from long_value.
TYPES: dict[str, DataType] = {
    "bool": DataType.BOOLEAN,
    "int8": DataType.INT8,
    "uint8": DataType.UINT8,
    "int16": DataType.INT16,
    "uint16": DataType.UINT16,
    "int32": DataType.INT32,
    "uint32": DataType.INT64,
    "int64": DataType.INT64,
    "uint64": DataType.UINT64,
    "float32": DataType.FLOAT,
}


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a metric, told with its birth."""

    key: str
    type: DataType
    value: float | str | bool


@dataclass(frozen=True, slots=True)
class Metric:
    """What a host calls a tag. Alias 0: told by name alone."""

    name: str
    alias: int
    type: DataType
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Device:
    """The points of one asset as metrics, in the order of its part of the catalogue (m points).

    deadband f8[m]; measured bool[m]; `texts`, `arrays`: rows of those kinds.
    """

    asset: str
    epoch: int
    points: tuple[Point, ...]
    metrics: tuple[Metric, ...]
    deadband: F8
    measured: Mask
    texts: frozenset[int]
    arrays: frozenset[int]

    def rows(self, points: Sequence[Point]) -> npt.NDArray[np.intp]:
        """Where each of ours stands among points of another time, intp[m]: -1 where none has its name and kind."""
        there = {(point.id, point.kind): row for row, point in enumerate(points)}
        return np.array([there.get((point.id, point.kind), -1) for point in self.points], np.intp)


@dataclass(slots=True)
class Aliases:
    """Numbers of the metrics of conditions, given as they appear and kept: one means the same all the time."""

    first: int
    given: dict[str, int] = field(default_factory=dict)

    def of(self, name: str) -> int:
        """The number of the metric whose full name (with its asset) this is."""
        return self.given.setdefault(name, self.first + len(self.given))


def devices(catalogue: Catalogue) -> Mapping[str, Device]:
    """All assets of a catalogue."""
    return {part.asset: _device(catalogue, part) for part in catalogue.parts}


def doubtful(catalogue: Catalogue) -> tuple[str, ...]:
    """Points that differ in nothing but capital letters: some hosts take them for one."""
    seen: dict[str, str] = {}
    return tuple(p.id for p in catalogue.points if seen.setdefault(p.id.casefold(), p.id) != p.id)


def of_condition(condition: Condition, aliases: Aliases) -> tuple[Metric, ...]:
    """Its metrics, in the order of OF_CONDITION."""
    name = f"conditions/{condition.id.removeprefix(f'{condition.asset}/')}"
    return tuple(
        Metric(f"{name}/{what}", aliases.of(f"{condition.asset}/{name}/{what}"), kind) for what, kind in OF_CONDITION
    )


def _device(catalogue: Catalogue, part: Part) -> Device:
    points = catalogue.points[part.start : part.stop]
    return Device(
        asset=part.asset,
        epoch=catalogue.epoch,
        points=points,
        metrics=tuple(_metric(point, part, alias) for alias, point in enumerate(points, part.start + 1)),
        deadband=np.array([p.deadband if p.kind is Kind.NUMBER else 0.0 for p in points], np.float64),
        measured=np.array([p.role is Role.MEASURED for p in points], np.bool_),
        texts=_rows(points, Kind.TEXT),
        arrays=_rows(points, Kind.ARRAY),
    )


def _rows(points: Iterable[Point], kind: Kind) -> frozenset[int]:
    return frozenset(row for row, point in enumerate(points) if point.kind is kind)


def _metric(point: Point, part: Part, alias: int) -> Metric:
    return Metric(point.id.removeprefix(f"{part.asset}/"), alias, _type(point), _properties(point))


def _type(point: Point) -> DataType:
    if point.kind is Kind.TEXT:
        return DataType.STRING
    if point.kind is Kind.ARRAY:
        return DataType.DOUBLE_ARRAY
    otherwise = DataType.INT32 if point.kind is Kind.ENUMERATION else DataType.DOUBLE
    return TYPES.get(point.type, otherwise)


def _properties(point: Point) -> tuple[Property, ...]:
    """Under the names by which Ignition knows them, and a few of our own."""
    words = ";".join(f"{number}={word}" for number, word in point.enum.items())
    texts = {"engUnit": point.unit, "documentation": point.description, "role": point.role.value, "enum": words}
    ends = {"engLow": point.eu_lo, "engHigh": point.eu_hi}
    return (
        *(Property(key, DataType.STRING, text) for key, text in texts.items() if text),
        *(Property(key, DataType.DOUBLE, end) for key, end in ends.items() if math.isfinite(end)),
        Property("readOnly", DataType.BOOLEAN, True),
    )
