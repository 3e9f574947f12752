"""What a host commands: to be born again. Everything else is refused, and written down that it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


def read(content: bytes, of_node: bool, named: Callable[[int], str]) -> Commands:
    """NCMD (`of_node`), DCMD; `named` gives a metric's name by its alias. ValueError: not a payload."""
    metrics = decoded(content).metrics
    known = [m for m in metrics if of_node and m.name == REBIRTH]
    others = [m for m in metrics if not (of_node and m.name == REBIRTH)]
    said = [(m.name[:200] or named(m.alias), _text(m)) for m in others[:MOST]]
    if len(others) > MOST:
        said.append((f"and {len(others) - MOST} more", ""))
    return Commands(any(m.boolean_value for m in known), tuple(said))


def requests(commands: Commands, device: str, gateway: str, first: int) -> Iterator[Request]:
    """What the gate is asked: a write of each, which no cloud may; it refuses, and audits that it was asked."""
    for number, (metric, value) in enumerate(commands.others, first):
        target = metric if not device or metric.startswith(f"{device}/") else f"{device}/{metric}"
        yield Request(f"sparkplug-{number}", "write", target, f"cloud:{gateway}", {"value": value})


def _text(metric: Any) -> str:
    field = metric.WhichOneof("value")
    return str(getattr(metric, field))[:100] if field and not metric.is_null else "null"
