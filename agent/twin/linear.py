"""The linear twin, `type: twin.linear`: one cycle of it. `agent.twin.statespace` has the equations and the file.

Only rows that are there and good are used: a missing or Bad one is dropped, an Uncertain one counts with 25 R.
An absent input keeps its last value for `hold_periods`; after that nothing can be said, and the twin starts anew
with the next complete frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from agent.core import quality
from agent.core.nouns import F8, U4, Frame, Point, Role, Values
from agent.twin import deviation, filters, whitening
from agent.twin.filters import Filters, Sample
from agent.twin.statespace import Channel, Params, load

__all__ = ["Params", "State", "init", "load", "points", "step"]

UNCERTAIN_WEIGHT = 25.0
CATCH_UP_PERIODS = 60
ABSURD = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """started: 0 before the first usable frame. settling: periods until the reference stands by itself. late: periods
    since the inputs were complete. carry_ns: time not yet made into periods. trust, past f8[p,a], ewma f8[p]: see
    `agent.twin.whitening` and `agent.twin.deviation`."""

    started: int
    settling: int
    trust: float
    late: int
    carry_ns: int
    filters: Filters
    past: F8
    ewma: F8


def points(params: Params) -> tuple[Point, ...]:
    """Per output expected, residual, spread, deviation; per virtual output its value and spread."""
    measured = [point for c in params.outputs for point in _output_points(c)]
    virtual = [point for c in params.virtual for point in _virtual_points(c)]
    return (*measured, *virtual)


def init(params: Params) -> State:
    """Before the first usable frame."""
    past, ewma = np.zeros_like(params.deviation.whiten), np.zeros(len(params.outputs))
    return State(0, 0, 1.0, 0, 0, filters.empty(params), past, ewma)


def step(params: Params, state: State, frame: Frame, so_far: Mapping[str, tuple[float, int]]) -> tuple[State, Values]:
    """One cycle. Pure; absent and Bad values never raise; the same bits for the same arguments."""
    del so_far
    sample = _sample(params, frame)
    complete = bool(np.isfinite(sample.u).all())
    if not state.started:
        if not (complete and np.isfinite(sample.y).any()):
            return state, _absent(params)
        settling = math.ceil(params.settle_s / params.period_s)
        state = replace(state, started=1, settling=settling, filters=filters.start(params, sample))
        return state, _values(params, state, state.filters, sample)
    # Periods elapsed, phase-kept: what is left over counts for the next tick.
    period_ns = round(params.period_s * 1e9)
    due_ns = state.carry_ns + max(frame.dt_ns, 0)
    periods = (due_ns + period_ns // 2) // period_ns
    late = 0 if complete else state.late + periods
    if late > params.hold_periods:
        return init(params), _absent(params)
    state = replace(state, late=late, carry_ns=due_ns - periods * period_ns)
    if periods == 0:
        return state, _values(params, state, state.filters, sample)
    return _after(params, state, sample, min(periods, CATCH_UP_PERIODS))


def _after(params: Params, state: State, sample: Sample, periods: int) -> tuple[State, Values]:
    """`periods` later. The residual is taken before this sample corrects anything, the virtual outputs after."""
    ahead = filters.elapse(params, state.filters, periods)
    ahead = filters.driven(params, ahead, np.where(np.isfinite(sample.u), sample.u, ahead.u))
    residual = sample.y - filters.expected(params, ahead)
    remote = filters.remoteness(params, ahead)
    past = whitening.coast(params.deviation.whitening, state.past, periods - 1)
    trust = whitening.trust(state.trust, remote, periods)
    past, w = whitening.fold(params.deviation.whitening, past, residual, trust)
    ewma = deviation.fold(params.deviation.chart, state.ewma, w, trust)
    settling = _settling(params, remote, state.settling, periods)
    after = filters.measured(params, ahead, sample, settling=settling > 0)
    shown = replace(after, reference=ahead.reference, Pz=ahead.Pz)
    if settling:
        trust, ewma = 1.0, np.zeros_like(ewma)
    state = replace(state, settling=settling, trust=trust, filters=after, past=past, ewma=ewma)
    return state, _values(params, state, shown, sample)


def _settling(params: Params, remote: float, left: int, periods: int) -> int:
    """Periods left to settle. A start from outside the domain takes longer: a third of the time begins inside it."""
    if left and remote > 1.0:
        return max(left - periods, math.ceil(params.settle_s / params.period_s / 3.0))
    return max(left - periods, 0)


def _sample(params: Params, frame: Frame) -> Sample:
    row = frame.names.rows(params.tags)
    value, status = frame.value[row], frame.status[row]
    usable = np.isfinite(value) & ~quality.bad_mask(status)
    s, m = filters.scaling(params), len(params.inputs)
    # What is absurd is cut to what keeps the arithmetic sound; an input to the recording's range and as much again.
    bound = ABSURD * s.scale
    scaled = np.minimum(np.maximum(np.where(usable, value, s.mean) - s.mean, -bound), bound) / s.scale
    span = s.high[:m] - s.low[:m]
    scaled[:m] = np.minimum(np.maximum(scaled[:m], s.low[:m] - span), s.high[:m] + span)
    scaled[~usable] = np.nan
    weight = np.where(quality.good_mask(status[m:]), 1.0, UNCERTAIN_WEIGHT)
    return Sample(scaled[:m], scaled[m:], weight)


def _absent(params: Params) -> Values:
    count = 4 * len(params.outputs) + 2 * len(params.virtual)
    return Values(np.full(count, np.nan), np.full(count, quality.BAD_DATA_UNAVAILABLE, np.uint32))


def _values(params: Params, state: State, f: Filters, sample: Sample) -> Values:
    """Values in the order of `points`, in the channels' units. f: filters to show, the reference not yet corrected."""
    p, m = len(params.outputs), len(params.inputs)
    s = filters.scaling(params)
    scale, mean = s.scale[m:], s.mean[m:]
    expected = filters.expected(params, f)
    residual = sample.y - expected
    compared = np.isfinite(residual) & (state.settling == 0)
    deviations = np.where(compared, state.ewma / params.deviation.limit, np.nan)
    C = params.C
    # spread^2 = (healthy residual)^2 + c P c': wide after a start, then what was measured on held-out rows.
    spread = np.sqrt(params.noise.residual**2 + np.einsum("ij,jk,ik->i", C[:p], f.Pz, C[:p]))
    virtual = C[p:] @ f.tracking + params.D[p:] @ f.phi
    wide = np.sqrt(params.noise.virtual**2 + np.einsum("ij,jk,ik->i", C[p:], f.Px, C[p:]))
    columns = [expected * scale + mean, residual * scale, spread * scale, deviations]
    value = np.concatenate(
        [
            np.column_stack(columns).ravel(),
            np.column_stack([virtual * s.virtual_scale + s.virtual_mean, wide * s.virtual_scale]).ravel(),
        ]
    )
    return Values(value, _status(params, state, sample))


