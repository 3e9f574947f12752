"""Signatures of single faults, from the model itself and from labelled cases.

Nothing is derived by hand: a stretch of the recording is run through the reference filter as the daemon runs it, once
as it was and once with the fault put in, and the difference of the normalised residuals is the response. A sensor
that reads b too much shows in its own residual, less what the reference slowly takes in; an input that is b off (its
sensor, or an actuator that does not do what it says) in all outputs that it drives; a health parameter in what the
physics makes of it. A fault that no model knows is learned from cases whose cause a person has told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.core.nouns import F8
from agent.twin.departure.isolation import projected
from agent.twin.departure.signature import Fault, Signatures, templates, whitened
from agent.twin.departure.whitening import Whitening
from agent.twin.kind import Channel, Health
from agent.twin.plant import Plant

WINDOW = 128
LAGS = (0, 1, 2, 3, 5, 8, 12, 18, 27, 40, 60, 90, 135, 200)
AGES = (4, 8, 16, 32, 64, 128, 256, 400)
SPOTS = 4
MORE = 10  # periods after a start, over the time it takes to settle
STRIDE = 16
MISMATCH = 0.2
WILD = 4.0
# Size of the faults put in, in scales of the recording or of what is to be expected of a health parameter.
PUT_IN = 0.1
WORN = 0.2
# A fault is expected to move the residual it hits most by so much; what moves none by SEEN is left out.
EXPECTED = 10.0
SEEN = 0.2

# Normalised residuals f8[rows,p] of the reference filter over inputs f8[rows,m] and outputs f8[rows,p] in units.
Residuals = Callable[[F8, F8], F8]


@dataclass(frozen=True, slots=True)
class Case:
    """A labelled fault: what it was, how large, and z f8[rows,p] from its onset on."""

    name: str
    component: str
    unit: str
    size: float
    z: F8


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """An unbroken healthy part of the recording in units: u f8[rows,m], y f8[rows,p]."""

    u: F8
    y: F8


@dataclass(frozen=True, slots=True, eq=False)
class _Spot:
    """Where a response is taken: a stretch, its residuals z as it was, and the row where a fault begins."""

    u: F8
    y: F8
    z: F8
    onset: int
    residuals: Residuals

    def response(self, u: F8, y: F8) -> F8:
        """What another course of inputs and outputs does to the residuals: f8[lags,p]."""
        lag = np.minimum(self.onset + np.array(LAGS), len(self.z) - 1)
        return np.asarray((self.residuals(u, y) - self.z)[lag], np.float64)


_NO_INFLATION = np.ones(len(AGES))


def learned(
    plant: Plant,
    white: Whitening,
    stretches: Sequence[Stretch],
    residuals: Residuals,
    healthy: Sequence[F8],
    *,
    warm: int,
    cases: Sequence[Case] = (),
) -> Signatures:
    """Signatures of every sensor, input and health parameter of the plant, and of the labelled cases.

    stretches: where the responses are taken, `residuals` run over them; warm: periods until the reference filter
    stands by itself; healthy: z f8[rows,p] of held-out rows, from which comes how far each direction is from white
    noise.
    """
    spots = _spots(stretches, residuals, warm + MORE)
    faults = [
        *(_sensor(j, c, spots) for j, c in enumerate(plant.outputs)),
        *(_input(j, c, spots) for j, c in enumerate(plant.inputs)),
        *(_health(h, plant, spots) for h in plant.health),
        *_labelled(cases),
    ]
    seen = tuple(_expected(f) for f in faults if np.max(np.abs(f.response)) * f.scale >= SEEN)
    bare = Signatures(
        window=WINDOW,
        lags=LAGS,
        ages=AGES,
        a=white.a,
        spread=white.spread,
        covariance=np.eye(len(white.spread)),
        mismatch=MISMATCH,
        faults=seen,
    )
    correlated = replace(bare, covariance=_covariance(bare, healthy))
    return replace(correlated, faults=_inflated(correlated, healthy))


def taught(signatures: Signatures, cases: Sequence[Case]) -> Signatures:
    """The signatures with faults learned from labelled cases, perhaps of sister machines (their z over this one's
    spread); a fault of a known name is replaced. The inflation is the largest of the known ones."""
    known = [f for f in signatures.faults if f.name not in {c.name for c in cases}]
    ages = np.max([f.inflation for f in signatures.faults], axis=0) if known else np.ones(len(signatures.ages))
    learnt = [replace(_expected(f), inflation=ages) for f in _labelled(cases)]
    return replace(signatures, faults=(*known, *learnt))


def _spots(stretches: Sequence[Stretch], residuals: Residuals, warm: int) -> list[_Spot]:
    """SPOTS stretches of the length that a response needs, spread over the recording; else the longest there is."""
    length = warm + LAGS[-1] + 1
    starts = [(s, a) for s in stretches for a in range(0, len(s.u) - length + 1, length)]
    starts = starts or [(max(stretches, key=lambda s: len(s.u)), 0)]
    at = np.unique(np.linspace(0, len(starts) - 1, SPOTS).round().astype(int))
    cut = [(s.u[a : a + length], s.y[a : a + length]) for s, a in (starts[i] for i in at)]
    return [_Spot(u, y, residuals(u, y), min(warm, len(u) // 2), residuals) for u, y in cut]


def _sensor(j: int, channel: Channel, spots: Sequence[_Spot]) -> Fault:
    size = PUT_IN * channel.scale
    response = _mean([spot.response(spot.u, _raised(spot.y, spot.onset, j, size)) / size for spot in spots])
    return Fault(f"{channel.tag} sensor", channel.tag, channel.unit, 0, 1.0, channel.scale, response, _NO_INFLATION)


def _input(j: int, channel: Channel, spots: Sequence[_Spot]) -> Fault:
    size = PUT_IN * channel.scale
    response = _mean([spot.response(_raised(spot.u, spot.onset, j, size), spot.y) / size for spot in spots])
    name = f"{channel.tag} sensor or actuator"
    return Fault(name, channel.tag, channel.unit, 0, 1.0, channel.scale, response, _NO_INFLATION)


def _health(health: Health, plant: Plant, spots: Sequence[_Spot]) -> Fault:
    scale = _worn(health)
    size = PUT_IN * scale
    response = _mean([spot.response(spot.u, spot.y + _wear(plant, spot, health, size)) / size for spot in spots])
    return Fault(health.name, health.component, health.unit, _side(health), 1.0, scale, response, _NO_INFLATION)


def _mean(responses: Sequence[F8]) -> F8:
    return np.asarray(np.nan_to_num(np.mean(responses, axis=0)), np.float64)


def _expected(fault: Fault) -> Fault:
    return replace(fault, scale=EXPECTED / float(np.max(np.abs(fault.response))))


def _raised(values: F8, onset: int, column: int, size: float) -> F8:
    out = values.copy()
    out[onset:, column] += size
    return out


def _worn(health: Health) -> float:
    """A size of wear that is to be expected, in the health parameter's unit."""
    if np.isfinite(health.failed):
        return 0.5 * abs(health.failed - health.nominal)
    return WORN * abs(health.nominal) if health.nominal else health.spread


