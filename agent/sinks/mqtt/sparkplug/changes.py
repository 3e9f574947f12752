"""Report by exception, a fold: what of a snapshot differs from what a host was told last.

    changed   = |value - told| > deadband, or there was none, or there is none any more, or the status is another

What is told is compared with what was *told*, not with the sample before, so that a slow drift is told too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from agent.core import quality
from agent.core.nouns import F8, U4, Condition, Mask, Snapshot
from agent.sinks.mqtt.sparkplug.metrics import Aliases, Device, Metric, of_condition

WORD = np.uint32(0xFFFF_0000)  # of a status, without its info bits

# By these a device says nothing at all any more.
UNHEARD = (
    quality.BAD_NO_COMMUNICATION,
    quality.BAD_COMMUNICATION_ERROR,
    quality.BAD_NOT_CONNECTED,
    quality.BAD_TIMEOUT,
    quality.BAD_WAITING_FOR_INITIAL_DATA,
)

Value = float | str | bool | F8 | None
Wall = Callable[[int], int]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One metric as it is told: value (None: null), UTC in ms, and its status where that has to be told."""

    metric: Metric
    value: Value
    wall_ms: int
    status: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What a host knows of a device of m points: value f8[m], status u4[m]; texts and arrays by row; by condition
    (active, acknowledged, since_ns)."""

    value: F8
    status: U4
    texts: Mapping[int, str] = field(default_factory=dict)
    arrays: Mapping[int, F8] = field(default_factory=dict)
    conditions: Mapping[str, tuple[bool, bool, int]] = field(default_factory=dict)


def everything(device: Device, snapshot: Snapshot, aliases: Aliases, wall: Wall) -> tuple[Told, list[Reading]]:
    """All of a snapshot: for a birth, each with its quality."""
    rows = np.ones(len(device.metrics), np.bool_)
    points = list(_points(device, snapshot, rows, rows, wall))
    conditions = [r for c in snapshot.conditions for r in _condition(c, (None, None, None), snapshot, aliases, wall)]
    return _told(snapshot, snapshot.value, snapshot.status), sorted([*points, *conditions], key=_time)


def differing(
    device: Device, told: Told, snapshot: Snapshot, aliases: Aliases, wall: Wall
) -> tuple[Told, list[Reading]]:
    """What a host has to be told to know this snapshot, oldest first, and what it knows then."""
    other = (snapshot.status ^ told.status) & WORD != 0
    rows = other | _moved(device, told, snapshot)
    points = list(_points(device, snapshot, rows, other, wall))
    conditions = [
        reading
        for condition in snapshot.conditions
        for reading in _condition(condition, told.conditions[condition.id], snapshot, aliases, wall)
    ]
    value, status = np.where(rows, snapshot.value, told.value), np.where(rows, snapshot.status, told.status)
    return _told(snapshot, value, status), sorted([*points, *conditions], key=_time)


def same_metrics(told: Told, snapshot: Snapshot) -> bool:
    """Whether the snapshot has no condition that was not born."""
    return all(condition.id in told.conditions for condition in snapshot.conditions)


def heard(device: Device, snapshot: Snapshot) -> bool:
    """Whether anything is known of the machine: not all that is measured of it is Bad, or not for want of an answer."""
    status = snapshot.status[device.measured]
    if not len(status) or not quality.bad_mask(status).all():
        return True
    return not np.isin(status & WORD, UNHEARD).any()


def _moved(device: Device, told: Told, snapshot: Snapshot) -> Mask:
    absent = np.isnan(snapshot.value)
    moved: Mask = (np.abs(snapshot.value - told.value) > device.deadband) | (absent != np.isnan(told.value))
    for row in device.texts:
        moved[row] = snapshot.texts.get(row) != told.texts.get(row)
    for row in device.arrays:
        moved[row] = not _same(snapshot.arrays.get(row), told.arrays.get(row))
    return moved


def _same(one: F8 | None, other: F8 | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other, equal_nan=True)


def _points(device: Device, snapshot: Snapshot, rows: Mask, said: Mask, wall: Wall) -> Iterator[Reading]:
    """Those `rows`; with their quality where it is not Good or `said`."""
    for row in np.flatnonzero(rows).tolist():
        status = int(snapshot.status[row])
        # A status that is Bad is of now; of when its value was read would contradict what was told of it then.
        at_ns = int(snapshot.time_ns[row]) if not quality.is_bad(status) else 0
        value = _value(device, snapshot, row)
        good = quality.is_good(status) and not said[row]
        yield Reading(device.metrics[row], value, wall(at_ns or snapshot.t_ns), None if good else status)


def _value(device: Device, snapshot: Snapshot, row: int) -> Value:
    if row in device.texts:
        return snapshot.texts.get(row)
    if row in device.arrays:
        return snapshot.arrays.get(row)
    value = float(snapshot.value[row])
    return value if np.isfinite(value) else None


def _condition(
    condition: Condition,
    told: tuple[bool | None, bool | None, int | None],
    snapshot: Snapshot,
    aliases: Aliases,
    wall: Wall,
) -> Iterator[Reading]:
    is_now = _state(condition)
    if is_now == told:
        return
    born = quality.GOOD if told[0] is None else None
    since_ms = float(wall(condition.since_ns)) if condition.since_ns else None
    values: tuple[Value, ...] = (condition.active, condition.acknowledged, since_ms)
    for metric, value, new, old in zip(of_condition(condition, aliases), values, is_now, told, strict=True):
        if new != old:
            yield Reading(metric, value, wall(snapshot.t_ns), born)


def _state(condition: Condition) -> tuple[bool, bool, int]:
    return condition.active, condition.acknowledged, condition.since_ns


def _told(snapshot: Snapshot, value: F8, status: U4) -> Told:
    conditions = {c.id: _state(c) for c in snapshot.conditions}
    return Told(value, status, snapshot.texts, snapshot.arrays, conditions)


def _time(reading: Reading) -> int:
    return reading.wall_ms