def _status(params: Params, state: State, sample: Sample) -> U4:
    """Uncertain where the inputs lead out of the domain, or a measurement is uncertain; Bad where there is none."""
    outside = filters.remoteness(params, state.filters) > whitening.REMOTE
    model = quality.UNCERTAIN_SUB_NORMAL if outside else quality.GOOD
    if state.settling:
        model = quality.UNCERTAIN_INITIAL_VALUE
    status = np.full((len(params.outputs), 4), model, np.uint32)
    compared = np.where(sample.weight > 1.0, quality.UNCERTAIN, model)
    compared = np.where(np.isfinite(sample.y), compared, quality.BAD_DATA_UNAVAILABLE)
    status[:, 1] = compared
    waiting = state.settling > 0
    status[:, 3] = np.where(waiting & np.isfinite(sample.y), quality.BAD_WAITING_FOR_INITIAL_DATA, compared)
    return np.concatenate([status.ravel(), np.full(2 * len(params.virtual), model, np.uint32)])


def _output_points(channel: Channel) -> tuple[Point, ...]:
    tag, unit = channel.tag, channel.unit
    return (
        Point(f"{tag}.expected", Role.EXPECTED, of=tag, unit=unit, description="what the model expects of the inputs"),
        Point(f"{tag}.residual", Role.RESIDUAL, of=tag, unit=unit, description="measured less expected"),
        Point(f"{tag}.spread", Role.SPREAD, of=tag, unit=unit, description="standard deviation of the residual"),
        Point(f"{tag}.deviation", Role.DEVIATION, of=tag, description="signed; 1 = the limit of a healthy machine"),
    )


def _virtual_points(channel: Channel) -> tuple[Point, ...]:
    tag, unit = channel.tag, channel.unit
    return (
        Point(tag, Role.VIRTUAL, unit=unit, description="estimated, not measured"),
        Point(f"{tag}.spread", Role.SPREAD, of=tag, unit=unit, description="standard deviation of the estimate"),
    )
