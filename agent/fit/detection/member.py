"""What a family makes of healthy features: an ellipsoid, and for some a memory of windows in front of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8
from agent.fit.detection import ellipsoid
from agent.fit.detection.ellipsoid import Ellipsoid


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """Remembered windows: rows f8[m, F] as (feature - centre) / spread; h: width of the kernel there."""

    centre: F8
    spread: F8
    rows: F8
    h: float


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One way to measure distance from the healthy windows; of residuals where there is a memory."""

    ellipsoid: Ellipsoid
    memory: Memory | None = None


def distance(member: Member, feature: F8) -> F8:
    """d of features f8[..., F]: f8[...]."""
    return np.sqrt(ellipsoid.distance2(member.ellipsoid, seen(member, feature)))


def explained(member: Member, feature: F8, tags: int) -> F8:
    """e of each tag: f8[..., C]."""
    return ellipsoid.explained(member.ellipsoid, seen(member, feature), tags)


def seen(member: Member, feature: F8) -> F8:
    """What the ellipsoid judges: the features, or what the memory leaves of them."""
    return feature if member.memory is None else residual(member.memory, feature)


def residual(memory: Memory, feature: F8) -> F8:
    """Features f8[..., F] less what the remembered windows near them read, in spreads.

    -|f - m|^2 / 2 h^2 = (f m' - |m|^2 / 2) / h^2 + what is the same for all m, which softmax does not see.
    """
    scaled = (feature - memory.centre) / memory.spread
    rise = (scaled @ memory.rows.T - 0.5 * np.square(memory.rows).sum(axis=1)) / memory.h**2
    weight = np.exp(rise - rise.max(axis=-1, keepdims=True))
    weight /= weight.sum(axis=-1, keepdims=True)
    return np.asarray(scaled - weight @ memory.rows)
