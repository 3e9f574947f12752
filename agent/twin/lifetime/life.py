"""Remaining life: the belief drifted forward by Monte Carlo, all particles at once, to first passage of failure.

    lifetime = min { t : damage(t) >= 1  or  the plant's own dynamics cross a limit }

over the posterior, load scenarios, the drift's diffusion and the plant's process noise. A life is in seconds of
running: of time in which the twin holds. It is an interval, censored beyond the horizon, or a reason why there is none.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.core import wire
from agent.core.nouns import F8
from agent.twin.kind import Health
from agent.twin.lifetime import drift, passage, usage
from agent.twin.lifetime.drift import Track, Wear
from agent.twin.lifetime.passage import Belief, Limit
from agent.twin.lifetime.usage import Recent, Scenario
from agent.twin.plant import Plant

MOST = 20_000  # steps of the plant's equations
SHOWN = 48  # times in the table of a result
TELLING = 0.05  # damage that a part may move before its life is asked for again


@dataclass(frozen=True, slots=True, eq=False)
class Widening:
    """What held-out lives say of the intervals of a wear: how far each end is to be moved out, in ln(life).

    edges f8[b]: of bands of damage; lower, upper f8[b+1]: at 5 and 95 %, negative where it may be narrower; asked: from
    how many predictions. Made by `agent.fit.metrics.widening`: split-conformal, band by band (Vovk 2012, Mondrian).
    """

    edges: F8
    lower: F8
    upper: F8
    asked: int


@dataclass(frozen=True, slots=True, eq=False)
class Lives:
    """The file's section `lives`.

    step_s: of the plant's equations, where there are `limits`; else steps grow with time. slot_s, slots: the recent
    hours, used where there are no `scenarios`. origin: what the settings rest on, "simulation" say.
    """

    wears: tuple[Wear, ...]
    limits: tuple[Limit, ...]
    scenarios: tuple[Scenario, ...]
    horizon_s: float
    step_s: float
    particles: int
    origin: str
    slot_s: float = 900.0
    slots: int = 96
    widening: Widening | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What is learned on line, and survives restarts: a track for each wear, the recent hours."""

    tracks: tuple[Track, ...]
    recent: Recent


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """When one part fails, or the whole. reason: why there is no estimate ("" where there is one).

    p_fail f8[g]: probability of failure before the result's times. p5_s, p50_s, p95_s: inf beyond the horizon, NaN
    without an estimate. not_before_s: it lasts so long with 95 %, the error of the Monte Carlo allowed for. censored:
    share of the particles beyond the horizon. now: damage (0 new, 1 worn out; NaN for a limit) at present.
    """

    name: str
    reason: str
    p_fail: F8
    p5_s: float
    p50_s: float
    p95_s: float
    not_before_s: float
    censored: float
    now: float


@dataclass(frozen=True, slots=True, eq=False)
class Life:
    """A prediction. at_s f8[g]: times of the tables, from now. whole: the first part to fail; parts: each of them."""

    at_s: F8
    horizon_s: float
    particles: int
    origin: str
    whole: Forecast
    parts: tuple[Forecast, ...]


def encode(life: Life) -> str:
    """A result as the text of a command's argument."""
    return base64.b64encode(wire.encode(life)).decode()


def decode(text: str) -> Life:
    """A result from its text; ValueError where it is none."""
    return wire.decode(Life, base64.b64decode(text, validate=True))


def problems(plant: Plant, lives: Lives) -> list[str]:
    """What is wrong with the section for this plant, in words."""
    known = {h.name for h in plant.health}
    tags = {c.tag for c in (*plant.outputs, *plant.virtual)}
    inputs = {c.tag: c for c in plant.inputs}
    m = len(inputs)
    checks = [
        (lives.horizon_s > 0 and lives.step_s > 0 and lives.slot_s > 0, "life: times over 0"),
        (not lives.limits or lives.horizon_s <= MOST * lives.step_s, f"life: at most {MOST} steps to the horizon"),
        (100 <= lives.particles <= 100_000, "life.particles from 100 to 100000"),
        *((w.health in known, f"life.wears: a health parameter, got {w.health!r}") for w in lives.wears),
        *((w.life_s > 0 and w.every_s > 0, f"life.wears {w.health}: life_s, every_s over 0") for w in lives.wears),
        *((w.exposure in ("", *inputs), f"life.wears {w.health}: an input, got {w.exposure!r}") for w in lives.wears),
        *((x.of in known | tags, f"life.limits: a health parameter or an output, got {x.of!r}") for x in lives.limits),
        *((x.of in known or math.isfinite(x.limit), f"life.limits {x.of}: a limit") for x in lives.limits),
        *((s.u.ndim == 2 and s.u.shape[1] == m and len(s.u) > 0, f"{s.name}: rows of {m}") for s in lives.scenarios),
        *((s.weight > 0 and s.step_s > 0, f"{s.name}: weight, step_s over 0") for s in lives.scenarios),
    ]
    if lives.widening is not None:
        edges, sizes = lives.widening.edges, {len(lives.widening.lower) - 1, len(lives.widening.upper) - 1}
        checks.append((sizes == {len(edges)} and bool(np.all(np.diff(edges) > 0)), "life.widening: rising edges"))
    return [text for good, text in checks if not good]


