"""The functions of an expression that remember: each a fold over one operand's samples, the same however they are cut.

    rate(x)                 (x1 - x0) / (t1 - t0) of the two newest samples, per s
    integral(x)             sum of (t1 - t0) (x0 + x1) / 2, in the unit of x times s
    increase(x, rollover)   how far a counter went since the cycle before (that had a value)
    total(x)                sum of all samples
    hold(x, seconds)        the last usable value while x is Bad, for so long at most

A sample is (t_ns, x), x NaN where it is Bad. One that is not newer than the newest so far (late, or there twice) is
passed over. Over a Bad stretch nothing is known: rate and integral begin anew after it, a counter goes on counting.

A counter that steps back, with d = new + rollover - old the way through its rollover:
    d < rollover / 2        it rolled over: it went d             65530, 4      16 bits: rollover 65536, d = 10
    else, or no rollover    it was reset: it counts from 0        50000, 7      the PLC restarted, 7 counts since then
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from agent.core import quality

NAN = float("nan")
# A source's own stamp can lie before our boot, where time is negative.
NEVER = -(2**62)

Samples = Sequence[tuple[int, float]]


class Memory(NamedTuple):
    """What one function remembers: the newest sample (`value` NaN: none, or none to go on from) and a sum.

    `sum`: the integral, the total, the rate, or how far a counter went and nobody was told. `seen_ns`: the cycle in
    which a held value was last usable.
    """

    t_ns: int = NEVER
    value: float = NAN
    sum: float = 0.0
    seen_ns: int = NEVER


FRESH = Memory()


def rate(memory: Memory, samples: Samples, _: float) -> Memory:
    """`sum` is the newest rate per s, NaN before the second sample."""
    t_ns, value, slope = memory.t_ns, memory.value, memory.sum if memory.value == memory.value else NAN
    for at_ns, x in samples:
        if x != x:
            value, slope = NAN, NAN
        elif at_ns > t_ns:
            slope = (x - value) / ((at_ns - t_ns) * 1e-9)
            t_ns, value = at_ns, x
    return Memory(t_ns, value, slope)


def integral(memory: Memory, samples: Samples, _: float) -> Memory:
    """`sum` is the area so far, by trapezoids."""
    t_ns, value, area = memory.t_ns, memory.value, memory.sum
    for at_ns, x in samples:
        if x != x:
            value = NAN
        elif at_ns > t_ns:
            if value == value:
                area += (at_ns - t_ns) * 1e-9 * (0.5 * x + 0.5 * value)
            t_ns, value = at_ns, x
    return Memory(t_ns, value, area)


def increase(memory: Memory, samples: Samples, rollover: float) -> Memory:
    """`sum` is how far the counter went since `told`; the first sample ever is where it begins."""
    t_ns, value, way = memory.t_ns, memory.value, memory.sum
    for at_ns, x in samples:
        if x == x and at_ns > t_ns:
            way += 0.0 if value != value else counted(value, x, rollover)
            t_ns, value = at_ns, x
    return Memory(t_ns, value, way)


def counted(old: float, new: float, rollover: float) -> float:
    """How far a counter went from one reading to the next; `rollover` 0: each step back is a reset."""
    if new >= old:
        return new - old
    through = new + rollover - old
    return through if 0.0 < through < rollover / 2 else max(new, 0.0)


def told(memory: Memory) -> Memory:
    """A counter whose way was given out: it is counted anew from here."""
    return Memory(memory.t_ns, memory.value) if memory.sum else memory


def total(memory: Memory, samples: Samples, _: float) -> Memory:
    """`sum` of all samples."""
    t_ns, value, added = memory.t_ns, memory.value, memory.sum
    for at_ns, x in samples:
        if x == x and at_ns > t_ns:
            t_ns, value, added = at_ns, x, added + x
    return Memory(t_ns, value, added)


FOLDS: dict[str, Callable[[Memory, Samples, float], Memory]] = {
    "rate": rate,
    "integral": integral,
    "increase": increase,
    "total": total,
}


def hold(
    memory: Memory, t_ns: int, value: float, status: int, now_ns: int, seconds: float
) -> tuple[Memory, int, float, int]:
    """(memory, t_ns, value, status) of the newest value, or in the place of a Bad one of the last that was usable."""
    if not quality.is_bad(status):
        return Memory(t_ns, value, 0.0, now_ns), t_ns, value, status
    if math.isnan(memory.value) or now_ns - memory.seen_ns > seconds * 1e9:
        return memory, t_ns, value, status
    return memory, memory.t_ns, memory.value, quality.UNCERTAIN_LAST_USABLE_VALUE


def rebased(function: str, memory: Memory) -> Memory:
    """What is left of a memory on another time axis: sums and the reading of a counter; the rest begins anew."""
    if function in ("integral", "total"):
        return Memory(sum=memory.sum)
    return Memory(value=memory.value, sum=memory.sum) if function == "increase" else FRESH
