"""How fast a health parameter drifts, learned on line from what the filter says of it.

    d = (z - z_new) / (z_failed - z_new)                       damage: 0 new, 1 worn out
    e = ((d + D)^c - D^c) / ((1 + D)^c - D^c)                  c < 1: wear that begins slowly, a power of use
    s = (1 - exp(-a e)) / (1 - exp(-a))                        a > 0: wear that speeds itself up is straight in s
    ds = (v + w) dtau + sqrt(b) dB                             a Wiener process whose rate
    dv = sqrt(q) dB'                                           wanders,
    dw = -w dtau / theta + g sqrt(2 / theta) dB"               and sways about it: days of rest, a hard week
    s^ = s - lag (v + w) + e,   e ~ N(0, R)                    the filter's estimate lags behind a ramp

(Whitmore & Schenkelberg 1997; Si, Wang, Chen, Hu & Zhou 2013, MSSP 35.) a, b, c, q, g and the factor on R are unknown:
a bank of hypotheses runs side by side, weighted by likelihood with forgetting (Raftery, Karny & Ettler 2010), so that
no setting has to be right. tau is a clock of use, in units of `life_s`: it stands while the twin does not hold, and
runs with the load where an `exposure` is named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from agent.core.nouns import F8
from agent.twin.kind import Health

# The bank. How wear bends, (a, c): it speeds up by e^a from new to failed, it begins as use^(1/c); lives in units of
# `life_s`; standard deviation of a life's length by diffusion, of the rate's change over one life, and of its sway, as
# shares; factors on R.
SHAPES = ((0.0, 1.0), (1.5, 1.0), (3.0, 1.0), (0.0, 0.5))
LIVES = (0.3, 1.0, 3.0)
DIFFUSIONS = (0.01, 0.08)
WANDERS = (0.1, 0.4)
SWAYS = (0.1, 0.7)
NOISES = (1.0, 4.0)
MEMORY = 0.03  # theta, of a life
FORGETTING = 0.999
FLOOR = 1e-9  # of a weight: no hypothesis is lost for good
FAST = 2.0  # standard deviation of the rate before any measurement, in 1 / life
BOUND = 4.0  # standard deviations from where the level has jumped, and the rate is not to blame

START = 0.05  # D

LEARNED = 12  # estimates before anything is said
WIDE = 0.3  # standard deviation of the damage that is too wide
SEEN = 0.8  # share of the open-loop spread under which the filter has learned of it
SURE = 0.975  # probability that the drift leads to failure


@dataclass(frozen=True, slots=True)
class Wear:
    """A health parameter whose drift is learned on line.

    life_s: how long such a component lasts, within a factor of 5; every_s: how often an estimate is taken (a few
    hundred times in a life), both on its clock. exposure: the input whose |u / mean|^exponent drives that clock ("": it
    runs with time).
    """

    health: str
    life_s: float
    every_s: float
    exposure: str = ""
    exponent: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """What is known of one drift: k hypotheses.

    mean f8[k,3], covariance f8[k,3,3] of (s, v, w) in lives; log_weight f8[k]. age_s: clock since it began; waited_s:
    since the last estimate; taken: estimates so far; open: variance that the parameter would have unobserved.
    """

    mean: F8
    covariance: F8
    log_weight: F8
    age_s: float
    waited_s: float
    taken: int
    open: float


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """The hypotheses, each f8[k]: bends a, c, life, diffusion b, wander (share of v), sway g, memory theta, noise."""

    a: F8
    c: F8
    life: F8
    b: F8
    wander: F8
    sway: F8
    memory: F8
    noise: F8


@cache
def bank() -> Bank:
    """All combinations. In a life L = 1/v: b = k^2 / L gives sd(length) = k L, a sway by a share of v g = share / L."""
    grids = np.meshgrid(range(len(SHAPES)), LIVES, DIFFUSIONS, WANDERS, SWAYS, NOISES, indexing="ij")
    shape, life, spread, wander, share, noise = (grid.ravel() for grid in grids)
    a, c = np.array(SHAPES)[shape].T
    return Bank(a, c, life, spread**2 / life, wander, share / life, MEMORY * life, noise)


def swayed(sway: F8, memory: F8, dtau: F8 | float) -> tuple[F8, F8, F8, F8, F8]:
    """An Ornstein-Uhlenbeck process over dtau (Gillespie 1996): w+ = a w + e, integral = c w + f.

    (a, c, Var e, Cov(e, f), Var f)."""
    r = dtau / memory
    a = np.exp(-r)
    c = -memory * np.expm1(-r)
    # Var f = g^2 theta^2 (2 r - 3 + 4 a - a^2); its leading term for short steps is 2 r^3 / 3.
    whole = np.where(r < 1e-3, 2.0 * r**3 / 3.0, 2.0 * r - 3.0 + 4.0 * a - a**2)
    return a, c, -(sway**2) * np.expm1(-2.0 * r), sway**2 * c**2 / memory, (sway * memory) ** 2 * whole


def straightened(d: F8, a: F8, c: F8) -> F8:
    """s of damage d under bends a and c; all broadcast."""
    e = begun(d, c)
    bent = np.where(a == 0.0, 1.0, a)
    return np.where(a == 0.0, e, np.expm1(-bent * e) / np.expm1(-bent))


def slope(d: F8, a: F8, c: F8) -> F8:
    """ds/dd of damage d."""
    bent = np.where(a == 0.0, 1.0, a)
    outer = np.where(a == 0.0, 1.0, bent * np.exp(-bent * begun(d, c)) / -np.expm1(-bent))
    return outer * c * (np.maximum(d, 0.0) + START) ** (c - 1.0) / _whole(c)


def damaged(s: F8, a: F8, c: F8) -> F8:
    """d of s: the inverse of `straightened`; where s can be of no damage, the nearest there is (e = 10)."""
    bent = np.where(a == 0.0, 1.0, a)
    left = np.maximum(1.0 + s * np.expm1(-bent), np.exp(-10.0 * np.abs(bent)))
    e = np.where(a == 0.0, s, -np.log(left) / bent)
    steep = c * START ** (c - 1.0) / _whole(c)
    return np.where(e < 0.0, e / steep, (np.maximum(e, 0.0) * _whole(c) + START**c) ** (1.0 / c) - START)


def begun(d: F8, c: F8) -> F8:
    """e of damage d; below 0 on its tangent there."""
    steep = c * START ** (c - 1.0) / _whole(c)
    return np.where(d < 0.0, steep * d, ((np.maximum(d, 0.0) + START) ** c - START**c) / _whole(c))


def _whole(c: F8) -> F8:
    return (1.0 + START) ** c - START**c


def way(health: Health) -> tuple[float, float]:
    """(where it is new, how far from there to failure) in the units of x."""
    new = health.inner(health.nominal)
    return new, health.inner(health.failed) - new


def limited(health: Health) -> bool:
    """Whether it is known where it is worn out, apart from where it is new."""
    if not math.isfinite(health.failed) or health.failed == health.nominal:
        return False
    return not health.relative or health.failed / health.nominal > 0.0


def begin(health: Health) -> Track:
    """Before any estimate, or after the component was replaced."""
    h = bank()
    k = len(h.life)
    covariance = np.zeros((k, 3, 3))
    covariance[:, 0, 0] = 1.0
    covariance[:, 1, 1] = (FAST / h.life) ** 2
    covariance[:, 2, 2] = h.sway**2
    return Track(np.zeros((k, 3)), covariance, np.full(k, -math.log(k)), 0.0, 0.0, 0, health.spread**2)


def waited(health: Health, track: Track, clock_s: float) -> Track:
    """The track after `clock_s` more of its clock, nothing taken."""
    return Track(
        track.mean,
        track.covariance,
        track.log_weight,
        track.age_s + clock_s,
        track.waited_s + clock_s,
        track.taken,
        track.open + health.walk**2 * clock_s,
    )


def fold(health: Health, wear: Wear, track: Track, z: float, variance: float) -> Track:
    """The track with an estimate taken: what the filter says now, z and its variance (units of x, squared)."""
    if not (limited(health) and math.isfinite(z) and math.isfinite(variance)):
        return track
    waited_s, age_s = track.waited_s, track.age_s
    lag_s = min(variance / health.walk**2, age_s) if health.walk > 0 else age_s
    moved = _elapsed(track, waited_s / wear.life_s)
    new, span = way(health)
    # Estimates that a filter of time constant lag_s gives every waited_s are not independent: the variance of their
    # mean is that of an AR(1) process, coth(waited / 2 lag) times what independent ones would have.
    together = 1.0 / math.tanh(max(waited_s / (2.0 * max(lag_s, 1e-9)), 1e-3))
    return _measured(moved, (z - new) / span, variance / span**2 * together, lag_s / wear.life_s)


def vague(health: Health, variance: float) -> str:
    """Why a posterior of that variance (of x) is too wide to be carried forward; "" where it is not."""
    spread = math.sqrt(variance) / abs(way(health)[1])
    return "" if spread <= WIDE else f"known only to {spread:.0%} of the way from new to worn out"


def hidden(health: Health, track: Track, variance: float) -> str:
    """Why nothing can be said of this drift yet; "" where it can."""
    if not limited(health):
        return "no limit known at which it is worn out"
    if health.walk <= 0:
        return "the filter holds it constant (walk 0)"
    if not math.isfinite(variance) or variance >= SEEN**2 * track.open:
        return "not observed: the measurements tell nothing about it"
    if blurred := vague(health, variance):
        return blurred
    if track.taken < LEARNED:
        return f"not enough history: {track.taken} of {LEARNED} estimates"
    sure = _leads(track)
    return "" if sure >= SURE else f"no drift that can be told from zero (probability {sure:.2f})"


def weights(track: Track) -> F8:
    """Probability of each hypothesis: f8[k], sum 1."""
    return np.exp(track.log_weight)


def rate(track: Track, wear: Wear) -> tuple[float, float]:
    """Mean and standard deviation of the rate, in (shares of the way to failure) / s of the clock."""
    w, v = weights(track), track.mean[:, 1]
    mean = float(w @ v)
    variance = float(w @ (track.covariance[:, 1, 1] + (v - mean) ** 2))
    return mean / wear.life_s, math.sqrt(variance) / wear.life_s


def _leads(track: Track) -> float:
    """P(v > 0) over the bank."""
    z = track.mean[:, 1] / np.sqrt(track.covariance[:, 1, 1])
    return float(weights(track) @ [0.5 * math.erfc(-one / math.sqrt(2.0)) for one in z])


def _elapsed(track: Track, dt: float) -> Track:
    """x+ = F x, P+ = F P F' + Q over dt: q of the wander is e^2 / L^3."""
    h = bank()
    q = h.wander**2 / h.life**3
    a, c, ww, sw, ss = swayed(h.sway, h.memory, dt)
    F = np.broadcast_to(np.eye(3), track.covariance.shape).copy()
    F[:, 0, 1], F[:, 0, 2], F[:, 2, 2] = dt, c, a
    P = F @ track.covariance @ F.transpose(0, 2, 1)
    P[:, 0, 0] += h.b * dt + q * dt**3 / 3.0 + ss
    P[:, 0, 1] += q * dt**2 / 2.0
    P[:, 1, 0] = P[:, 0, 1]
    P[:, 1, 1] += q * dt
    P[:, 0, 2] += sw
    P[:, 2, 0] = P[:, 0, 2]
    P[:, 2, 2] += ww
    return replace(track, mean=(F @ track.mean[:, :, None])[:, :, 0], covariance=P)


