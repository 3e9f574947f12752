"""A source's own stamps (UTC as it believes) mapped to our monotonic axis by the smallest delay seen. Pure.

With r the time of receipt on our axis, s the source's stamp, and m the smallest r - s seen on this connection:

    m_k = min(m_{k-1} + ρ·(r_k - r_{k-1}),  r_k - s_k)        t_k = s_k + m_k  ≤  r_k

ρ lets m rise again at the rate at which two quartz clocks may drift apart. The fastest message had a delay near zero,
so t is late by no more than that one's delay. A source clock set forward makes m smaller at once. One set backward
makes every delay longer by the step: when the smallest delay of one fold is more than `bound_ns` above m, the map
begins anew with that fold. Feed it stamps of changes as they are notified, not those of old values read again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core.nouns import I8

DRIFT_PER_MILLION = 100
BOUND_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class StampMap:
    """`smallest_ns`: the smallest r - s, None before the first stamp; `restarts`: steps of the source's clock."""

    smallest_ns: int | None = None
    received_ns: int = 0
    restarts: int = 0


def fold(state: StampMap, received_ns: I8, source_ns: I8, bound_ns: int = BOUND_NS) -> tuple[StampMap, I8]:
    """The new state, and the stamps i8[k] on our axis: never later than `received_ns` i8[k].

    `source_ns` i8[k] is UTC since 1970; where it is 0 (the source gave none) the time of receipt stands.
    """
    stamped = source_ns != 0
    if not stamped.any():
        return state, received_ns.copy()
    delay = int((received_ns[stamped] - source_ns[stamped]).min())
    newest = int(received_ns[stamped].max())
    smallest, restarts = delay, state.restarts
    if state.smallest_ns is not None:
        risen = state.smallest_ns + max(0, newest - state.received_ns) * DRIFT_PER_MILLION // 1_000_000
        stepped = delay - risen > bound_ns
        smallest = delay if stepped else min(risen, delay)
        restarts += int(stepped)
    mapped = np.where(stamped, np.minimum(source_ns + smallest, received_ns), received_ns)
    return StampMap(smallest, max(newest, state.received_ns), restarts), mapped
