"""Whether a detector still knows its machine: inputs, score and alarms beside those of the healthy rows it is from.

Distributions are compared in the bins between quantiles of the healthy rows, by the population stability index

    PSI = sum_b (q_b - p_b) ln(q_b / p_b)          p: share of healthy rows in bin b; q: share lately

above 0.25 it is a shift by convention. The rows of a machine are no independent draws, so a shift must also be twice
what the quarters of the healthy recording differ among themselves. Lately: rows forgotten exponentially with a memory
as long as the healthy recording, from two hours to three days. Alarms are counted against the rate that the limit
was set for (Poisson). Only rows of the right mode with Good inputs count, and time is counted in such rows alone.

Nobody is told to fit anew before that has lasted for two memories: what has passed is forgotten before. Pure: a fold
with a small state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8
from agent.detect.window import F4

SHIFT = 0.25
QUARTERS_TIMES = 2.0
SMALLEST_SHARE = 1e-4
# Bins of rarer rows than that are noise.
RAREST = 0.04
LASTING = 2.0  # memories
MEMORY_S = (2 * 3600.0, 3 * 86400.0)
SAMPLE_S, VERDICT_S = 10.0, 600.0
# More alarms than promised: so improbable it must be by chance. After so long, older ones count half.
IMPROBABLE = 1e-3
TALLY_S = 60 * 86400.0
DAY_S, HOUR_S = 86400.0, 3600.0
SCORE = "the score"
MOST_ROWS = 20_000


class Level(IntEnum):
    """What a detector's word is worth."""

    UNKNOWN = 0
    OK = 1
    RETRAIN = 2


WORDS = {int(level): level.name.lower() for level in Level}


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What healthy rows gave. Columns are the score, then the C inputs `names`. edges f4[E, 1+C]: quantiles; share
    f8[E+1]: of healthy rows between them; limit f8[1+C]: of the PSI; alarms_per_day: promised; memory_s; every: rows
    from one that is counted to the next; verdict: such rows from verdict to verdict; apart: rows without an alarm that
    part two."""

    names: tuple[str, ...]
    edges: F4
    share: F8
    limit: F8
    alarms_per_day: float
    period_s: float
    memory_s: float
    every: int
    verdict: int
    apart: int


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Lately. mass f8[E+1, 1+C]: weights of rows by bin; counted: rows ever; beyond_s f8[1+C] and alarming_s: for how
    long each PSI, and the rate of alarms, has been too large; the verdict: level and words."""

    mass: F8
    counted: int
    beyond_s: F8
    alarming_s: float
    level: int
    words: str


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """rows: counted since the tally began, or was halved; quiet: rows since the score was above the limit; alarms."""

    rows: int
    quiet: int
    alarms: int
    seen: Seen


def reference(
    tags: Sequence[str], given: Mapping[str, Any], *, period_s: float, rows: float, apart: int
) -> Reference | None:
    """From a detector's metadata: `given` is its `reference` (None where it has none); rows: of the recording."""
    if not given:
        return None
    shares = np.array(given["quantiles"], np.float64)
    some = _parted(shares)
    columns = np.array([given["score"], *given["inputs"]], np.float64)
    quarters = np.array(given.get("quarters") or np.zeros(len(columns)), np.float64)
    every = max(1, round(SAMPLE_S / period_s))
    return Reference(
        names=(SCORE, *tags),
        edges=columns[:, some].T.astype(np.float32),
        share=np.diff([0.0, *shares[some], 1.0]),
        limit=np.maximum(SHIFT, QUARTERS_TIMES * quarters),
        alarms_per_day=float(given["alarms_per_day"]),
        period_s=period_s,
        memory_s=min(max(rows * period_s, MEMORY_S[0]), MEMORY_S[1]),
        every=every,
        verdict=max(1, round(VERDICT_S / (every * period_s))),
        apart=apart,
    )


