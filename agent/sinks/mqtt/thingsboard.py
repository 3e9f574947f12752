"""ThingsBoard's gateway API: each asset is a device behind this gateway.

    v1/gateway/connect      {"device": "pump-1", "type": "pump@1"}                                at each connection
    v1/gateway/attributes   {"pump-1": {"title": ..., "path": ..., "units": {"pump_flow": "m3/h"}, ...}}
    v1/gateway/telemetry    {"pump-1": [{"ts": 1795348800000, "values": {"pump_flow_mean": 12.5, ...}}]}

A summary is telemetry at the end of its window, a key for each figure of each tag; an event is a JSON value under
`event`, and whether its condition is active stands under the condition's name. Keys have _ for what is no letter or
digit. ThingsBoard joins what has the same device and time: a window that passes its limit of 64 kB comes in pieces.
Where our clock is not known the server puts its own time.

A remote procedure call to the gateway is a request: its method what to do, its parameters the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from agent.core import wire
from agent.core.nouns import Catalogue, Event, Part, Role, Summary
from agent.runtime.journal import Record
from agent.sinks.mqtt import Config, payload
from agent.sinks.mqtt.demands import THINGSBOARD_BYTES
from agent.sinks.mqtt.form import Form, Heard, Out, Said
from agent.sinks.mqtt.payload import json_of
from agent.store.record import CLOCK

CONNECT, ATTRIBUTES, TELEMETRY = "v1/gateway/connect", "v1/gateway/attributes", "v1/gateway/telemetry"
OWN_ATTRIBUTES = "v1/devices/me/attributes"
CALL, ANSWER = "v1/devices/me/rpc/request/", "v1/devices/me/rpc/response/"
ROOM = 256  # for what stands around the values

NO_WORD = re.compile(r"[^A-Za-z0-9]+")


def form(config: Config, gateway: str) -> Form:
    """Topics and payloads of the gateway API."""
    return Form(
        record=partial(_record, config, gateway),
        birth=partial(_birth, config, gateway),
        request=f"{CALL}+",
        understood=_understood,
        other_topics=False,
    )


def _understood(heard: Heard) -> Heard:
    """{"method": "resend", "params": {...}} on .../rpc/request/7 as {"id": "7", "do": "resend", ...}."""
    number = heard.topic.removeprefix(CALL)
    try:
        call = json.loads(heard.payload)
        params = call.get("params") or {}
        request = json_of({**params, "id": f"call-{number}", "do": call.get("method")})
    except (ValueError, AttributeError, TypeError, RecursionError):
        request = heard.payload
    return Heard(heard.topic, request, reply_to=f"{ANSWER}{number}")


def key(*words: str) -> str:
    """A telemetry key."""
    return "_".join(NO_WORD.sub("_", word).strip("_") for word in words)


def _birth(config: Config, gateway: str, catalogue: Catalogue) -> Iterator[Out]:
    yield Out(OWN_ATTRIBUTES, json_of({"gateway": gateway, "epoch": catalogue.epoch}))
    for part in catalogue.parts:
        yield Out(CONNECT, json_of({"device": part.asset, "type": part.asset_class or "default"}))
        for attributes in _pieces(_attributes(catalogue, part)):
            yield Out(ATTRIBUTES, json_of({part.asset: attributes}))


def _attributes(catalogue: Catalogue, part: Part) -> dict[str, Any]:
    about = {"title": part.title, "path": "/".join(part.path), "period_s": part.period_s}
    measured = [point for point in catalogue.of(part.asset) if point.role is Role.MEASURED and point.unit]
    units = {key(point.id.removeprefix(f"{part.asset}/"), "unit"): point.unit for point in measured}
    return {**about, **units}


def _record(config: Config, gateway: str, record: Record) -> Said:
    if record.kind == CLOCK:
        return Said(())  # it places records by their boot, which these messages do not tell
    try:
        t_ns, values = _values(config, gateway, record)
    except wire.WireError as error:
        t_ns, values = record.t_ns, {"unreadable": str(error)}
    at_ms = (t_ns - record.t_ns + record.wall_ns) // 1_000_000
    timed = [values_at(at_ms, piece, record.clock != "unknown") for piece in _pieces(values)]
    return Said(tuple(Out(TELEMETRY, json_of({record.asset: [one]})) for one in timed))


def values_at(at_ms: int, values: Mapping[str, Any], known: bool) -> Mapping[str, Any]:
    """Values with their time, where that is known."""
    return {"ts": at_ms, "values": values} if known else values


def _values(config: Config, gateway: str, record: Record) -> tuple[int, dict[str, Any]]:
    """(when, by the boot clock; values) of a record."""
    if record.kind == "summary":
        return _of_summary(config, wire.decode(Summary, record.body))
    return _of_event(gateway, record, wire.decode(Event, record.body))


def _of_summary(config: Config, summary: Summary) -> tuple[int, dict[str, Any]]:
    values: dict[str, Any] = {"mode": summary.mode.word, "window_closed_by": summary.closed_by}
    values |= {key("context", name): text for name, text in summary.context.items()}
    for figure in config.figures:
        columns = zip(summary.names, getattr(summary, figure).tolist(), strict=True)
        values |= {key(name, figure): value for name, value in columns if abs(value) < float("inf")}
    values |= {key(name): value for name, value in summary.figures.items() if abs(value) < float("inf")}
    values |= {key(name): text for name, text in summary.findings.items()}
    if abs(summary.score_max) < float("inf"):
        values["score_max"] = summary.score_max
    return summary.end_ns, values


def _of_event(gateway: str, record: Record, event: Event) -> tuple[int, dict[str, Any]]:
    whole = json.loads(payload.message(gateway, record).content)
    state = event.condition
    active = {} if state is None else {key(state.id.removeprefix(f"{record.asset}/"), "active"): state.active}
    return event.t_ns, {"event": whole, **active}


def _pieces(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Values cut so that each piece stays below the limit."""
    piece, size = dict[str, Any](), ROOM
    for name, value in values.items():
        more = len(json_of({name: value}))
        if piece and size + more > THINGSBOARD_BYTES:
            yield piece
            piece, size = {}, ROOM
        piece[name] = value
        size += more
    yield piece
