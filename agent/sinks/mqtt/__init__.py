"""MQTT: events and summaries to a broker at least once (QoS 1), from the journal by cursor.

<prefix>/event/<asset>     each event at once              <prefix>/birth    retained: what every point is
<prefix>/summary/<asset>   each closed window              <prefix>/status   retained: {"online": true or false}
<prefix>/names/<asset>     retained, with `layout: columns`: the tags in the order of a summary's columns
<prefix>/raw/<asset>       raw history around alarms       <prefix>/answer   to what was asked on <prefix>/request

form.py      where what goes                  payload.py, tags.py, envelope.py   what a message says
link.py      one connection                   brokers.py   which broker, and when to try again
session.py   what goes on on a connection     sending.py, bucket.py   from the journal to the broker
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import pydantic

from agent.config.hosts import on_this_machine
from agent.config.model import Model
from agent.core.nouns import Answer, Meter, Request
from agent.sinks.mqtt import demands
from agent.sinks.mqtt.faults import WORDS
from agent.sinks.mqtt.sparkplug.settings import Settings as Sparkplug

if TYPE_CHECKING:
    from agent.runtime.taps import Taps

__all__ = ["FIGURES", "Ask", "Config", "Figure", "Format", "Layout", "Place", "meters", "run"]

Figure = Literal["min", "mean", "max", "last", "std", "good"]
FIGURES: tuple[Figure, ...] = get_args(Figure)
Layout = Literal["named", "columns"]
Format = Literal["own", "sparkplug_b", "thingsboard", "aws", "azure", "uns"]
Acknowledge = Literal["broker", "end_to_end"]
Place = tuple[str, int]  # host and port
Ask = Callable[[Request], Awaitable[Answer]]
Wish = Literal["resend", "raw", "status", "ack"]

# The module below this package that speaks each format.
SPOKEN_BY: dict[Format, str] = {
    "own": "session",
    "sparkplug_b": "sparkplug",
    "thingsboard": "profiles",
    "aws": "profiles",
    "azure": "profiles",
    "uns": "profiles",
}


class RawAroundEvent(Model):
    """So much raw history around the beginning of each alarm or alert goes to <prefix>/raw/<asset>."""

    before_s: float = pydantic.Field(60.0, ge=0, le=86400, description="So much before it, in s")
    after_s: float = pydantic.Field(60.0, ge=0, le=3600, description="So much after it, in s")
    categories: tuple[Literal["alarm", "alert", "event"], ...] = pydantic.Field(
        ("alarm", "alert"), min_length=1, description="Around the beginning of conditions of these categories"
    )


# Keys of the other formats: its messages, topics and acknowledgement are as the specification has them.
NOT_OF_SPARKPLUG = frozenset({
    "prefix", "figures", "layout", "acknowledge", "confirm_timeout_s", "backlog_bytes_per_s", "compress_above_bytes",
    "return_after_s",
})  # fmt: skip

OF_SPARKPLUG = (
    Meter("births", "1", "Births of the edge node: one a connection, one for each that hosts asked for"),
    Meter("historical", "1", "Values told after their time, marked historical"),
    Meter("untold", "1", "Snapshots that were not told any more: too old, or of an unknown time or layout"),
    Meter("refused", "1", "Commands that were refused"),
)
OF_OTHERS = (
    Meter("too_large", "1", "Records larger than the broker takes: sent compressed, or only that they are there"),
    Meter("raw_blocks", "1", "Blocks of raw history sent: around alarms, and asked for"),
    Meter("requests", "1", "What the cloud has asked for, refused or not"),
    Meter("unconfirmed", "1", "Records sent that the receiving end has not confirmed (acknowledge: end_to_end)"),
)


class Config(Model):
    """One broker, or several in order. Without TLS only on this machine: what passes a network is encrypted."""

    type: Literal["mqtt"] = "mqtt"
    id: str = "mqtt"
    format: Format = pydantic.Field(
        "own",
        description="own: compact JSON that any parser reads. sparkplug_b: a Sparkplug B 3.0 edge node. thingsboard, "
        "aws, azure: what these platforms expect. uns: a unified namespace, retained values by the asset's path",
    )
    host: str | None = pydantic.Field(None, description="Name or address of the broker")
    port: int | None = pydantic.Field(None, ge=1, le=65535, description="Unset: 8883 with TLS, 1883 without")
    brokers: tuple[str, ...] = pydantic.Field(
        (),
        description="Instead of host: several, host or host:port each, the best first. After a failure it is the next "
        "one's turn",
    )
    return_after_s: float = pydantic.Field(
        300.0, ge=1, le=86400, description="On a later broker: how often those before it are tried, to go back to them"
    )
    tls: bool = pydantic.Field(False, description="Encrypt; needed unless the broker is on this machine")
    ca_file: Path | None = pydantic.Field(
        None, description="Who may vouch for the broker (PEM); unset: the system's list"
    )
    cert_file: Path | None = pydantic.Field(None, description="Our certificate (PEM), where the broker asks for one")
    key_file: Path | None = pydantic.Field(None, description="The key of our certificate (PEM)")
    alpn: tuple[str, ...] = pydantic.Field(
        (), description="Protocol names offered in TLS, for a broker behind a port that others use too (443)"
    )
    user: str | None = pydantic.Field(None, description="User name, where the broker asks for one")
    user_file: Path | None = pydantic.Field(
        None, description="Instead of user, where that is a secret (ThingsBoard's access token): a file with it"
    )
    shared_access_key_file: Path | None = pydantic.Field(
        None, description="Azure IoT Hub: a file with the device's primary key; tokens of a day are made of it"
    )
    password_file: Path | None = pydantic.Field(None, description="A file with the password and nothing else")
    client_id: str = pydantic.Field(
        "", description="Unset: the gateway's id (of sparkplug_b, and this sink's). Two of one id push each other out"
    )
    version: Literal["5", "3.1.1"] = pydantic.Field("5", description="Of MQTT; 5 also tells why a message was refused")
    prefix: str = pydantic.Field("", description="Of all topics; unset: edgetwin/<gateway id>")
    keepalive_s: int = pydantic.Field(30, ge=5, le=3600, description="A dead connection is found in 1.5 times this")
    acknowledge_timeout_s: float = pydantic.Field(
        10.0,
        gt=0,
        le=300,
        description="A message the broker has not acknowledged by then is sent again, on a new connection",
    )
    figures: tuple[Figure, ...] = pydantic.Field(
        FIGURES, min_length=1, description="What a summary says of each tag; fewer of them spare a metered line"
    )
    layout: Layout = pydantic.Field(
        "named",
        description="Of a summary. named: each tag's name with its figures. columns: each figure's values in a row, "
        "half the bytes or less; which tag stands where is told before, retained, under <prefix>/names/<asset>",
    )
    acknowledge: Acknowledge = pydantic.Field(
        "broker",
        description="Who must have a record before it counts as sent. end_to_end: the receiving end, which says so on "
        "<prefix>/stored once its database has it (edgetwin ingest does)",
    )
    confirm_timeout_s: float = pydantic.Field(
        60.0, ge=1, le=86400, description="With end_to_end: what is not confirmed by then is sent again"
    )
    backlog_bytes_per_s: float = pydantic.Field(
        250_000.0,
        gt=0,
        description="How fast what was stored during an outage follows, beside what happens now, which never waits for "
        "it. Of payloads, before compression",
    )
    backlog_messages_per_s: float | None = pydantic.Field(
        None, gt=0, description="And no more messages of it a second than that, where the broker counts them"
    )
    compress_above_bytes: int | None = pydantic.Field(
        None, ge=64, description="Longer payloads are compressed (zlib: first byte 0x78, else {). Unset: none is"
    )
    raw_around_event: RawAroundEvent | None = pydantic.Field(
        None,
        description="Send what every tag did around each alarm, out of the raw history: {before_s: 60, after_s: 60}. "
        "The blocks of the journal that reach into it, each whole and once",
    )
    requests: tuple[Wish, ...] = pydantic.Field(
        ("resend", "raw", "status"),
        description="What may be asked for on <prefix>/request; `ack` too where alarms may be acknowledged from the "
        "cloud. Empty: nobody listens. Nothing that comes from there writes a register",
    )
    values_every_s: float = pydantic.Field(
        1.0, ge=0.05, le=86400, description="With uns: how often a value that changes is published at most"
    )
    sparkplug: Sparkplug | None = pydantic.Field(
        None,
        description="Of format: sparkplug_b, and needed there: group_id and more (edgetwin config options sparkplug)",
    )
    max_in_flight: int = pydantic.Field(20, ge=1, le=1000, description="Messages sent and not acknowledged yet")

    @pydantic.field_validator("prefix")
    @classmethod
    def _a_topic(cls, prefix: str) -> str:
        if prefix and (set(prefix) & set("+#\0") or prefix[0] in "/$" or prefix[-1] == "/"):
            raise ValueError(f"{prefix!r} cannot begin topics, expected words with / between, no + # or leading $")
        return prefix

    @pydantic.field_validator("figures")
    @classmethod
    def _each_once(cls, figures: tuple[Figure, ...]) -> tuple[Figure, ...]:
        if len(set(figures)) < len(figures):
            raise ValueError(f"{', '.join(figures)} names one twice, expected each once")
        return figures

    @pydantic.field_validator("brokers")
    @classmethod
    def _places(cls, brokers: tuple[str, ...]) -> tuple[str, ...]:
        for broker in brokers:
            _place(broker, 0)
        return brokers

    @pydantic.model_validator(mode="after")
    def _closed(self) -> Config:
        if bool(self.host) == bool(self.brokers):
            raise ValueError("the broker is missing, expected host or brokers" if not self.host else
                             "host and brokers are given, expected one of them")  # fmt: skip
        if self.brokers and self.port is not None:
            raise ValueError("port goes with host, expected host:port in brokers")
        for host, _ in self.places:
            if not self.tls and not on_this_machine(host):
                raise ValueError(f"{host} is not on this machine, expected tls: true (plain MQTT only to loopback)")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together, expected both or none")
        if not self.tls and (self.ca_file or self.cert_file):
            raise ValueError("ca_file, cert_file and key_file are of TLS, expected tls: true")
        named = self.user or self.user_file or self.format == "azure"
        if self.password_file is not None and not named:
            raise ValueError("password_file needs user")
        for problem in demands.problems(self):
            raise ValueError(problem)
        return self

    @pydantic.model_validator(mode="after")
    def _of_its_format(self) -> Config:
        if (self.format == "sparkplug_b") != (self.sparkplug is not None):
            raise ValueError("format: sparkplug_b and the key sparkplug (group_id at least) go together")
        strange = sorted(self.model_fields_set & NOT_OF_SPARKPLUG) if self.sparkplug is not None else []
        if strange:
            raise ValueError(f"{', '.join(strange)}: not of format sparkplug_b, expected without")
        return self

    @property
    def places(self) -> tuple[Place, ...]:
        """Host and port of each broker, in order."""
        otherwise = self.port or (8883 if self.tls else 1883)
        return tuple(_place(broker, otherwise) for broker in self.brokers) or ((self.host or "", otherwise),)


def _place(broker: str, otherwise: int) -> Place:
    """`host`, `host:port`, `[v6]`, `[v6]:port` or an IPv6 address alone."""
    host, colon, port = broker.rpartition(":") if broker.count(":") == 1 or "]:" in broker else (broker, "", "")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (
        not host
        or set("[]/ ") & set(host)
        or (colon and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535))
    ):
        raise ValueError(f"{broker!r} names no broker, expected host or host:port")
    return host, int(port) if colon else otherwise


def advice(config: Config, raw: bool) -> list[str]:
    """What is allowed and better done otherwise; `raw`: whether the journal keeps raw history."""
    if config.sparkplug is not None and config.sparkplug.history == "raw" and not raw:
        return ["sparkplug tells hosts nothing of an outage without raw history, expected journal: {raw: true} or "
                "history: off"]  # fmt: skip
    if config.raw_around_event is not None and not raw:
        return ["raw_around_event has nothing to send, expected journal: {raw: true}"]
    return []


def meters(config: Config) -> tuple[Meter, ...]:
    """What is counted of it: connection (brokers.py), sending (sending.py)."""
    addresses = {n: f"{host}:{port}" for n, (host, port) in enumerate(config.places, 1)}
    confirmed = "the receiving end" if config.acknowledge == "end_to_end" else "the broker"
    return (
        Meter("connected", "1", "1 while a broker answers"),
        Meter("broker", "1", "Which broker", {0: "none", **addresses}),
        Meter(
            "fault",
            "1",
            "What was wrong last, until a connection has held for 30 s",
            {int(fault): words for fault, words in WORDS.items()},
        ),
        Meter("taken_over", "1", "Times in a row that another client with our client id has pushed us out"),
        Meter("errors", "1", "Connections that failed or broke"),
        Meter("reconnects", "1", "Times it has tried again"),
        Meter("published", "1", "Messages sent"),
        Meter("acknowledged", "1", f"Records that {confirmed} has for good"),
        Meter("pending", "1", "Records that wait to be sent or acknowledged"),
        *(OF_SPARKPLUG if config.format == "sparkplug_b" else OF_OTHERS),
    )


async def run(config: Config, taps: Taps, ask: Ask) -> None:
    """Publish until cancelled or, when the daemon drains, until everything is acknowledged. Reconnects by itself.

    Meters: see `meters`.
    """
    spoken = importlib.import_module(f"{__name__}.{SPOKEN_BY[config.format]}")  # aiomqtt costs 200 ms of import
    await spoken.run(config, taps, ask)