def quarters(rows: F8, shares: Sequence[float]) -> F8:
    """The largest PSI of a quarter of healthy rows f8[n, k], beside all of them: f8[k]."""
    known = np.array(shares, np.float64)
    some = _parted(known)
    edges, share = np.quantile(rows, known[some], axis=0), np.diff([0.0, *known[some], 1.0])
    thin = rows[:: -(-len(rows) // MOST_ROWS)]
    parts = [part for part in np.array_split(thin, 4) if len(part)]
    found = [stability(np.sum([binned(edges, share, row) for row in part], axis=0), share) for part in parts]
    return np.asarray(np.max(found, axis=0), np.float64)


def begin(reference: Reference) -> State:
    """Before the first row."""
    columns = len(reference.names)
    nothing = Seen(np.zeros((len(reference.share), columns)), 0, np.zeros(columns), 0.0, Level.UNKNOWN, "")
    return State(0, reference.apart, 0, replace(nothing, words=_waiting(reference, 0)))


def fold(reference: Reference, state: State, row: F4, score: float, over: bool) -> State:
    """One row more that counts: its inputs f4[C], the published score, and whether that is above its limit."""
    rows = state.rows + 1
    alarms = state.alarms + (over and state.quiet >= reference.apart)
    if rows * reference.period_s >= TALLY_S:
        rows, alarms = rows // 2, alarms // 2
    seen = state.seen if rows % reference.every else _seen(reference, state.seen, row, score, rows, alarms)
    return State(rows, 0 if over else state.quiet + 1, alarms, seen)


def _seen(reference: Reference, seen: Seen, row: F4, score: float, rows: int, alarms: int) -> Seen:
    step_s = reference.every * reference.period_s
    value = np.concatenate([np.array([score], np.float32), row])
    mass = seen.mass * math.exp(-step_s / reference.memory_s) + binned(reference.edges, reference.share, value)
    counted = seen.counted + 1
    if counted % reference.verdict:
        return Seen(mass, counted, seen.beyond_s, seen.alarming_s, seen.level, seen.words)
    passed_s = reference.verdict * step_s
    psi = stability(mass, reference.share)
    known = counted * step_s >= reference.memory_s
    beyond_s = np.where((psi > reference.limit) & known, seen.beyond_s + passed_s, 0.0)
    alarming_s = seen.alarming_s + passed_s if improbable(reference, rows, alarms) else 0.0
    longest_s = max(float(beyond_s.max()), alarming_s)
    level = Level.UNKNOWN if not known else Level.RETRAIN if longest_s >= LASTING * reference.memory_s else Level.OK
    words = _words(reference, Seen(mass, counted, beyond_s, alarming_s, level, ""), psi, rows, alarms)
    return Seen(mass, counted, beyond_s, alarming_s, level, words)


def binned(edges: npt.NDArray[np.floating[Any]], share: F8, value: npt.NDArray[np.floating[Any]]) -> F8:
    """The bins of values [k] as weights f8[E+1, k], each column a sum of 1.

    A value that equals edges (a tag that often stands at one value has several) may belong to each bin beside them.
    """
    low, high = (edges < value).sum(axis=0), (edges <= value).sum(axis=0)
    bin_ = np.arange(len(share))[:, None]
    weight = share[:, None] * ((bin_ >= low) & (bin_ <= high))
    return np.asarray(weight / weight.sum(axis=0), np.float64)


def stability(mass: F8, share: F8) -> F8:
    """PSI f8[k] of weights f8[E+1, k] beside the shares f8[E+1] of healthy rows."""
    p = share[:, None]
    q = np.maximum(mass / mass.sum(axis=0), SMALLEST_SHARE)
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=0), np.float64)


def improbable(reference: Reference, rows: int, alarms: int) -> bool:
    """Whether so many alarms are too many for the promised rate: P(X >= alarms) of a Poisson count."""
    mean = _promised(reference, rows)
    if alarms <= mean:
        return False
    term = total = math.exp(-mean)
    for k in range(1, alarms):
        term *= mean / k
        total += term
    return 1.0 - total < IMPROBABLE


def _promised(reference: Reference, rows: int) -> float:
    return reference.alarms_per_day * rows * reference.period_s / DAY_S


def _parted(shares: F8) -> npt.NDArray[np.intp]:
    """The quantiles between which bins are not too rare."""
    return np.flatnonzero((shares >= RAREST) & (shares <= 1.0 - RAREST))


def _waiting(reference: Reference, counted: int) -> str:
    passed_s = counted * reference.every * reference.period_s
    return f"counting healthy rows, {_time(passed_s)} of {_time(reference.memory_s)}"


def _words(reference: Reference, seen: Seen, psi: F8, rows: int, alarms: int) -> str:
    """The verdict for people: what departs, the farthest first, and what to do."""
    said = list[str]()
    moved = np.flatnonzero(seen.beyond_s > 0)
    for column in moved[np.argsort(-(psi / reference.limit)[moved], kind="stable")][:2]:
        said.append(f"{reference.names[column]} {_how(reference, seen.mass[:, column])}")
    if seen.alarming_s:
        days = rows * reference.period_s / DAY_S
        promised = _promised(reference, rows)
        said.append(f"more alarms than promised ({alarms} in {days:.2g} days, {promised:.2g} expected)")
    if not said:
        known = seen.level != Level.UNKNOWN
        return "as it was when the model was fitted" if known else _waiting(reference, seen.counted)
    if seen.level == Level.RETRAIN:
        return f"retrain, if the machine is well: {'; '.join(said)}"
    longest_s = max(float(seen.beyond_s.max()), seen.alarming_s)
    return f"{'; '.join(said)}: for {_time(longest_s)}, to be fitted anew after {_time(LASTING * reference.memory_s)}"


def _how(reference: Reference, mass: F8) -> str:
    """How most of what departs has moved: by what is more, or less, than it was in the outer thirds of the bins."""
    q = mass / mass.sum()
    excess, third = q - reference.share, len(q) // 3
    low, high = float(excess[:third].sum()), float(excess[-third:].sum())
    if abs(high + low) > abs(high - low):
        return "spreads wider than it did" if high + low > 0 else "moves less than it did"
    side, beyond = ("higher", q[-1]) if high > low else ("lower", q[0])
    return f"is {side} than it was ({100 * beyond:.0f} % of the time beyond 95 % of the healthy rows)"


def _time(seconds: float) -> str:
    return f"{seconds / DAY_S:.1f} days" if seconds >= 2 * DAY_S else f"{seconds / HOUR_S:.0f} h"
