"""What a host commands: to be born again. Everything else is refused, and written down that it was asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.core.nouns import Request
from agent.sinks.mqtt.sparkplug.payload import REBIRTH
from agent.sinks.mqtt.sparkplug.proto import decoded

MOST = 10  # of one message, that are written down one by one


@dataclass(frozen=True, slots=True)
class Commands:
    """Of one message: whether a rebirth is asked for, and (metric, value as text) of all else."""

    rebirth: bool
    others: tuple[tuple[str, str], ...]


def read(content: bytes, of_node: bool, names: Mapping[int, str]) -> Commands:
    """NCMD (`of_node`), DCMD; `names` by alias. ValueError: not a payload."""
    asked = [(_name(metric, names), metric) for metric in decoded(content).metrics]
    known = [metric for name, metric in asked if of_node and name == REBIRTH]
    others = [(name, _text(metric)) for name, metric in asked if not (of_node and name == REBIRTH)]
    if len(others) > MOST:
        others[MOST:] = [(f"and {len(others) - MOST} more", "")]
    return Commands(any(metric.boolean_value for metric in known), tuple(others))


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
