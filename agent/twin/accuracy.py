"""How right the twin has been lately, always: k-step error against persistence, and coverage of its bands.

Each k periods a run starts from the tracked state, sees the inputs but no measurement, and after k periods is held
against what was measured, beside the value of k periods ago:

    skill    = sqrt(E[(y - y_free)^2] / E[(y - y_before)^2])      under 1: better than "nothing changes"
    coverage = E[ |y - expected| <= 1.645 spread ]                0.9 if the bands mean what they say

both as exponentially weighted means over the last 60 runs and 3600 periods. (Hyndman & Koehler 2006: relative error.)

Some hours of recording do not show how far a healthy machine strays. So the bands learn on (adaptive conformal
inference, Gibbs & Candes 2021): a value outside widens its band, one inside narrows it,

    ln f <- ln f + rate ([outside] - 0.1)

which rests where one in ten is outside. It stands still while something departs: a fault is not made normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from agent.core.nouns import F8
from agent.twin.plant import Plant

STEPS = 30
RUNS = 60
PERIODS = 3600
BAND = 1.6448536
ENOUGH_RUNS = 10
ENOUGH_PERIODS = 300
MISSED = 0.1
RATE = 0.002
WIDEST = math.log(3.0)


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """left: periods until the run ends (0: none runs); x f8[n] of the run; before f8[p]: measured at its start.

    error, change f8[p]: weighted mean squares; runs, inside, seen f8[p]: how many runs, covered periods, periods.
    width f8[p]: ln f, how much wider the bands are than they were on held-out rows.
    """

    left: int
    x: F8
    before: F8
    error: F8
    change: F8
    runs: F8
    inside: F8
    seen: F8
    width: F8


def begin(plant: Plant) -> State:
    """Before any run."""
    p = len(plant.outputs)
    none = np.zeros(p)
    return State(0, np.zeros(plant.n), np.full(p, np.nan), none, none, none, none, none, none)


def broken(state: State) -> State:
    """After a gap or a stop: the run is given up, what was learned stays."""
    return replace(state, left=0)


def fold(plant: Plant, state: State, x: F8, u: F8, y: F8, inside: F8) -> State:
    """One period on. x f8[n]: the tracked state after it; u f8[m], y f8[p] (NaN absent) of it; inside f8[p]: whether y
    lay in its band (NaN absent)."""
    state = _covered(state, inside)
    if state.left == 0:
        return replace(state, left=STEPS, x=x, before=y)
    free = plant.advance(state.x, u)
    if state.left > 1:
        return replace(state, left=state.left - 1, x=free)
    return replace(_scored(plant, state, free, u, y), left=STEPS, x=x, before=y)


def widened(state: State, inside: F8) -> State:
    """Bands learned on; inside as in `fold`, NaN where nothing may be learned."""
    learned = np.where(np.isnan(inside), 0.0, RATE * (1.0 - inside - MISSED))
    return replace(state, width=np.minimum(np.maximum(state.width + learned, -WIDEST), WIDEST))


def skill(state: State) -> F8:
    """f8[p], NaN before enough runs or where nothing moved."""
    known = (state.runs >= ENOUGH_RUNS) & (state.change > 0)
    share = np.divide(state.error, state.change, out=np.full(len(state.runs), np.nan), where=known)
    return np.asarray(np.sqrt(share), np.float64)


def coverage(state: State) -> F8:
    """f8[p], NaN before enough periods."""
    known = state.seen >= ENOUGH_PERIODS
    share = np.divide(state.inside, state.seen, out=np.full(len(state.seen), np.nan), where=known)
    return np.asarray(share, np.float64)


def _covered(state: State, inside: F8) -> State:
    present = np.isfinite(inside)
    keep = np.where(present, 1.0 - 1.0 / PERIODS, 1.0)
    return replace(state, inside=keep * state.inside + np.where(present, inside, 0.0), seen=keep * state.seen + present)


def _scored(plant: Plant, state: State, x: F8, u: F8, y: F8) -> State:
    error = (y - plant.observe(x, u)[: len(y)]) ** 2
    change = (y - state.before) ** 2
    present = np.isfinite(error) & np.isfinite(change)
    runs = state.runs + present
    # The mean of all runs so far, until there are so many that it forgets.
    share = np.where(present, 1.0 / np.minimum(np.maximum(runs, 1.0), RUNS), 0.0)
    return replace(
        state,
        error=state.error + share * np.where(present, error - state.error, 0.0),
        change=state.change + share * np.where(present, change - state.change, 0.0),
        runs=runs,
    )