def usual(plant: Plant, life_s: float, origin: str = "no life recorded") -> Lives | None:
    """A section for all health parameters that have a limit and walk; None where there are none. life_s: how long such
    parts last, within a factor of 5."""
    worn = [h for h in plant.health if drift.limited(h) and h.walk > 0]
    wears = tuple(Wear(h.name, life_s, life_s / 500.0) for h in worn)
    return Lives(wears, (), (), 5.0 * life_s, plant.period_s, 2000, origin) if wears else None


def begin(plant: Plant, lives: Lives) -> Course:
    """Before any estimate."""
    slots = 0 if lives.scenarios else lives.slots
    return Course(
        tuple(drift.begin(_health(plant, w.health)) for w in lives.wears),
        usage.nothing_yet(slots, len(plant.inputs)),
    )


def fold(plant: Plant, lives: Lives, course: Course, belief: Belief, u: F8, dt_s: float) -> Course:
    """The course after dt_s of running under inputs u f8[m] (NaN absent), the filter now believing `belief`."""
    tracks = []
    for wear, track in zip(lives.wears, course.tracks, strict=True):
        health = _health(plant, wear.health)
        clock_s = dt_s * float(passage.exposure(plant, wear, u)) if wear.exposure else dt_s
        later = drift.waited(health, track, clock_s)
        if later.waited_s >= wear.every_s:
            z, variance = float(belief.x[health.state]), float(np.sum(belief.root[health.state] ** 2))
            later = drift.fold(health, wear, later, z, variance)
        tracks.append(later)
    return Course(tuple(tracks), usage.remember(course.recent, u, dt_s, lives.slot_s))


def renewed(plant: Plant, lives: Lives, course: Course, component: str) -> Course:
    """The course after a component was replaced: its drift is not known any more."""
    health = [_health(plant, w.health) for w in lives.wears]
    fresh = [drift.begin(h) if h.component == component else t for h, t in zip(health, course.tracks, strict=True)]
    return replace(course, tracks=tuple(fresh))


def moved(plant: Plant, lives: Lives, belief: Belief, last: Life | None) -> bool:
    """Whether a part has changed so much since the last prediction that a new one is due at once."""
    if last is None:
        return True
    then = {part.name: part.now for part in last.parts}
    now = {w.health: _damage(plant, w.health, belief.x) for w in lives.wears}
    return any(not abs(d - then.get(name, math.nan)) <= TELLING for name, d in now.items())


def predict(plant: Plant, belief: Belief, lives: Lives, course: Course, seed: int) -> Life:
    """The life from now on. Pure; the same arguments give the same bits."""
    scenarios = lives.scenarios or usage.as_recently(course.recent, lives.slot_s)
    wearing = [(_health(plant, w.health), w, t) for w, t in zip(lives.wears, course.tracks, strict=True)]
    reasons = {w.health: _wear_reason(belief, h, w, t, scenarios) for h, w, t in wearing}
    reasons |= {x.of: _limit_reason(plant, belief, x, scenarios) for x in lives.limits}
    worn = [one for one in wearing if not reasons[one[1].health]]
    crossed = [x for x in lives.limits if not reasons[x.of]]
    at_s = passage.times(lives.horizon_s, lives.step_s, even=bool(crossed))
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        found = passage.passages(
            plant, belief, worn, crossed, scenarios, at_s, lives.particles, np.random.default_rng(seed)
        )
    lifetimes = dict(
        zip((*(w.health for _, w, _ in worn), *(x.of for x in crossed)), (*found[0], *found[1]), strict=True)
    )
    return _life(plant, belief, lives, reasons, lifetimes)


