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
from agent.twin.isolation import projected
from agent.twin.kind import Channel, Health
from agent.twin.plant import Plant
from agent.twin.signature import Fault, Signatures, templates, whitened
from agent.twin.whitening import Whitening

WINDOW = 128
LAGS = (0, 1, 2, 3, 5, 8, 12, 18, 27, 40, 60, 90, 135, 200)
AGES = (5, 8, 12, 18, 27, 40, 60, 90, 135, 200, 400)
SPOTS = 6
WARM = 60
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


def learned(
    plant: Plant,
    white: Whitening,
    stretches: Sequence[Stretch],
    residuals: Residuals,
    healthy: Sequence[F8],
    cases: Sequence[Case] = (),
) -> Signatures:
    """Signatures of every sensor, input and health parameter of the plant, and of the labelled cases.

    stretches: where the responses are taken, `residuals` run over them; healthy: z f8[rows,p] of held-out rows, from
    which comes how far each direction is from white noise.
    """
    spots = _spots(stretches)
    faults = [
        *(_sensor(j, c, spots, residuals) for j, c in enumerate(plant.outputs)),
        *(_input(j, c, spots, residuals) for j, c in enumerate(plant.inputs)),
        *(_health(h, plant, spots, residuals) for h in plant.health),
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


def _spots(stretches: Sequence[Stretch]) -> list[Stretch]:
    """SPOTS stretches of the length that a response needs, spread over the recording."""
    length = WARM + LAGS[-1] + 1
    long = [s for s in stretches if len(s.u) >= length]
    if not long:
        longest = max(stretches, key=lambda s: len(s.u))
        return [longest]
    starts = [(s, a) for s in long for a in range(0, len(s.u) - length + 1, length)]
    at = np.unique(np.linspace(0, len(starts) - 1, SPOTS).round().astype(int))
    return [Stretch(s.u[a : a + length], s.y[a : a + length]) for s, a in (starts[i] for i in at)]


def _sensor(j: int, channel: Channel, spots: Sequence[Stretch], residuals: Residuals) -> Fault:
    def faulty(s: Stretch, size: float) -> Stretch:
        return replace(s, y=_raised(s.y, j, size))

    return _fault(f"{channel.tag} sensor", channel.tag, channel, spots, residuals, faulty)


def _input(j: int, channel: Channel, spots: Sequence[Stretch], residuals: Residuals) -> Fault:
    def faulty(s: Stretch, size: float) -> Stretch:
        return replace(s, u=_raised(s.u, j, size))

    return _fault(f"{channel.tag} sensor or actuator", channel.tag, channel, spots, residuals, faulty)


def _health(health: Health, plant: Plant, spots: Sequence[Stretch], residuals: Residuals) -> Fault:
    def faulty(s: Stretch, size: float) -> Stretch:
        warm = min(WARM, len(s.u) // 3)
        worn = _simulated(plant, s.u, warm, health, size) - _simulated(plant, s.u, warm, health, 0.0)
        y = s.y.copy()
        y[warm:] += worn[warm:]
        return replace(s, y=y)

    scale = _worn(health)
    response = _response(spots, residuals, faulty, PUT_IN * scale)
    ages = np.ones(len(AGES))
    return Fault(health.name, health.component, health.unit, _side(health), 1.0, scale, response, ages)


def _fault(
    name: str,
    component: str,
    channel: Channel,
    spots: Sequence[Stretch],
    residuals: Residuals,
    faulty: Callable[[Stretch, float], Stretch],
) -> Fault:
    response = _response(spots, residuals, faulty, PUT_IN * channel.scale)
    return Fault(name, component, channel.unit, 0, 1.0, channel.scale, response, np.ones(len(AGES)))


def _response(
    spots: Sequence[Stretch], residuals: Residuals, faulty: Callable[[Stretch, float], Stretch], size: float
) -> F8:
    """f8[lags,p] to a fault of size 1: the mean over spots and both signs."""
    total = []
    for s in spots:
        warm = min(WARM, len(s.u) // 3)
        up, down = (faulty(s, sign * size) for sign in (1.0, -1.0))
        difference = (residuals(up.u, up.y) - residuals(down.u, down.y)) / (2.0 * size)
        lag = np.minimum(warm + np.array(LAGS), len(difference) - 1)
        total.append(difference[lag])
    return np.asarray(np.nan_to_num(np.mean(total, axis=0)), np.float64)


def _expected(fault: Fault) -> Fault:
    return replace(fault, scale=EXPECTED / float(np.max(np.abs(fault.response))))


def _raised(values: F8, column: int, size: float) -> F8:
    out = values.copy()
    out[min(WARM, len(out) // 3) :, column] += size
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


def _simulated(plant: Plant, u: F8, onset: int, health: Health, size: float) -> F8:
    """Outputs f8[rows,p] of the plant alone under inputs f8[rows,m], its health changed by `size` at the onset."""
    x = plant.prior[0].copy()
    for _ in range(len(u)):
        x = plant.advance(x, u[0])
        x[health.state] = plant.prior[0][health.state]
    out = np.empty((len(u), len(plant.outputs)))
    for k, now in enumerate(u):
        if k == onset:
            x[health.state] = health.inner(float(health.value(x)) + size)
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
        ages = np.ones(len(AGES))
        found.append(Fault(name, first.component, first.unit, side, 1.0, scale, np.nan_to_num(response), ages))
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
    """The faults with the variance that healthy windows show in each one's direction and at each age."""
    t = templates(signatures)
    ratio = []
    for z in healthy:
        for end in range(signatures.window, len(z) + 1, STRIDE):
            w = whitened(signatures, z[end - signatures.window : end])
            if np.isfinite(w).all():
                N, D, _, _ = projected(signatures, t, w)
                ratio.append(N**2 / np.maximum(D, 1e-12))
    mean = np.mean(ratio, axis=0) if ratio else np.ones(len(t.fault))
    by_fault = np.maximum(mean.reshape(len(signatures.faults), -1, len(signatures.ages)).max(axis=1), 1.0)
    return tuple(replace(f, inflation=row) for f, row in zip(signatures.faults, by_fault, strict=True))
