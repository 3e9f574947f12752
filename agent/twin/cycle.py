"""One cycle of a twin, `type: twin`: what its filters, its limits and its memory make of a frame.

Two filters run over one model. The *reference* trusts the model: its health stands still and its gain falls to almost
nothing once it has settled, so that `expected` says what the inputs would make of a healthy machine, and a leak stays
in the residual instead of being followed. The *tracking* filter trusts the measurements as far as their noise says:
it gives the virtual outputs and the health parameters. While the twin settles both are one.

An absent input keeps its last value for `hold_periods`; then nothing can be said, and the filters start anew with the
next complete frame. What was learned of the machine (health, accuracy, trust) outlives that, and stops of the machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from agent.core import quality
from agent.core.nouns import F8, Frame, Point, Values
from agent.twin import accuracy, filtering, published, reading, wear
from agent.twin.departure import judging
from agent.twin.filtering import Belief, Filter, Innovation, Sample
from agent.twin.lifetime import living
from agent.twin.plant import Plant
from agent.twin.published import PER_OUTPUT, PER_VIRTUAL, Said
from agent.twin.surrogate import REMOTENESS
from agent.twin.twin import Twin, load

__all__ = ["PER_OUTPUT", "PER_VIRTUAL", "State", "init", "load", "points", "resume", "step"]

CATCH_UP_PERIODS = 60
LONGEST_SETTLING = 4


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """started: periods since the first usable frame, it included; 0 before it. settling: periods until the reference
    stands by itself. missing: periods since the inputs were complete. carry_ns: time not yet made into periods. held
    f8[m]: inputs as last seen. health: belief in the health parameters, kept over stops. last: what was last given.
    """

    started: int
    settling: int
    missing: int
    carry_ns: int
    held: F8
    reference: Filter
    tracking: Filter
    judging: judging.State
    accuracy: accuracy.State
    health: Belief
    life: living.State | None
    last: Values


def points(twin: Twin) -> tuple[Point, ...]:
    """What it gives, ids relative to the asset: see `agent.twin.published`."""
    return published.points(twin)


def init(twin: Twin) -> State:
    """Before the first usable frame ever."""
    plant = twin.plant
    m, p = len(plant.inputs), len(plant.outputs)
    none = Sample(0, np.zeros(m), np.full(p, np.nan), np.ones(p))
    empty = filtering.begin(plant, none)
    return State(
        started=0,
        settling=0,
        missing=0,
        carry_ns=0,
        held=np.full(m, np.nan),
        reference=empty,
        tracking=empty,
        judging=judging.begin(twin),
        accuracy=accuracy.begin(plant),
        health=wear.of(plant, empty.belief),
        life=living.begin(twin),
        last=published.absent(twin),
    )


def resume(twin: Twin, state: State) -> State:
    """Before the first frame after a stop, or after inputs were missing too long: what was learned stays."""
    kept = judging.resume(twin, state.judging)
    past = accuracy.broken(state.accuracy)
    return replace(init(twin), judging=kept, accuracy=past, health=state.health, life=state.life)


def step(twin: Twin, state: State, frame: Frame, so_far: Mapping[str, tuple[float, int]]) -> tuple[State, Values]:
    """One cycle. Pure; absent and Bad values never raise; the same bits for the same arguments."""
    del so_far
    if not state.started:
        after = _started(twin, state, frame)
        return after, after.last
    period_ns = round(twin.plant.period_s * 1e9)
    # Periods elapsed, phase-kept: what is left over counts for the next tick.
    due_ns = state.carry_ns + max(frame.dt_ns, 0)
    periods = (due_ns + period_ns // 2) // period_ns
    if periods > CATCH_UP_PERIODS:
        state = resume(twin, state)
        return state, state.last
    t_ns = state.tracking.t_ns + periods * period_ns
    sample, complete = reading.sample(twin.plant, frame, t_ns, state.held)
    missing = 0 if complete else state.missing + periods
    if missing > twin.hold_periods:
        state = resume(twin, state)
        return state, state.last
    state = replace(state, missing=missing, carry_ns=due_ns - periods * period_ns, held=sample.u)
    state = _revised(twin, state, frame)
    after = _after(twin, state, sample, periods) if periods else state
    return after, after.last


def _started(twin: Twin, state: State, frame: Frame) -> State:
    """Both filters begun from the first frame that has all inputs and an output."""
    sample, complete = reading.sample(twin.plant, frame, frame.t_ns, state.held)
    if not (complete and np.isfinite(sample.y).any()):
        return state
    settling = math.ceil(twin.settle_s / twin.plant.period_s)
    tracking = filtering.begin(twin.plant, sample, prior=wear.known(twin.plant, state.health))
    last = published.absent(twin, quality.BAD_WAITING_FOR_INITIAL_DATA)
    return replace(state, started=1, settling=settling, held=sample.u, reference=tracking, tracking=tracking, last=last)


def _revised(twin: Twin, state: State, frame: Frame) -> State:
    """Both filters with what came late put in at its own time."""
    for late in reading.late(twin.plant, frame):
        tracking = filtering.revise(twin.plant, state.tracking, late)
        reference = tracking
        if not state.settling:
            reference = filtering.revise(twin.plant, state.reference, _trusting(twin, late))
        state = replace(state, tracking=tracking, reference=reference)
    return state


def _after(twin: Twin, state: State, sample: Sample, periods: int) -> State:
    """`periods` later. The residual is taken before this sample corrects anything, the virtual outputs after."""
    plant, settling = twin.plant, state.settling > 0
    tracking, tracked = filtering.step(plant, state.tracking, sample, frozen=settling)
    reference, judged = tracking, tracked
    if not settling:
        reference, judged = filtering.step(
            plant, state.reference, _trusting(twin, sample), reference=twin.reference, frozen=True, bounded=True
        )
    remoteness = float(twin.domain.remoteness(sample.u, judged.expected[: len(plant.outputs)]))
    outside = plant.outside(tracking.belief.x, sample.u)
    remoteness = max(remoteness, REMOTENESS) if outside else remoteness
    started = state.started + periods
    left = _settling(twin, remoteness, state.settling, periods, started)
    if settling and not left:
        reference = wear.as_fitted(plant, tracking)
    z = judged.nu / judged.sd
    judge = judging.fold(twin, state.judging, z, remoteness, periods, settling=left > 0)
    spread = _spread(twin, judged, state.accuracy)
    inside = np.where(np.isfinite(judged.nu), np.abs(judged.nu) <= accuracy.BAND * spread, np.nan)
    scores, health, life = _learned(twin, state, tracking, sample, inside, left, periods)
    if not left and judge.share >= 1.0 and not judging.departed(judge):
        scores = accuracy.widened(scores, inside)
    p, x = len(plant.outputs), tracking.belief.x
    said = Said(
        expected=judged.expected[:p],
        residual=judged.nu,
        spread=spread,
        virtual=plant.observe(x, sample.u)[p:],
        virtual_spread=_wide(plant, outside, np.hypot(twin.spread[p:], tracked.spread[p:])),
        health=wear.values(plant, x),
        health_spread=wear.spreads(plant, health),
        remoteness=remoteness,
        uncertain=sample.weight > 1.0,
        settling=left > 0,
        outside=outside,
    )
    return State(
        started=started,
        settling=left,
        missing=state.missing,
        carry_ns=state.carry_ns,
        held=state.held,
        reference=reference,
        tracking=tracking,
        judging=judge,
        accuracy=scores,
        health=health,
        life=life,
        last=published.values(twin, said, judge, scores, life),
    )


def _settling(twin: Twin, remoteness: float, left: int, periods: int, started: int) -> int:
    """Periods left to settle. A start from outside the domain takes longer: a third of the time begins inside it, but
    a machine that has changed for good is not waited for."""
    whole = math.ceil(twin.settle_s / twin.plant.period_s)
    if left and remoteness > 1.0 and started < LONGEST_SETTLING * whole:
        return max(left - periods, math.ceil(whole / 3.0))
    return max(left - periods, 0)


def _learned(
    twin: Twin, state: State, tracking: Filter, sample: Sample, inside: F8, left: int, periods: int
) -> tuple[accuracy.State, Belief, living.State | None]:
    """Accuracy, health and life after this period; they stand still while it settles."""
    if left:
        return accuracy.broken(state.accuracy), state.health, state.life
    plant, belief = twin.plant, tracking.belief
    return (
        accuracy.fold(plant, state.accuracy, belief.x, sample.u, sample.y, inside),
        wear.of(plant, belief),
        living.fold(twin, state.life, belief, sample.u, periods * plant.period_s),
    )


def _spread(twin: Twin, judged: Innovation, scores: accuracy.State) -> F8:
    """sqrt((f healthy residual)^2 + c P c'): wide after a start, then what was measured on held-out rows, widened by
    what was seen since. f8[p]."""
    p = len(twin.plant.outputs)
    return np.hypot(np.exp(scores.width) * twin.spread[:p], judged.spread[:p])


def _wide(plant: Plant, outside: str, spread: F8) -> F8:
    """Of virtual outputs f8[v]: half of the range ever seen for what a surrogate gives outside its training."""
    if not outside or plant.surrogate is None:
        return spread
    half = np.array([0.5 * (c.high - c.low) for c in plant.virtual])
    given = np.array([c.tag in plant.surrogate.outputs for c in plant.virtual])
    return np.where(given, np.maximum(spread, half), spread)


def _trusting(twin: Twin, sample: Sample) -> Sample:
    """The sample as the reference sees it: model error, as it was on held-out rows, counts as noise."""
    return Sample(sample.t_ns, sample.u, sample.y, sample.weight * _error_share(twin))


@lru_cache(maxsize=256)
def _error_share(twin: Twin) -> F8:
    """Variance of healthy residuals over that of the sensors' noise: f8[p]."""
    return np.asarray(twin.spread[: len(twin.plant.outputs)] ** 2 / twin.plant.noise, np.float64)
