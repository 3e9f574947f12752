"""What a host commands: to be born again. Everything else is refused, and written down that it was asked."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.core.nouns import Request
from agent.sinks.mqtt.sparkplug.payload import REBIRTH
from agent.sinks.mqtt.sparkplug.proto import decoded

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Commands:
    """Of one message: whether a rebirth is asked for, and (metric, value as text) of all else."""

    rebirth: bool
    others: tuple[tuple[str, str], ...]


def read(content: bytes, names: Mapping[int, str]) -> Commands:
    """NCMD, DCMD; `names` by alias. ValueError: not a payload."""
    asked = [(_name(metric, names), metric) for metric in decoded(content).metrics]
    rebirth = any(name == REBIRTH and metric.boolean_value for name, metric in asked)
    return Commands(rebirth, tuple((name, _text(metric)) for name, metric in asked if name != REBIRTH))


def requests(commands: Commands, device: str, gateway: str, first: int) -> Iterator[Request]:
    """What the gate is asked: a write of each, which no cloud may; it refuses, and audits that it was asked."""
    for number, (metric, value) in enumerate(commands.others, first):
        target = f"{device}/{metric}" if device else metric
        yield Request(f"sparkplug-{number}", "write", target, f"cloud:{gateway}", {"value": value})


def _name(metric: Any, names: Mapping[int, str]) -> str:
    return metric.name[:200] or names.get(metric.alias, f"alias {metric.alias}")


def _text(metric: Any) -> str:
    field = metric.WhichOneof("value")
    return str(getattr(metric, field))[:100] if field and not metric.is_null else "null"