def _life(plant: Plant, belief: Belief, lives: Lives, reasons: Mapping[str, str], lifetimes: Mapping[str, F8]) -> Life:
    """The parts, and the whole: the first of those that have an estimate."""
    at_s = np.geomspace(lives.horizon_s / 1000.0, lives.horizon_s, SHOWN)
    parts, lifetimes = [], dict(lifetimes)
    for name, reason in reasons.items():
        now = _damage(plant, name, belief.x)
        if not reason and lives.widening is not None and math.isfinite(now):
            lifetimes[name] = _widened(lives.widening, lifetimes[name], now)
        parts.append(_estimate(lives, name, at_s, lifetimes[name], now) if not reason else _none(name, reason, now))
    told = [lifetimes[part.name] for part in parts if not part.reason]
    why = "; ".join(f"{part.name}: {part.reason}" for part in parts if part.reason) or "nothing here wears"
    first = _estimate(lives, "", at_s, np.min(told, axis=0), math.nan) if told else _none("", why, math.nan)
    return Life(at_s, lives.horizon_s, lives.particles, lives.origin, first, tuple(parts))


def _estimate(lives: Lives, name: str, at_s: F8, lifetimes: F8, now: float) -> Forecast:
    """The distribution of lifetimes f8[N] in numbers. Order statistics, so that what is censored stays so."""
    t = np.sort(np.where(lifetimes > lives.horizon_s, np.inf, lifetimes))
    n = len(t)
    p5, p50, p95 = (float(t[math.ceil(p * n) - 1]) for p in (0.05, 0.5, 0.95))
    if p5 == 0.0 and math.isinf(p95):
        return _none(name, "the posterior is too wide: from now to beyond the horizon", now)
    # The lower end of the order statistics that hold the 5 % quantile with 95 % (Wilks 1941).
    surely = max(math.floor(0.05 * n - 1.645 * math.sqrt(0.05 * 0.95 * n)), 1)
    return Forecast(
        name=name,
        reason="",
        p_fail=np.searchsorted(t, at_s, side="right") / n,
        p5_s=p5,
        p50_s=p50,
        p95_s=p95,
        not_before_s=min(float(t[surely - 1]), lives.horizon_s),
        censored=float(np.mean(np.isinf(t))),
        now=now,
    )


def _widened(widening: Widening, lifetimes: F8, now: float) -> F8:
    """Lifetimes f8[N] moved so that their 5 and 95 % lie where held-out lives want them; the median stays."""
    band = int(np.searchsorted(widening.edges, now, side="right"))
    order = np.argsort(lifetimes, kind="stable")
    rank = (np.arange(len(order)) + 0.5) / len(order)
    shift = np.interp(rank, [0.05, 0.5, 0.95], [-widening.lower[band], 0.0, widening.upper[band]])
    moved = np.empty_like(lifetimes)
    moved[order] = np.maximum.accumulate(lifetimes[order] * np.exp(shift))
    return moved


def _none(name: str, reason: str, now: float) -> Forecast:
    nan = math.nan
    return Forecast(name, reason, np.full(SHOWN, nan), nan, nan, nan, nan, nan, now)


def _wear_reason(belief: Belief, health: Health, wear: Wear, track: Track, scenarios: Sequence[Scenario]) -> str:
    if wear.exposure and not scenarios:
        return "no load scenario, and no hours seen yet"
    return drift.hidden(health, track, float(np.sum(belief.root[health.state] ** 2)))


def _limit_reason(plant: Plant, belief: Belief, limit: Limit, scenarios: Sequence[Scenario]) -> str:
    if plant.inputs and not scenarios:
        return "no load scenario, and no hours seen yet"
    health = next((h for h in plant.health if h.name == limit.of), None)
    if health is None:
        return ""
    if not drift.limited(health):
        return "" if math.isfinite(limit.limit) else "no limit known at which it is worn out"
    return drift.vague(health, float(np.sum(belief.root[health.state] ** 2)))


def _health(plant: Plant, name: str) -> Health:
    return next(h for h in plant.health if h.name == name)


def _damage(plant: Plant, name: str, x: F8) -> float:
    """Damage of the health parameter of that name (0 new, 1 worn out); NaN where it has no limit, or is an output."""
    health = next((h for h in plant.health if h.name == name), None)
    if health is None or not drift.limited(health):
        return math.nan
    new, span = drift.way(health)
    return float((x[health.state] - new) / span)
