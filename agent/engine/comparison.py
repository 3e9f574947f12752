"""What a model and its shadow have done side by side: tallies that grow with each cycle, and what they come to.

Nearness is the largest share that any alert of a model had of its limit: 1 is at the limit, for a detector, a twin or
any other kind. It is counted in classes an eighth of an octave wide, from 2^-6 to 2^4 and the rest at the ends.

    distance = sup |F_old - F_new| of the two distributions of nearness (Kolmogorov and Smirnov)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from agent.core.nouns import I8

PER_OCTAVE, LOWEST, HIGHEST = 8, -6, 4
CLASSES = PER_OCTAVE * (HIGHEST - LOWEST)
OLD, NEW = 0, 1
DAY_S = 86400.0


def _none() -> I8:
    return np.zeros(CLASSES, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One of the two. raised, pending_ns: its alerts as they would stand if it spoke, by rule of the pair.

    alarms: times that an alert began while none stood; spoke_s: time in which it gave something; faults: cycles in
    which it failed, and the first reason; nearness i8[CLASSES]: cycles in each class while both spoke.
    """

    raised: tuple[bool, ...]
    pending_ns: tuple[int, ...]
    nearness: I8 = field(default_factory=_none)
    alarms: int = 0
    spoke_s: float = 0.0
    faults: int = 0
    fault: str = ""

    @property
    def alarms_per_day(self) -> float:
        """NaN before it gave anything."""
        return self.alarms * DAY_S / self.spoke_s if self.spoke_s else math.nan


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Of a pair, since the last promotion or rollback, or since the two first ran.

    sides: (that of the file, its shadow). promoted: the shadow speaks. barred: it was taken back by itself, so that
    only a person promotes it again; because: the last change in words. both_s: time in which both gave something,
    apart_s: of that, exactly one in alarm. mute_s: time on end in which only the one that is to be quiet spoke.
    """

    sides: tuple[Side, Side]
    promoted: bool = False
    barred: bool = False
    because: str = ""
    both_s: float = 0.0
    apart_s: float = 0.0
    mute_s: float = 0.0

    @property
    def speaks(self) -> int:
        """Which side speaks: OLD or NEW."""
        return NEW if self.promoted else OLD

    @property
    def apart(self) -> float:
        """Share of time with exactly one in alarm; NaN before both spoke."""
        return self.apart_s / self.both_s if self.both_s else math.nan

    @property
    def distance(self) -> float:
        """Between the distributions of nearness, 0 to 1; NaN before both spoke."""
        old, new = (np.cumsum(side.nearness) for side in self.sides)
        return float(np.abs(old / old[-1] - new / new[-1]).max()) if old[-1] and new[-1] else math.nan


def begun(rules: int) -> Comparison:
    """Before anything was seen, for a pair with so many rules."""
    nothing = Side((False,) * rules, (0,) * rules)
    return Comparison((nothing, nothing))


def anew(known: Comparison) -> Comparison:
    """The tallies at 0; alerts that stand go on standing."""
    old, new = (Side(side.raised, side.pending_ns) for side in known.sides)
    return Comparison((old, new), known.promoted, known.barred, known.because)


def waiting_for_nothing(known: Comparison) -> Comparison:
    """Without times of an axis that is no more (another boot)."""
    old, new = (replace(side, pending_ns=(0,) * len(side.pending_ns)) for side in known.sides)
    return replace(known, sides=(old, new))


def counted(nearness: I8, value: float) -> I8:
    """The classes with one more cycle in that of `value` (0 or more)."""
    octaves = math.log2(value) - LOWEST if value > 0.0 else 0.0
    after = nearness.copy()
    after[min(max(int(octaves * PER_OCTAVE), 0), CLASSES - 1)] += 1
    return after


def quantile(nearness: I8, share: float) -> float:
    """The nearness that `share` of the cycles stay below, to half a class (4 %); NaN where there are none."""
    total = np.cumsum(nearness)
    if not total[-1]:
        return math.nan
    k = int(np.searchsorted(total, share * total[-1]))
    return float(2.0 ** (LOWEST + (k + 0.5) / PER_OCTAVE))
