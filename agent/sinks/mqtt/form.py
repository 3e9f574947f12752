"""Topics and payloads of one format. The loops (session.py) are the same for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from agent.core.nouns import Catalogue, Snapshot
from agent.runtime.journal import Record
from agent.sinks.mqtt import Config, payload
from agent.sinks.mqtt.envelope import packed


@dataclass(frozen=True, slots=True)
class Out:
    """One message."""

    topic: str
    payload: bytes
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that came. `reply_to`, `correlation`: where its sender (MQTT 5) wants an answer, and with what."""

    topic: str
    payload: bytes
    reply_to: str = ""
    correlation: bytes = b""


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
    """What to say when: on each connection `hello`, `birth` (for each new catalogue too), the records, `goodbye`.

    raw: messages of a block of raw history, of an asset and a content; None where the format has no place for it.
    request: the topic filter on which something may be asked for, None for none; understood: a request as ours look;
    answer: what an answer becomes.
    shorter: what a record becomes where the broker takes no more than so many bytes at once (topic and payload).
    other_topics: whether the broker lets us listen below our prefix to more than that. values: made
    anew for each connection, what is said of the newest values beside the records.
    """

    record: Callable[[Record], Said]
    birth: Callable[[Catalogue], Iterable[Out]]
    hello: tuple[Out, ...] = ()
    goodbye: tuple[Out, ...] = ()
    will: Out | None = None
    raw: Callable[[str, bytes], tuple[Out, ...]] | None = None
    request: str | None = None
    understood: Callable[[Heard], Heard] = lambda heard: heard
    answer: Callable[[bytes], Out] = lambda content: Out("answer", content)
    other_topics: bool = True
    shorter: Callable[[Record, float], Said] | None = None
    values: Callable[[], Callable[[Catalogue, Snapshot], Iterable[Out]]] | None = None


def own(config: Config, gateway: str) -> Form:
    """Our own format: everything under one prefix."""
    prefix, above = prefix_of(config, gateway), config.compress_above_bytes
    offline = Out(f"{prefix}/status", payload.OFFLINE, retain=True)
    return Form(
        record=partial(_record, config, gateway, prefix),
        shorter=partial(_shorter, gateway, prefix, partial(_record, config, gateway, prefix)),
        birth=lambda catalogue: (Out(f"{prefix}/birth", packed(payload.birth(catalogue), above), retain=True),),
        hello=(Out(f"{prefix}/status", payload.ONLINE, retain=True),),
        goodbye=(offline,),
        will=offline,
        raw=lambda asset, content: (Out(f"{prefix}/raw/{asset}", packed(content, 0)),),
        request=f"{prefix}/request",
        answer=lambda content: Out(f"{prefix}/answer", content),
    )


def prefix_of(config: Config, gateway: str) -> str:
    """What all our topics begin with, those we listen to as well."""
    return config.prefix or f"edgetwin/{gateway}"


def _record(config: Config, gateway: str, prefix: str, record: Record) -> Said:
    message = payload.message(gateway, record, config.figures, config.layout)
    content = packed(message.content, config.compress_above_bytes)
    outs = (Out(f"{prefix}/{record.class_}/{record.asset}", content),)
    if not message.key:
        return Said(outs)
    names = _names(gateway, record.asset, message.names, message.key, config.compress_above_bytes)
    return Said(outs, (Out(f"{prefix}/names/{record.asset}", names, retain=True),))


def _shorter(gateway: str, prefix: str, full: Callable[[Record], Said], record: Record, largest: float) -> Said:
    """Compressed if that is enough; else only that there is this record, which stays in the journal for its time."""
    said = full(record)
    (out,) = said.outs
    squeezed = replace(out, payload=packed(out.payload, 0) if out.payload[:1] == b"{" else out.payload)
    if len(squeezed.topic) + len(squeezed.payload) <= largest:
        return replace(said, outs=(squeezed,))
    why = f"{len(squeezed.payload)} bytes, and the broker takes {largest:.0f} at once"
    return Said((Out(out.topic, payload.unreadable(gateway, record, why)),))


@lru_cache(maxsize=64)  # the same for each window of an asset
def _names(gateway: str, asset: str, names: tuple[str, ...], key: str, above_bytes: int | None) -> bytes:
    return packed(payload.names_of(gateway, asset, names, key), above_bytes)