def _measured(track: Track, d: float, variance: float, lag: float) -> Track:
    """One estimate of the damage: Joseph form, a level that may jump, weights by likelihood with forgetting."""
    h = bank()
    seen = np.full_like(h.a, min(max(d, -1.0), 3.0))
    stretch = slope(seen, h.a, h.c)
    # s^ = [1 -lag -lag] (s, v, w) + e
    H = np.array([1.0, -lag, -lag])
    P = track.covariance.copy()
    R = h.noise * variance * stretch**2
    nu = straightened(seen, h.a, h.c) - track.mean @ H
    S = P @ H @ H + R
    P[:, 0, 0] += np.maximum((nu / BOUND) ** 2 - S, 0.0)
    PH = P @ H
    S = PH @ H + R
    K = PH / S[:, None]
    A = np.eye(3) - K[:, :, None] * H
    P = A @ P @ A.transpose(0, 2, 1) + R[:, None, None] * K[:, :, None] * K[:, None, :]
    # ln p(d^) = ln p(s^) + ln ds/dd
    likelihood = np.log(stretch) - 0.5 * (np.log(S) + nu**2 / S)
    return replace(
        track,
        mean=track.mean + K * nu[:, None],
        covariance=P,
        log_weight=_normal(FORGETTING * track.log_weight + likelihood),
        waited_s=0.0,
        taken=track.taken + 1,
    )


def _normal(log_weight: F8) -> F8:
    w = np.exp(log_weight - log_weight.max())
    w = np.maximum(w / w.sum(), FLOOR)
    return np.asarray(np.log(w / w.sum()), np.float64)
