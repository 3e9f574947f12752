"""MQTT: events and summaries to a broker at least once (QoS 1), from the journal by cursor.

<prefix>/event/<asset>     each event at once              <prefix>/birth    retained: what every point is
<prefix>/summary/<asset>   each closed window              <prefix>/status   retained: {"online": true or false}
<prefix>/names/<asset>     retained, with `layout: columns`: the tags in the order of a summary's columns

link.py   one connection                         form.py      where what goes
session.py   the loops on it                     payload.py, tags.py   what a message says
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import pydantic

from agent.config.hosts import on_this_machine
from agent.config.model import Model
from agent.core.nouns import Answer, Request

if TYPE_CHECKING:
    from agent.runtime.taps import Taps

__all__ = ["FIGURES", "Ask", "Config", "Figure", "Format", "Layout", "run"]

Figure = Literal["min", "mean", "max", "last", "std", "good"]
FIGURES: tuple[Figure, ...] = get_args(Figure)
Layout = Literal["named", "columns"]
Format = Literal["own", "sparkplug_b", "thingsboard", "aws", "azure", "uns"]
Ask = Callable[[Request], Awaitable[Answer]]

# The module below this package that speaks each format.
SPOKEN_BY: dict[Format, str] = {
    "own": "session",
    "sparkplug_b": "sparkplug",
    "thingsboard": "profiles",
    "aws": "profiles",
    "azure": "profiles",
    "uns": "profiles",
}


class Config(Model):
    """One broker. Without TLS only on this machine: what passes a network is encrypted."""

    type: Literal["mqtt"] = "mqtt"
    id: str = "mqtt"
    format: Format = pydantic.Field(
        "own",
        description="own: compact JSON that any parser reads. sparkplug_b: a Sparkplug B 3.0 edge node. thingsboard, "
        "aws, azure: what these platforms expect. uns: a unified namespace, retained values by the asset's path",
    )
    host: str = pydantic.Field(description="Name or address of the broker")
    port: int | None = pydantic.Field(None, ge=1, le=65535, description="Unset: 8883 with TLS, 1883 without")
    tls: bool = pydantic.Field(False, description="Encrypt; needed unless the broker is on this machine")
    ca_file: Path | None = pydantic.Field(
        None, description="Who may vouch for the broker (PEM); unset: the system's list"
    )
    cert_file: Path | None = pydantic.Field(None, description="Our certificate (PEM), where the broker asks for one")
    key_file: Path | None = pydantic.Field(None, description="The key of our certificate (PEM)")
    user: str | None = pydantic.Field(None, description="User name, where the broker asks for one")
    password_file: Path | None = pydantic.Field(None, description="A file with the password and nothing else")
    client_id: str = pydantic.Field(
        "", description="Unset: the gateway's id. Two clients of one id push each other out"
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

    @pydantic.model_validator(mode="after")
    def _closed(self) -> Config:
        if not self.tls and not on_this_machine(self.host):
            raise ValueError(f"{self.host} is not on this machine, expected tls: true (plain MQTT only to loopback)")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together, expected both or none")
        if not self.tls and (self.ca_file or self.cert_file):
            raise ValueError("ca_file, cert_file and key_file are of TLS, expected tls: true")
        if self.password_file is not None and self.user is None:
            raise ValueError("password_file needs user")
        return self

    @property
    def where(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port or (8883 if self.tls else 1883)


async def run(config: Config, taps: Taps, ask: Ask) -> None:
    """Publish until cancelled or, when the daemon drains, until everything is acknowledged. Reconnects by itself.

    Meters: <id>/connected, /published, /acknowledged, /pending, /errors, /reconnects.
    """
    spoken = importlib.import_module(f"{__name__}.{SPOKEN_BY[config.format]}")  # aiomqtt costs 200 ms of import
    await spoken.run(config, taps, ask)
