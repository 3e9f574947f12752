"""Topics and payloads of one format. The loops (session.py) are the same for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from agent.core.nouns import Catalogue
from agent.runtime.journal import Record
from agent.sinks.mqtt import Config, payload


@dataclass(frozen=True, slots=True)
class Out:
    """One message."""

    topic: str
    payload: bytes
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """What a record becomes: it is acknowledged once all of `outs` are.

    `before`: what the receiver must know first; published, and waited for, unless it is what its topic was told last
    on this connection.
    """

    outs: tuple[Out, ...]
    before: tuple[Out, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """What to say when: on each connection `hello`, `birth` (for each new catalogue too), the records, `goodbye`."""

    record: Callable[[Record], Said]
    birth: Callable[[Catalogue], Iterable[Out]]
    hello: tuple[Out, ...] = ()
    goodbye: tuple[Out, ...] = ()
    will: Out | None = None


def own(config: Config, gateway: str) -> Form:
    """Our own format: everything under one prefix."""
    prefix = prefix_of(config, gateway)
    offline = Out(f"{prefix}/status", payload.OFFLINE, retain=True)
    return Form(
        record=partial(_record, config, gateway, prefix),
        birth=lambda catalogue: (Out(f"{prefix}/birth", payload.birth(catalogue), retain=True),),
        hello=(Out(f"{prefix}/status", payload.ONLINE, retain=True),),
        goodbye=(offline,),
        will=offline,
    )


def prefix_of(config: Config, gateway: str) -> str:
    """What all our topics begin with, those we listen to as well."""
    return config.prefix or f"edgetwin/{gateway}"


def _record(config: Config, gateway: str, prefix: str, record: Record) -> Said:
    message = payload.message(gateway, record, config.figures, config.layout)
    outs = (Out(f"{prefix}/{record.class_}/{record.asset}", message.content),)
    if not message.key:
        return Said(outs)
    names = payload.names_of(gateway, record.asset, message)
    return Said(outs, (Out(f"{prefix}/names/{record.asset}", names, retain=True),))
