"""What a Sparkplug edge node is told: the key `sparkplug` of a sink `type: mqtt`, `format: sparkplug_b`."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from agent.config.model import Model


def _level(word: str) -> str:
    """Part of a topic: tck-id-topic-structure-namespace-valid-group-id, -valid-edge-node-id."""
    if not word or set(word) & set("+#/\0"):
        raise ValueError(f"{word!r} is no level of a topic, expected a name without + # /")
    return word


Level = Annotated[str, pydantic.AfterValidator(_level)]
History = Literal["raw", "off"]


class Settings(Model):
    """Who we are to Sparkplug hosts, and how much we tell them. A device of the edge node is an asset."""

    group_id: Level = pydantic.Field(description="Sparkplug group, the second level of each topic; no + # /")
    edge_node_id: Level | None = pydantic.Field(
        None, description="Name of this gateway in its group, which no other may have; unset: the gateway's id"
    )
    primary_host: Level | None = pydantic.Field(
        None,
        description="Host without which nothing is published: while spBv1.0/STATE/<host> does not say that it is "
        "online, values wait in the journal. Unset: publish to whoever listens",
    )
    host_wait_s: float = pydantic.Field(
        30.0, gt=0, le=3600, description="So long a broker may be without the primary host; then the next one is tried"
    )
    interval_s: float = pydantic.Field(
        0.0, ge=0, le=3600, description="Least time between two data messages of an asset; 0: each of its cycles"
    )
    node_interval_s: float = pydantic.Field(
        10.0, ge=0, le=3600, description="The same of the gateway's own values, which are those of the edge node"
    )
    rebirth_debounce_s: float = pydantic.Field(
        5.0, ge=0, le=300, description="Rebirths asked for within so long after a birth are answered once, at its end"
    )
    history: History = pydantic.Field(
        "raw",
        description="raw: what changed while nobody could be told is sent later, marked historical; it needs raw "
        "history in the journal. off: hosts have a gap there",
    )
    history_s: float = pydantic.Field(
        86_400.0, gt=0, description="What is older when it could be told is not told any more (it stays in the journal)"
    )
    history_values_per_s: int = pydantic.Field(
        2000, ge=1, le=1_000_000, description="Historical values are sent at this rate, live ones at once"
    )
