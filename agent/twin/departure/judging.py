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
    ewma f8[p], sums f8[2,p]: of `whitening`, `deviation`, `cusum`; empty where the twin has no charts. departure
    f8[2,p]: deviation and CUSUM, signed, 1 = the limit of a healthy machine, NaN without charts. window: what isolation
    looks at; None where the twin has no signatures. trusted: what a verdict rests on; None where the twin has no
    reference for one; verdict: what the reference filter's word was worth when that last changed. found: what isolation
    saw when it last looked, `looked` periods ago."""

    z: F8
    share: float
    past: F8
    ewma: F8
    sums: F8
    departure: F8
    window: isolation.State | None
    found: Finding
    looked: int
    trusted: trust.State | None
    verdict: Verdict


def begin(twin: Twin) -> State:
    """Nothing seen."""
    none = np.zeros(0)
    charts, p = twin.charts, len(twin.plant.outputs)
    trusted = trust.begin(twin.trust) if twin.trust else None
    return State(
        z=np.full(p, np.nan),
        share=1.0,
        past=whitening.begin(charts.whitening) if charts else none,
        ewma=deviation.begin(charts.deviation) if charts else none,
        sums=cusum.begin(charts.cusum) if charts else none,
        departure=np.full((2, p), 0.0 if charts else np.nan),
        window=isolation.begin(twin.isolation) if twin.isolation else None,
        found=UNKNOWN if twin.isolation is None else NOTHING,
        looked=LOOK_PERIODS,
        trusted=trusted,
        verdict=_verdict(twin, trusted),
    )


def resume(twin: Twin, state: State) -> State:
    """After a stop: what was seen of small, lasting departures, and the verdict, stand still meanwhile; the rest is
    over."""
    fresh = begin(twin)
    kept = trust.broken(state.trusted) if state.trusted else None
    departure = _departure(twin.charts, fresh.ewma, state.sums) if twin.charts else fresh.departure
    return replace(fresh, sums=state.sums, departure=departure, trusted=kept, verdict=state.verdict)


def fold(twin: Twin, state: State, z: F8, remoteness: float, periods: int, *, settling: bool) -> State:
    """`periods` on. z f8[p]: normalised residuals; remoteness: 1 is the edge of what the twin has seen. While the
    reference settles a residual says nothing yet."""
    charts, share = twin.charts, whitening.trust(state.share, remoteness, periods)
    trusted = _trusted(twin, state, z, share, periods, settling=settling)
    changed = trusted is not None and state.trusted is not None and trusted.window is not state.trusted.window
    verdict = _verdict(twin, trusted) if changed else state.verdict
    if charts is None:
        return replace(state, z=z, share=1.0 if settling else share, trusted=trusted, verdict=verdict)
    past = whitening.coast(charts.whitening, state.past, periods - 1)
    past, w = whitening.fold(charts.whitening, past, z, share)
    ewma, sums, window = deviation.begin(charts.deviation), state.sums, state.window
    if not settling:
        ewma = deviation.fold(charts.deviation, state.ewma, w, share)
        sums = cusum.fold(charts.cusum, sums, w, share)
        if twin.isolation is not None and window is not None:
            window = isolation.fold(twin.isolation, window, z, trust=share, periods=periods)
    departure = _departure(charts, ewma, sums)
    found, looked = (state.found, state.looked) if settling else _looked(twin, state, window, departure, periods)
    return State(
        z=z,
        share=1.0 if settling else share,
        past=past,
        ewma=ewma,
        sums=sums,
        departure=departure,
        window=window,
        found=found,
        looked=looked,
        trusted=trusted,
        verdict=verdict,
    )


def _trusted(twin: Twin, state: State, z: F8, share: float, periods: int, *, settling: bool) -> trust.State | None:
    """What a verdict rests on: rows that count in full, one after the other."""
    if twin.trust is None or state.trusted is None:
        return None
    if settling or share < 1.0:
        return trust.broken(state.trusted)
    before = trust.broken(state.trusted) if periods > 1 else state.trusted
    return trust.fold(twin.trust, before, z)


def _verdict(twin: Twin, trusted: trust.State | None) -> Verdict:
    """What the reference filter's word is worth."""
    if twin.trust is None or trusted is None:
        return Verdict(Level.UNKNOWN, -1, "this twin has no healthy rows to compare with")
    return trust.verdict(twin.trust, trusted)


def _departure(charts: Charts, ewma: F8, sums: F8) -> F8:
    return np.array([deviation.value(charts.deviation, ewma), cusum.value(charts.cusum, sums)])


def departed(state: State) -> bool:
    """Whether a chart is beyond its limit."""
    return _beyond(state.departure)


def _beyond(departure: F8) -> bool:
    return bool((np.abs(departure) >= 1.0).any())


def _looked(
    twin: Twin, state: State, window: isolation.State | None, departure: F8, periods: int
) -> tuple[Finding, int]:
    """Which fault the residuals speak for, once they are beyond a limit: at once, then each LOOK_PERIODS."""
    if twin.isolation is None or window is None:
        return state.found, state.looked
    if not _beyond(departure):
        return NOTHING, LOOK_PERIODS
    if state.looked + periods < LOOK_PERIODS:
        return state.found, state.looked + periods
    return isolation.finding(twin.isolation, window), 0


def recalibrated(twin: Twin, state: State, output: int) -> State:
    """After a sensor was set right: what was held against it is forgotten, that of the others stays."""
    fresh = begin(twin)
    state = replace(state, trusted=fresh.trusted, verdict=fresh.verdict)
    if twin.charts is None:
        return state
    past, ewma, sums, departure = (part.copy() for part in (state.past, state.ewma, state.sums, state.departure))
    past[output] = ewma[output] = sums[:, output] = departure[:, output] = 0.0
    return replace(state, past=past, ewma=ewma, sums=sums, departure=departure, window=fresh.window)