def _side(health: Health) -> int:
    """The sign of its change where only one is possible: towards `failed`, or off a bound."""
    if np.isfinite(health.failed):
        return int(np.sign(health.failed - health.nominal))
    return int(health.nominal <= health.low) - int(health.nominal >= health.high)


def _wear(plant: Plant, spot: _Spot, health: Health, size: float) -> F8:
    """What a change of health by `size` at the onset does to the outputs: f8[rows,p]."""
    new, worn = (_simulated(plant, spot.u, spot.onset, health, s) for s in (0.0, size))
    return worn - new


def _simulated(plant: Plant, u: F8, onset: int, health: Health, size: float) -> F8:
    """Outputs f8[rows,p] of the plant alone under inputs f8[rows,m], from where the first ones lead to."""
    x, as_new = plant.prior[0].copy(), plant.prior[0][health.state]
    for _ in range(len(u)):
        x = plant.advance(x, u[0])
        x[health.state] = as_new
    out = np.empty((len(u), len(plant.outputs)))
    for k, now in enumerate(u):
        if k == onset:
            x[health.state] = health.inner(health.nominal + size)
        out[k] = plant.observe(x, now)[: len(plant.outputs)]
        x = plant.advance(x, now)
    return out


def _labelled(cases: Sequence[Case]) -> list[Fault]:
    """One fault for each name: the mean response of its cases over their sizes."""
    found = []
    for name in dict.fromkeys(c.name for c in cases):
        own = [c for c in cases if c.name == name]
        response = np.nanmean([_smooth(c.z) / c.size for c in own], axis=0)
        sizes = np.array([c.size for c in own])
        side = int(np.sign(sizes[0])) if np.all(np.sign(sizes) == np.sign(sizes[0])) else 0
        scale = float(np.sqrt(np.mean(sizes**2)))
        first = own[0]
        response = np.nan_to_num(response)
        found.append(Fault(name, first.component, first.unit, side, 1.0, scale, response, _NO_INFLATION))
    return found


def _smooth(z: F8) -> F8:
    """z at LAGS, each the mean over a quarter of its lag to both sides."""
    rows = []
    for lag in LAGS:
        at, wide = min(lag, len(z) - 1), lag // 4
        rows.append(np.nanmean(z[max(at - wide, 0) : at + wide + 1], axis=0))
    return np.array(rows)


def _covariance(signatures: Signatures, healthy: Sequence[F8]) -> F8:
    """Of the whitened residuals, f8[p,p]; a wild one counts no more than one of WILD standard deviations."""
    w = np.vstack([whitened(signatures, z) for z in healthy if len(z) > signatures.a.shape[1]])
    w = np.clip(w[np.isfinite(w).all(axis=1)], -WILD, WILD)
    covariance = w.T @ w / len(w)
    return np.asarray(covariance + 1e-3 * np.diag(np.diag(covariance)), np.float64)


def _inflated(signatures: Signatures, healthy: Sequence[F8]) -> tuple[Fault, ...]:
    """The faults with the variance that healthy windows show in each one's direction, by age."""
    t, ratio = templates(signatures), list[F8]()
    for z in healthy:
        for end in range(signatures.window, len(z) + 1, STRIDE):
            w = whitened(signatures, z[end - signatures.window : end])
            if np.isfinite(w).all():
                N, D, _, _ = projected(signatures, t, w)
                ratio.append(N**2 / np.maximum(D, 1e-12))
    if not ratio:
        return signatures.faults
    mean = np.mean(ratio, axis=0)
    nearest = np.argmin(np.abs(np.log(t.age[:, None] / np.array(signatures.ages))), axis=1)
    by_age = [
        [float(np.mean(mean[(t.fault == k) & (nearest == a)])) for a in range(len(signatures.ages))]
        for k in range(len(signatures.faults))
    ]
    return tuple(replace(f, inflation=np.maximum(row, 1.0)) for f, row in zip(signatures.faults, by_age, strict=True))
