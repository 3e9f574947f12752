"""What a twin makes of its residuals, period by period: how far it is, and what that speaks for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from agent.core.nouns import F8
from agent.twin.departure import cusum, deviation, isolation, trust, whitening
from agent.twin.departure.isolation import Finding
from agent.twin.departure.trust import Level, Verdict
from agent.twin.twin import Charts, Twin

# Isolation tries every onset in its window, which costs some ms: so often is often enough for people.
LOOK_PERIODS = 10
NOTHING = Finding("", (), "no departure")
UNKNOWN = Finding("", (), "this twin has no signatures of faults")


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """z f8[p]: normalised residuals of the last period (NaN: none). share: how much one counts, 0 to 1; past f8[p,q],
    ewma f8[p], sums f8[2,p]: of `whitening`, `deviation`, `cusum`; empty where the twin has no charts. window: what
    isolation looks at; None where the twin has no signatures. trusted: what a verdict rests on; None where the twin has
    no reference for one. found: what isolation saw when it last looked, `looked` periods ago."""

    z: F8
    share: float
    past: F8
    ewma: F8
    sums: F8
    window: isolation.State | None
    found: Finding
    looked: int
    trusted: trust.State | None


def begin(twin: Twin) -> State:
    """Nothing seen."""
    none = np.zeros(0)
    charts = twin.charts
    return State(
        z=np.full(len(twin.plant.outputs), np.nan),
        share=1.0,
        past=whitening.begin(charts.whitening) if charts else none,
        ewma=deviation.begin(charts.deviation) if charts else none,
        sums=cusum.begin(charts.cusum) if charts else none,
        window=isolation.begin(twin.isolation) if twin.isolation else None,
        found=UNKNOWN if twin.isolation is None else NOTHING,
        looked=LOOK_PERIODS,
        trusted=trust.begin(twin.trust) if twin.trust else None,
    )


def resume(twin: Twin, state: State) -> State:
    """After a stop: what was seen of small, lasting departures, and the verdict, stand still meanwhile; the rest is
    over."""
    kept = trust.broken(state.trusted) if state.trusted else None
    return replace(begin(twin), sums=state.sums, trusted=kept)


def fold(twin: Twin, state: State, z: F8, remoteness: float, periods: int, *, settling: bool) -> State:
    """`periods` on. z f8[p]: normalised residuals; remoteness: 1 is the edge of what the twin has seen. While the
    reference settles a residual says nothing yet."""
    charts, share = twin.charts, whitening.trust(state.share, remoteness, periods)
    state = replace(state, trusted=_trusted(twin, state, z, share, periods, settling=settling))
    if charts is None:
        return replace(state, z=z, share=1.0 if settling else share)
    past = whitening.coast(charts.whitening, state.past, periods - 1)
    past, w = whitening.fold(charts.whitening, past, z, share)
    if settling:
        return replace(state, z=z, share=1.0, past=past, ewma=deviation.begin(charts.deviation))
    state = _charted(charts, replace(state, z=z, share=share, past=past), w)
    if twin.isolation is None or state.window is None:
        return state
    window = isolation.fold(twin.isolation, state.window, z, trust=share, periods=periods)
    return _looked(twin, replace(state, window=window), periods)


def _trusted(twin: Twin, state: State, z: F8, share: float, periods: int, *, settling: bool) -> trust.State | None:
    """What a verdict rests on: rows that count in full, one after the other."""
    if twin.trust is None or state.trusted is None:
        return None
    if settling or share < 1.0:
        return trust.broken(state.trusted)
    before = trust.broken(state.trusted) if periods > 1 else state.trusted
    return trust.fold(twin.trust, before, z)


def verdict(twin: Twin, state: State) -> Verdict:
    """What the reference filter's word is worth."""
    if twin.trust is None or state.trusted is None:
        return Verdict(Level.UNKNOWN, -1, "this twin has no healthy rows to compare with")
    return trust.verdict(twin.trust, state.trusted)


def _charted(charts: Charts, state: State, w: F8) -> State:
    return replace(
        state,
        ewma=deviation.fold(charts.deviation, state.ewma, w, state.share),
        sums=cusum.fold(charts.cusum, state.sums, w, state.share),
    )


def deviations(twin: Twin, state: State) -> F8:
    """Signed, 1 = the limit of a healthy machine: f8[p]; NaN where the twin has no charts."""
    if twin.charts is None:
        return np.full(len(twin.plant.outputs), np.nan)
    return deviation.value(twin.charts.deviation, state.ewma)


def cusums(twin: Twin, state: State) -> F8:
    """Signed, 1 = the limit of a healthy machine: f8[p]; NaN where the twin has no charts."""
    if twin.charts is None:
        return np.full(len(twin.plant.outputs), np.nan)
    return cusum.value(twin.charts.cusum, state.sums)


def departed(twin: Twin, state: State) -> bool:
    """Whether a chart is beyond its limit."""
    beyond = np.maximum(np.abs(deviations(twin, state)), np.abs(cusums(twin, state)))
    return bool((beyond >= 1.0).any())


def _looked(twin: Twin, state: State, periods: int) -> State:
    """Which fault the residuals speak for, once they are beyond a limit: at once, then each LOOK_PERIODS."""
    if twin.isolation is None or state.window is None or not departed(twin, state):
        return replace(state, found=NOTHING, looked=LOOK_PERIODS)
    if state.looked + periods < LOOK_PERIODS:
        return replace(state, looked=state.looked + periods)
    return replace(state, found=isolation.finding(twin.isolation, state.window), looked=0)


def recalibrated(twin: Twin, state: State, output: int) -> State:
    """After a sensor was set right: what was held against it is forgotten, that of the others stays."""
    fresh = begin(twin)
    state = replace(state, trusted=fresh.trusted)
    if twin.charts is None:
        return state
    past, ewma, sums = state.past.copy(), state.ewma.copy(), state.sums.copy()
    past[output] = ewma[output] = sums[:, output] = 0.0
    return replace(state, past=past, ewma=ewma, sums=sums, window=fresh.window)
