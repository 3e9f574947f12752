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

import numpy as np

from agent.core import quality
from agent.core.nouns import F8, Frame, Point, Values
from agent.twin import accuracy, filtering, judging, living, published, reading, whitening
from agent.twin.filtering import Belief, Filter, Innovation, Sample
from agent.twin.filtering.roots import root
from agent.twin.published import PER_OUTPUT, PER_VIRTUAL, Said
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
        health=_health(twin, empty.belief),
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
    tracking = filtering.begin(twin.plant, sample, prior=_prior(twin, state.health))
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
    expected = judged.expected[: len(plant.outputs)]
    remoteness = float(twin.domain.remoteness(sample.u, expected))
    started = state.started + periods
    left = _settling(twin, remoteness, state.settling, periods, started)
    if settling and not left:
        reference = _healthy(twin, tracking)
    after = replace(state, started=started, settling=left, reference=reference, tracking=tracking)
    z = judged.nu / judged.sd
    after = replace(after, judging=judging.fold(twin, state.judging, z, remoteness, periods, settling=left > 0))
    after = _learned(twin, after, sample, judged, periods)
    return replace(after, last=published.values(twin, _said(twin, after, sample, tracked, judged, remoteness)))


def _settling(twin: Twin, remoteness: float, left: int, periods: int, started: int) -> int:
    """Periods left to settle. A start from outside the domain takes longer: a third of the time begins inside it, but
    a machine that has changed for good is not waited for."""
    whole = math.ceil(twin.settle_s / twin.plant.period_s)
    if left and remoteness > 1.0 and started < LONGEST_SETTLING * whole:
        return max(left - periods, math.ceil(whole / 3.0))
    return max(left - periods, 0)


def _learned(twin: Twin, state: State, sample: Sample, judged: Innovation, periods: int) -> State:
    """Accuracy, health and life after this period, unless it still settles."""
    if state.settling:
        return replace(state, accuracy=accuracy.broken(state.accuracy))
    plant = twin.plant
    inside = np.where(np.isfinite(judged.nu), np.abs(judged.nu) <= accuracy.BAND * _spread(twin, judged), np.nan)
    folded = accuracy.fold(plant, state.accuracy, state.tracking.belief.x, sample.u, sample.y, inside)
    lived = living.fold(twin, state.life, state.tracking.belief, sample.u, periods * plant.period_s)
    return replace(state, accuracy=folded, health=_health(twin, state.tracking.belief), life=lived)


def _said(twin: Twin, state: State, sample: Sample, tracked: Innovation, judged: Innovation, remoteness: float) -> Said:
    plant, p = twin.plant, len(twin.plant.outputs)
    compared = np.isfinite(judged.nu) & (state.settling == 0)
    belief = state.tracking.belief
    health = state.health
    return Said(
        expected=judged.expected[:p],
        residual=judged.nu,
        spread=_spread(twin, judged),
        deviation=np.where(compared, judging.deviations(twin, state.judging), np.nan),
        cusum=np.where(compared, judging.cusums(twin, state.judging), np.nan),
        skill=accuracy.skill(state.accuracy),
        coverage=accuracy.coverage(state.accuracy),
        virtual=plant.observe(belief.x, sample.u)[p:],
        virtual_spread=np.hypot(twin.spread[p:], tracked.spread[p:]),
        health=np.array([h.value(belief.x) for h in plant.health]),
        health_spread=_health_spread(twin, health),
        remoteness=remoteness,
        finding=judging.finding(twin, state.judging),
        life=state.life,
        uncertain=sample.weight > 1.0,
        settling=state.settling > 0,
        outside=remoteness > whitening.REMOTE,
    )


def _spread(twin: Twin, judged: Innovation) -> F8:
    """sqrt(healthy residual^2 + c P c'): wide after a start, then what was measured on held-out rows. f8[p]."""
    p = len(twin.plant.outputs)
    return np.hypot(twin.spread[:p], judged.spread[:p])


def _trusting(twin: Twin, sample: Sample) -> Sample:
    """The sample as the reference sees it: model error, as it was on held-out rows, counts as noise."""
    p = len(twin.plant.outputs)
    return replace(sample, weight=sample.weight * twin.spread[:p] ** 2 / twin.plant.noise)


def _rows(twin: Twin) -> list[int]:
    return [h.state for h in twin.plant.health]


def _health(twin: Twin, belief: Belief) -> Belief:
    """The part of a belief that is the health parameters: x f8[h], root f8[h,h]."""
    rows = _rows(twin)
    P = belief.root[rows] @ belief.root[rows].T
    return Belief(belief.x[rows], root(P))


def _health_spread(twin: Twin, health: Belief) -> F8:
    """Standard deviation of each health parameter in its unit, to first order: f8[h]."""
    inner = np.sqrt(np.sum(health.root**2, axis=1))
    return np.array(
        [s * (abs(h.nominal) if h.relative else 1.0) for h, s in zip(twin.plant.health, inner, strict=True)]
    )


def _prior(twin: Twin, health: Belief) -> Belief:
    """The plant's prior, with what is known of its health."""
    x, P = (part.copy() for part in twin.plant.prior)
    rows = _rows(twin)
    x[rows] = health.x
    P[rows, :] = P[:, rows] = 0.0
    P[np.ix_(rows, rows)] = health.root @ health.root.T
    return Belief(x, root(P))


def _healthy(twin: Twin, tracking: Filter) -> Filter:
    """The reference as it sets out: where the machine is, with the health that it had at the fit, known for certain."""
    rows, belief = _rows(twin), tracking.belief
    x, known = belief.x.copy(), belief.root.copy()
    x[rows] = twin.plant.prior[0][rows]
    known[rows] = 0.0
    return replace(tracking, now=replace(tracking.now, belief=Belief(x, known)), past=())
