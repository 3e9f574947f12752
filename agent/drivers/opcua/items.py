"""What is asked for each tag: how its value is acquired, sampled and filtered; and tags that share one node. Pure.

acquire    both (unless said): subscribed, and confirmed by a read; read: only read, each scan; subscribe: never read
sampling   how often the server looks at its variable, in s; 0: as fast as it can
queue      values that the server keeps between two publishes
discard    which of them it drops if they are more: oldest (unless said) or newest
trigger    what is a change: status, value (or status; unless said), timestamp (or value or status)
deadband_percent   changes up to this share of the EURange are not passed on, in %
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8, Kind, Tag
from agent.drivers.opcua.node import Ref, address_of

Rows = npt.NDArray[np.intp]
WORDS = {
    "acquire": ("both", "read", "subscribe"),
    "discard": ("oldest", "newest"),
    "trigger": ("status", "value", "timestamp"),
}
NUMBERS = {"sampling": (0.0, 86_400.0), "queue": (1.0, 100_000.0), "deadband_percent": (0.0, 100.0)}
TAG_OPTIONS = {
    "acquire": "both (subscribed, and confirmed by a read), read (only read, each scan) or subscribe (never read)",
    "sampling": "How often the server looks at the value, in s; unset: as often as it publishes",
    "queue": "Values the server keeps between publishes; unset: enough for all that it samples",
    "discard": "Which it drops if they are more: oldest or newest",
    "trigger": "What counts as a change: status, value (with status) or timestamp (with both)",
    "deadband_percent": "Changes up to this share of the server's EURange are not passed on, in %",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """How a node is acquired. sampling_s, queue None: as the source says. deadband: for the server, in the raw unit.

    scan_s and phase_s stand only where the value is read by itself.
    """

    acquire: str = "both"
    sampling_s: float | None = None
    queue: int | None = None
    discard_oldest: bool = True
    trigger: str = "value"
    deadband: float = 0.0
    deadband_percent: float = 0.0
    scan_s: float = 0.0
    phase_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Item:
    """A node with what is wished for it; tags that agree in both share one."""

    ref: Ref
    wish: Wish


def wish_of(tag: Tag) -> Wish:
    """What a tag wishes. ValueError says what is wrong with its options."""
    options = tag.options
    for name, value in options.items():
        _sound(name, value)
    acquire = options.get("acquire", "both")
    alone = acquire == "read"
    return Wish(
        acquire,
        float(options["sampling"]) if "sampling" in options else None,
        int(float(options["queue"])) if "queue" in options else None,
        options.get("discard", "oldest") == "oldest",
        options.get("trigger", "value"),
        0.0 if address_of(tag.address).member else raw_deadband(tag),
        float(options.get("deadband_percent", 0.0)),
        tag.scan_s if alone else 0.0,
        tag.phase_s if alone else 0.0,
    )


def _sound(name: str, value: str) -> None:
    """ValueError where the value of an option is none; that its name is known, the configuration has checked."""
    if name in WORDS and value not in WORDS[name]:
        raise ValueError(f"option {name}={value}: expected {', '.join(WORDS[name])}")
    if name in NUMBERS:
        lo, hi = NUMBERS[name]
        if not lo <= _number(value) <= hi:
            raise ValueError(f"option {name}={value}: expected a number from {lo:g} to {hi:g}")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The items of a tag list.

    of intp[n]: the item of each tag (-1: none); the tags of item i: count[i] of `rows` from start[i].
    """

    items: tuple[Item, ...]
    of: npt.NDArray[np.intp]
    rows: Rows
    start: Rows
    count: Rows

    def spread(self, which: Rows) -> tuple[Rows, Rows]:
        """For items, one after the other (one may come twice): the place of each in `which`, and the tag rows."""
        counts = self.count[which]
        place = np.repeat(np.arange(len(which)), counts)
        within = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)
        return place, self.rows[self.start[which][place] + within]

    def where(self, acquire: str) -> Rows:
        """The items that are acquired so."""
        return np.array([i for i, item in enumerate(self.items) if item.wish.acquire == acquire], np.intp)


def plan(tags: Sequence[Tag], wrong: frozenset[int] = frozenset()) -> Plan:
    """The items of these tags, but those of the rows in `wrong`, whose addresses cannot be read."""
    found: dict[Item, list[int]] = {}
    for row, tag in enumerate(tags):
        if row not in wrong:
            found.setdefault(Item(address_of(tag.address).node, wish_of(tag)), []).append(row)
    of = np.full(len(tags), -1, np.intp)
    for n, rows in enumerate(found.values()):
        of[rows] = n
    count = np.array([len(rows) for rows in found.values()], np.intp)
    flat = np.array([row for rows in found.values() for row in rows], np.intp)
    return Plan(tuple(found), of, flat, np.cumsum(count) - count, count)


def periods(plan: Plan) -> Mapping[tuple[float, float], Rows]:
    """The items that are only read, by (scan_s, phase_s)."""
    found: dict[tuple[float, float], list[int]] = {}
    for n, item in enumerate(plan.items):
        if item.wish.acquire == "read":
            found.setdefault((item.wish.scan_s, item.wish.phase_s), []).append(n)
    return {when: np.array(which, np.intp) for when, which in found.items()}


def raw_deadband(tag: Tag) -> float:
    """The deadband in the unit of the device: |deadband / scale|; 0 where the tag is no number."""
    return abs(tag.deadband / tag.scale) if tag.scale and tag.kind in (Kind.NUMBER, Kind.ENUMERATION) else 0.0


def deadbands(plan: Plan, tags: Sequence[Tag]) -> tuple[F8, F8]:
    """(deadband, unheard) f8[n] in the raw unit: the change of a tag that is none, and that no subscription must tell.

    The server alone knows what a deadband in percent is, and with trigger=status it tells no change of a value.
    """
    deadband = np.array([raw_deadband(tag) for tag in tags], np.float64)
    wishes = [plan.items[i].wish if i >= 0 else Wish() for i in plan.of]
    deaf = np.array([w.trigger == "status" or w.deadband_percent > 0 for w in wishes], np.bool_)
    return deadband, np.where(deaf, np.inf, deadband)
