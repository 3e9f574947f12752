"""What a machine will be asked to do: profiles of its inputs that repeat, and what the recent hours looked like."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from agent.core.nouns import F8


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """A way the machine may be used: u f8[rows,m], each row held for `step_s`, then from the beginning again.

    weight (> 0): how likely it is beside the others.
    """

    name: str
    weight: float
    step_s: float
    u: F8


@dataclass(frozen=True, slots=True, eq=False)
class Recent:
    """The newest hours: u f8[slots,m], a ring of means over `slot_s` of which `filled` stand and `next` comes next; sum
    f8[m] and seen_s of the slot that is open."""

    u: F8
    filled: int
    next: int
    sum: F8
    seen_s: float


def nothing_yet(slots: int, m: int) -> Recent:
    """No hours seen."""
    return Recent(np.zeros((slots, m)), 0, 0, np.zeros(m), 0.0)


def remember(recent: Recent, u: F8, dt_s: float, slot_s: float) -> Recent:
    """The hours after inputs u f8[m] (absent ones NaN: that time does not count) stood for dt_s."""
    if not len(recent.u) or not np.isfinite(u).all():
        return recent
    total, seen_s = recent.sum + u * dt_s, recent.seen_s + dt_s
    if seen_s < slot_s:
        return replace(recent, sum=total, seen_s=seen_s)
    ring = recent.u.copy()
    ring[recent.next] = total / seen_s
    slots = len(ring)
    return Recent(ring, min(recent.filled + 1, slots), (recent.next + 1) % slots, np.zeros_like(total), 0.0)


def as_recently(recent: Recent, slot_s: float) -> tuple[Scenario, ...]:
    """The recent hours again and again, oldest first; empty where none were seen."""
    if not recent.filled:
        return ()
    order = np.roll(recent.u, -recent.next, axis=0)[-recent.filled :]
    return (Scenario("as recently", 1.0, slot_s, order),)


def means(columns: F8, step_s: float, at_s: F8) -> F8:
    """Means of a repeated profile f8[rows,c], each row held for step_s, between the times at_s f8[g+1]: f8[g,c]."""
    edges = np.arange(len(columns) + 1) * step_s
    total = np.vstack([np.zeros(columns.shape[1]), np.cumsum(columns * step_s, axis=0)])
    rounds, rest = np.divmod(at_s, edges[-1])
    within = np.stack([np.interp(rest, edges, column) for column in total.T], axis=1)
    integral = rounds[:, None] * total[-1] + within
    return np.asarray(np.diff(integral, axis=0) / np.diff(at_s)[:, None], np.float64)
