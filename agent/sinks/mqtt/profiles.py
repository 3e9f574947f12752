"""Formats of platforms: the same records by the same loops, under the topics and within the limits of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from agent.core.nouns import Catalogue
from agent.runtime.journal import Record
from agent.sinks.mqtt import Ask, Config, Format, demands, form, payload, session, thingsboard, uns
from agent.sinks.mqtt.envelope import packed, sealed
from agent.sinks.mqtt.form import Form, Out, Said
from agent.sinks.mqtt.payload import json_of

if TYPE_CHECKING:
    from agent.runtime.taps import Taps


# What names a record in its message.
NAMES = ("gateway", "class", "epoch", "seq", "asset", "kind", "clock")


async def run(config: Config, taps: Taps, ask: Ask) -> None:
    """See `agent.sinks.mqtt.run`: in the format of a platform."""
    fit = demands.settled(config, taps.gateway)
    await session.publishing(fit, taps, ask, FORMS[config.format](fit, taps.gateway))


def aws(config: Config, gateway: str) -> Form:
    """AWS IoT Core: our own topics and JSON; what passes 128 kB is compressed, and what still does is named."""
    own = form.own(config, gateway)
    return replace(
        own,
        record=lambda record: _within(own.record(record), record, gateway, demands.AWS_BYTES),
        birth=lambda catalogue: [_fitted(out, demands.AWS_BYTES) for out in own.birth(catalogue)],
        raw=partial(_raw, own, demands.AWS_BYTES),
    )


def azure(config: Config, gateway: str) -> Form:
    """Azure IoT Hub: everything is a device-to-cloud message, told apart by its properties; nothing is retained."""
    own = form.own(replace_prefix(config), gateway)
    events = f"devices/{config.client_id}/messages/events/"

    def out(said: Out, asset: str = "") -> Out:
        class_ = said.topic.split("/")[1]
        return Out(events + bag(said.payload, class_, asset), said.payload)

    def record(record: Record) -> Said:
        said = _within(own.record(record), record, gateway, demands.AZURE_BYTES)
        named = tuple(out(one, record.asset) for one in said.outs)
        return Said(named, tuple(out(one, record.asset) for one in said.before))

    def birth(catalogue: Catalogue) -> list[Out]:
        return [out(_fitted(one, demands.AZURE_BYTES)) for one in own.birth(catalogue)]

    def raw(asset: str, content: bytes) -> tuple[Out, ...]:
        return tuple(out(one, asset) for one in _raw(own, demands.AZURE_BYTES, asset, content))

    return Form(
        record=record,
        birth=birth,
        hello=tuple(map(out, own.hello)),
        goodbye=tuple(map(out, own.goodbye)),
        will=own.will and out(own.will),
        raw=raw,
        request=f"devices/{config.client_id}/messages/devicebound/#",
        answer=lambda content: out(own.answer(content)),
        other_topics=False,
    )


def replace_prefix(config: Config) -> Config:
    """With a prefix of one level, so that a topic says the class of its message in its second."""
    return config.model_copy(update={"prefix": "own"})


def bag(content: bytes, class_: str, asset: str) -> str:
    """The properties of a message in its topic, URL-encoded: what it is encoded in, and what routes may ask for."""
    plain = content[:1] == b"{"
    properties = {
        "$.ct": "application/json;charset=utf-8" if plain else "application/octet-stream",
        "$.ce": "utf-8" if plain else "deflate",
        "class": class_,
        **({"asset": asset} if asset else {}),
    }
    return "&".join(f"{key}={quote(value, safe='')}" for key, value in properties.items())


def _within(said: Said, record: Record, gateway: str, limit: int) -> Said:
    """What is said of a record within a limit of bytes, in JSON as long as that fits."""
    outs = tuple(_fitted(out, limit) for out in said.outs)
    if all(len(out.payload) <= limit for out in outs):
        return Said(outs, said.before)
    size = sum(len(out.payload) for out in outs)
    name = {**payload.name_of(gateway, record), "too_large": size}
    return Said((replace(outs[0], payload=sealed(json_of(name))),))


def _fitted(out: Out, limit: int) -> Out:
    return replace(out, payload=packed(out.payload, limit)) if out.payload[:1] == b"{" else out


def _raw(own: Form, limit: int, asset: str, content: bytes) -> tuple[Out, ...]:
    """A block compressed; one that passes the limit by its name alone."""
    outs = () if own.raw is None else own.raw(asset, content)
    if all(len(out.payload) <= limit for out in outs):
        return outs
    name = {key: value for key, value in json.loads(content).items() if key in NAMES}
    return tuple(replace(out, payload=sealed(json_of({**name, "too_large": len(out.payload)}))) for out in outs)


FORMS: Mapping[Format, Callable[[Config, str], Form]] = {
    "aws": aws,
    "azure": azure,
    "thingsboard": thingsboard.form,
    "uns": uns.form,
}
