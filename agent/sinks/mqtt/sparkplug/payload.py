"""What the messages say (Sparkplug 3.0.0, chapter 6.4): births, data, deaths, as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from agent.core import quality
from agent.sinks.mqtt.sparkplug.changes import Reading, Value
from agent.sinks.mqtt.sparkplug.metrics import Metric, Property
from agent.sinks.mqtt.sparkplug.proto import CARRIED_BY, DataType, Payload

REBIRTH = "Node Control/Rebirth"
BDSEQ = "bdSeq"

# tck-id-payloads-propertyset-quality-value-value: the only three there are. What is Uncertain must not look Good.
BAD, GOOD, STALE = 0, 192, 500

# Integers are sent as what their two's complement is when read without a sign.
WIDTH = {DataType.INT64: 64, DataType.UINT64: 64, DataType.DATETIME: 64}


def death(bdseq: int, now_ms: int) -> bytes:
    """NDEATH: the will, and what is said before going."""
    payload = Payload(timestamp=now_ms)
    _bdseq(payload, bdseq, now_ms)
    return _bytes(payload)


def node_birth(bdseq: int, controls: Iterable[Reading], readings: Sequence[Reading], now_ms: int) -> bytes:
    """NBIRTH, which begins the sequence: bdSeq, what may be commanded (by name, without alias), then all metrics."""
    payload = Payload(timestamp=now_ms, seq=0)
    _bdseq(payload, bdseq, now_ms)
    for reading in (*controls, *readings):
        _born(payload, reading)
    return _bytes(payload)


def controls(now_ms: int) -> tuple[Reading, ...]:
    """What a host may write: that we are born again, nothing else."""
    return (Reading(Metric(REBIRTH, 0, DataType.BOOLEAN), False, now_ms),)


def device_birth(seq: int, readings: Sequence[Reading], now_ms: int) -> bytes:
    """DBIRTH: each metric that will ever be told of, with name, alias, type, value and properties."""
    payload = Payload(timestamp=now_ms, seq=seq)
    for reading in readings:
        _born(payload, reading)
    return _bytes(payload)


def data(seq: int, readings: Iterable[Reading], now_ms: int, historical: bool = False) -> bytes:
    """NDATA, DDATA: by alias, no names."""
    payload = Payload(timestamp=now_ms, seq=seq)
    add, said = payload.metrics.add, {"is_historical": True} if historical else {}
    for reading in readings:
        metric = reading.metric
        message = add(alias=metric.alias, timestamp=reading.wall_ms, **said, **_valued(metric.type, reading.value))
        if reading.status is not None:
            _quality(message.properties, reading.status)
    return _bytes(payload)


def device_death(seq: int, now_ms: int) -> bytes:
    """DDEATH."""
    return _bytes(Payload(timestamp=now_ms, seq=seq))


def _bdseq(payload: Any, bdseq: int, now_ms: int) -> None:
    payload.metrics.add(name=BDSEQ, timestamp=now_ms, datatype=DataType.INT64, long_value=bdseq)


def _born(payload: Any, reading: Reading) -> None:
    metric = reading.metric
    message = payload.metrics.add(
        name=metric.name, timestamp=reading.wall_ms, datatype=metric.type, **_valued(metric.type, reading.value)
    )
    if metric.alias:
        message.alias = metric.alias
    for each in metric.properties:
        _property(message.properties, each)
    if reading.status is not None:
        _quality(message.properties, reading.status)


def _valued(kind: DataType, value: Value) -> dict[str, Any]:
    """The field of the union that carries the type; null where there is no value."""
    return {"is_null": True} if value is None else {CARRIED_BY[kind]: _plain(kind, value)}


def _plain(kind: DataType, value: Any) -> Any:
    if kind in (DataType.FLOAT, DataType.DOUBLE):
        return float(value)
    if kind is DataType.BOOLEAN:
        return bool(value)
    if kind is DataType.DOUBLE_ARRAY:
        return np.asarray(value, "<f8").tobytes()
    return value if kind is DataType.STRING else int(value) & ((1 << WIDTH.get(kind, 32)) - 1)


def _property(properties: Any, each: Property) -> None:
    properties.keys.append(each.key)
    properties.values.add(type=each.type, **{CARRIED_BY[each.type]: each.value})


def _quality(properties: Any, status: int) -> None:
    """The quality that Sparkplug knows, and, where that is not Good, the StatusCode that says why."""
    severity = quality.severity(status)
    properties.keys.append("Quality")
    properties.values.add(type=DataType.INT32, int_value=(GOOD, STALE, BAD, BAD)[severity])
    if severity:
        _property(properties, Property("status", DataType.STRING, quality.name(status)))


def _bytes(payload: Any) -> bytes:
    return bytes(payload.SerializeToString())
