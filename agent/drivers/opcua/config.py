"""What can be set for an OPC UA server, and what is wrong with its tags before any server is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import pydantic

from agent.core.nouns import Tag
from agent.drivers.opcua.items import wish_of
from agent.drivers.opcua.node import address_of
from agent.drivers.opcua.secure.security import Security

# Of the check period: a server that dies right after a check is Bad within two periods.
TIMEOUT_SHARE = 0.8
# The types of a tag that mean something here: the server tells how many bits and bytes there are.
KNOWN_TYPES = re.compile(r"(bool|u?int(8|16|32|64)|float(16|32|64))(\[\d*\])?$|string(\(\d+\))?$")


class Config(Security):
    """One OPC UA server: one session."""

    type: Literal["opcua"]
    publishing_s: float | None = pydantic.Field(
        None, gt=0, le=3600, description="Publishing interval; unset: half the fastest scan"
    )
    queue_size: int = pydantic.Field(
        50, ge=1, le=10_000, description="Values the server keeps of a tag between publishes, at least"
    )
    check_s: float | None = pydantic.Field(
        None, gt=0, le=3600, description="Period of the read that confirms all values; unset: the fastest scan"
    )
    retry_refused_s: float = pydantic.Field(
        60.0, gt=0, description="When a node that the server refused is tried again"
    )

    max_nodes_per_read: int | None = pydantic.Field(None, ge=1, description="Unset: as the server says, at most 1000")
    max_nodes_per_write: int | None = pydantic.Field(None, ge=1, description="Unset: as the server says")
    max_nodes_per_browse: int | None = pydantic.Field(None, ge=1, description="Unset: as the server says, at most 200")
    max_nodes_per_translate: int | None = pydantic.Field(None, ge=1, description="Browse paths a call; as the others")
    max_items_per_call: int | None = pydantic.Field(None, ge=1, description="Monitored items a call; as the others")
    max_items_per_subscription: int | None = pydantic.Field(
        None, ge=1, description="More go to a further subscription; unset: as the server says"
    )

    def chosen_limits(self) -> dict[str, int | None]:
        """What was chosen in the place of the server's own limits, by name of the service."""
        return {
            "read": self.max_nodes_per_read,
            "write": self.max_nodes_per_write,
            "monitor": self.max_items_per_call,
            "translate": self.max_nodes_per_translate,
            "browse": self.max_nodes_per_browse,
            "subscription": self.max_items_per_subscription,
        }

    def check_period(self, tags: Sequence[Tag]) -> float:
        """Seconds between reads that confirm all values."""
        return self.check_s if self.check_s is not None else min((t.scan_s for t in tags), default=1.0)

    def publishing(self, tags: Sequence[Tag]) -> float:
        """Publishing interval in seconds."""
        fastest = min((t.scan_s for t in tags), default=1.0)
        return self.publishing_s if self.publishing_s is not None else max(0.05, fastest / 2)


def check(config: Config, tags: Sequence[Tag]) -> list[tuple[int, str]]:
    """What is wrong with tags, as (tag index, message), without asking the server."""
    return [(i, text) for i, tag in enumerate(tags) if (text := _problem(tag))]


def _problem(tag: Tag) -> str:
    try:
        address_of(tag.address)
        wish_of(tag)
    except ValueError as error:
        return str(error)
    if not KNOWN_TYPES.match(tag.type):
        return f"type {tag.type} is of Modbus, expected bool, a number such as float64, string, or an array of numbers"
    return "" if tag.scan_s > 0 else f"scan {tag.scan_s:g} s is not a period, expected more than 0"
