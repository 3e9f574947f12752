"""Report by exception, a fold: what of a snapshot differs from what a host was told last.

    changed   = |value - told| > deadband, or there was none, or there is none any more, or the status is another

What is told is compared with what was *told*, not with the sample before, so that a slow drift is told too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np
import numpy.typing as npt

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
MS_NS = 1_000_000


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


# Of a condition of which nothing was told.
NOTHING = None, None, None
WHEN = attrgetter("wall_ms")


def everything(device: Device, snapshot: Snapshot, aliases: Aliases, offset_ns: int) -> tuple[Told, list[Reading]]:
    """All of a snapshot: for a birth, each with its quality. UTC is t_ns + offset_ns."""
    rows = np.arange(len(device.metrics))
    points = _points(device, snapshot, rows, np.ones(len(rows), np.bool_), offset_ns)
    conditions = [r for c in snapshot.conditions for r in _condition(c, NOTHING, snapshot, aliases, offset_ns)]
    return _told(snapshot, snapshot.value, snapshot.status), sorted([*points, *conditions], key=WHEN)


def differing(
    device: Device, told: Told, snapshot: Snapshot, aliases: Aliases, offset_ns: int
) -> tuple[Told, list[Reading]]:
    """What a host has to be told to know this snapshot, oldest first, and what it knows then."""
    other: Mask = (snapshot.status ^ told.status) & WORD != 0
    new = other | _moved(device, told, snapshot)
    points = _points(device, snapshot, np.flatnonzero(new), other, offset_ns)
    conditions = [
        reading
        for condition in snapshot.conditions
        for reading in _condition(condition, told.conditions[condition.id], snapshot, aliases, offset_ns)
    ]
    value, status = np.where(new, snapshot.value, told.value), np.where(new, snapshot.status, told.status)
    return _told(snapshot, value, status), sorted([*points, *conditions], key=WHEN)


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


def _points(
    device: Device, snapshot: Snapshot, rows: npt.NDArray[np.intp], said: Mask, offset_ns: int
) -> Iterator[Reading]:
    """Those of some rows, each with its status where that is not Good, or where it is `said` (bool[m])."""
    status = snapshot.status[rows]
    # A status that is Bad is of now; of when its value was read would contradict what was told of it then.
    its_own = ~quality.bad_mask(status) & (snapshot.time_ns[rows] > 0)
    at_ms = (np.where(its_own, snapshot.time_ns[rows], snapshot.t_ns) + offset_ns) // MS_NS
    value = snapshot.value[rows]
    beside = device.texts | device.arrays
    tell = said[rows] | ~quality.good_mask(status)
    columns = (rows, value, np.isfinite(value), at_ms, status, tell)
    for row, number, finite, ms, code, told in zip(*(column.tolist() for column in columns), strict=True):
        whole = _beside(device, snapshot, row) if row in beside else (number if finite else None)
        yield Reading(device.metrics[row], whole, ms, code if told else None)


def _beside(device: Device, snapshot: Snapshot, row: int) -> Value:
    """A value that travels beside the numbers."""
    return snapshot.texts.get(row) if row in device.texts else snapshot.arrays.get(row)


def _condition(
    condition: Condition,
    told: tuple[bool | None, bool | None, int | None],
    snapshot: Snapshot,
    aliases: Aliases,
    offset_ns: int,
) -> Iterator[Reading]:
    is_now = _state(condition)
    if is_now == told:
        return
    born = quality.GOOD if told[0] is None else None
    since_ms = float((condition.since_ns + offset_ns) // MS_NS) if condition.since_ns else None
    values: tuple[Value, ...] = (condition.active, condition.acknowledged, since_ms)
    for metric, value, new, old in zip(of_condition(condition, aliases), values, is_now, told, strict=True):
        if new != old:
            yield Reading(metric, value, (snapshot.t_ns + offset_ns) // MS_NS, born)


def _state(condition: Condition) -> tuple[bool, bool, int]:
    return condition.active, condition.acknowledged, condition.since_ns


def _told(snapshot: Snapshot, value: F8, status: U4) -> Told:
    conditions = {c.id: _state(c) for c in snapshot.conditions}
    return Told(value, status, snapshot.texts, snapshot.arrays, conditions)
