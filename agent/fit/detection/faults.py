"""Faults put into healthy rows, to choose and to report without labels: what a sensor or a part may do to one or two
tags. Sizes are in spreads of a tag's healthy rows. Seeded: the same rows give the same faults.

    step     the tag reads off by the size
    drift    off by a growing amount, the size at the middle
    freeze   the tag stands still
    noise    white noise of the size comes on top
    lost     the tag reads as at another time: its own values, but no longer those that go with the others
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8

KINDS = ("step", "drift", "freeze", "noise", "lost")
SIZES = (0.5, 1.0, 2.0, 4.0)
SIZED = ("step", "drift", "noise")


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to which tags (columns), how large, from which row on."""

    kind: str
    tags: tuple[int, ...]
    size: float
    onset: int


def drawn(count: int, tags: int, onset: int, draw: np.random.Generator) -> list[Fault]:
    """So many faults, kinds and sizes in turn; every third in two tags; each tag about as often."""
    order = np.concatenate([draw.permutation(tags) for _ in range(2 * count // tags + 2)])
    found = []
    for i in range(count):
        pair = i % 3 == 2 and tags > 1
        chosen = dict.fromkeys(int(tag) for tag in order[2 * i : 2 * i + 1 + pair])
        found.append(Fault(KINDS[i % len(KINDS)], tuple(chosen), SIZES[i // len(KINDS) % len(SIZES)], onset))
    return found


def put(fault: Fault, rows: F8, elsewhere: F8, scale: F8, draw: np.random.Generator) -> F8:
    """Unbroken healthy rows f8[n, C] with a fault in them; elsewhere f8[>= n, C]: rows of another time."""
    out = rows.copy()
    left = len(rows) - fault.onset
    for tag in fault.tags:
        size = fault.size * scale[tag] * draw.choice([-1.0, 1.0])
        out[fault.onset :, tag] = _changed(fault.kind, rows[fault.onset :, tag], elsewhere[:left, tag], size, draw)
    return out


def _changed(kind: str, value: F8, other: F8, size: float, draw: np.random.Generator) -> F8:
    if kind == "step":
        return value + size
    if kind == "drift":
        return value + size * np.linspace(0.0, 2.0, len(value))
    if kind == "freeze":
        return np.full_like(value, value[0])
    if kind == "noise":
        return value + size * draw.normal(size=len(value))
    return other


def named(fault: Fault, tags: Sequence[str]) -> str:
    """The fault in words."""
    size = f" {fault.size:g}" if fault.kind in SIZED else ""
    return f"{fault.kind}{size} in {' and '.join(tags[tag] for tag in fault.tags)}"
