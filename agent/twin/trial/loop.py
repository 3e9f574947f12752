"""The PLC's part of a machine: PI loops and interlocks, emulated for many particles at once.

    v = K (b r - y) + I                       two degrees of freedom (Åström & Hägglund 2006, chapter 3)
    u = v, within [low, high] and within rate T of the last u
    I <- I + K T / Ti (r - y)                 only while u = v, or where that leads back to it

The last line is the anti-windup that most PLC blocks have (conditional integration). A loop takes over without a bump:
I is set so that v is the present u. In a twin file this is the section "control".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8, Mask


@dataclass(frozen=True, slots=True)
class Loop:
    """A PI controller. measured: the output it reads; manipulated: the input it moves; setpoint: the tag that states r
    ("": held where the output is now).

    gain: K, units of the input per unit of the output (negative where more input lowers the output); reset_s: Ti;
    weight: b; low, high: of the input (NaN: none); rate: of the input per second (NaN: none); period_s: T (0: each
    period of the twin).
    """

    measured: str
    manipulated: str
    gain: float
    reset_s: float
    setpoint: str = ""
    weight: float = 1.0
    low: float = math.nan
    high: float = math.nan
    rate: float = math.nan
    period_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Interlock:
    """Once `tag` was beyond `limit` (side: high or low) for `hold_s`, the input is `value`; a latched one stays so."""

    tag: str
    side: str
    limit: float
    manipulated: str
    value: float = 0.0
    hold_s: float = 0.0
    latched: bool = True


@dataclass(frozen=True, slots=True)
class Control:
    """What the PLC does by itself: file section "control"."""

    loops: tuple[Loop, ...] = ()
    interlocks: tuple[Interlock, ...] = ()

    def problems(self, inputs: Sequence[str], outputs: Sequence[str], virtual: Sequence[str]) -> list[str]:
        """What is wrong with it for a twin of these tags."""
        moved = [loop.manipulated for loop in self.loops]
        wrong = [f"one loop only on {tag}" for tag in dict.fromkeys(moved) if moved.count(tag) > 1]
        driven = [*moved, *(lock.manipulated for lock in self.interlocks)]
        wrong += [f"an input of the twin in the place of {tag}" for tag in driven if tag not in inputs]
        read = [loop.measured for loop in self.loops]
        wrong += [f"a measured output of the twin in the place of {tag}" for tag in read if tag not in outputs]
        watched = [lock.tag for lock in self.interlocks]
        known = (*inputs, *outputs, *virtual)
        wrong += [f"a tag of the twin in the place of {tag}" for tag in watched if tag not in known]
        wrong += [f"{loop.manipulated}: reset_s over 0" for loop in self.loops if not loop.reset_s > 0]
        wrong += [f"{loop.manipulated}: low below high" for loop in self.loops if loop.low >= loop.high]
        return wrong + [f"{k.tag}: side high or low" for k in self.interlocks if k.side not in ("high", "low")]


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What a loop recalls, over particles: its integral f8[...], the input that it gave last f8[...]."""

    integral: F8
    last: F8


@dataclass(frozen=True, slots=True, eq=False)
class Latch:
    """What an interlock recalls, over particles: since how many s its limit is passed f8[...]; whether it holds."""

    passed_s: F8
    holds: Mask


def begun(loop: Loop, u: F8, y: F8, r: F8) -> Memory:
    """A loop that takes over now, without a bump: input u, output y and set point r f8[...]."""
    return Memory(u - loop.gain * (loop.weight * r - y), u)


def scan(loop: Loop, memory: Memory, y: F8, r: F8, period_s: float) -> tuple[F8, Memory]:
    """The input f8[...] that one scan gives for the measured y f8[...] and the set point r f8[...]."""
    wanted = loop.gain * (loop.weight * r - y) + memory.integral
    u = np.fmin(np.fmax(wanted, loop.low), loop.high)
    if not math.isnan(loop.rate):
        step = loop.rate * period_s
        u = np.minimum(np.maximum(u, memory.last - step), memory.last + step)
    more = loop.gain * period_s / loop.reset_s * (r - y)
    free = (u == wanted) | ((wanted - u) * more < 0.0)
    return u, Memory(np.where(free, memory.integral + more, memory.integral), u)


def armed(shape: tuple[int, ...]) -> Latch:
    """An interlock that has not tripped."""
    return Latch(np.zeros(shape), np.zeros(shape, np.bool_))


def watched(lock: Interlock, latch: Latch, value: F8, period_s: float) -> Latch:
    """The interlock after one more period at `value` f8[...]."""
    beyond = value > lock.limit if lock.side == "high" else value < lock.limit
    passed_s = np.where(beyond, latch.passed_s + period_s, 0.0)
    trips = beyond & (passed_s >= lock.hold_s)
    return Latch(passed_s, trips | latch.holds if lock.latched else trips)
