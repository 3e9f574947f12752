"""Kinds made for tests: a linear one in continuous time, a battery, a tank with a floor and a rim; all with seeds."""

from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
from scipy.linalg import expm

from agent.twin.filtering import Sample
from agent.twin.kind import Affine, Channel, Health
from agent.twin.plant import Plant


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """x' = F x + G u + w, y = C x + D u; spectral density W; prior covariance P0."""

    F: np.ndarray
    G: np.ndarray
    C: np.ndarray
    D: np.ndarray
    W: np.ndarray
    P0: np.ndarray


@lru_cache(maxsize=4096)
def _affine(p, dt_s):
    n, m = p.G.shape
    whole = expm(np.block([[p.F, p.G], [np.zeros((m, n + m))]]) * dt_s)
    return Affine(whole[:n, :n], whole[:n, n:], np.zeros(n), p.C, p.D, np.zeros(len(p.C)))


@lru_cache(maxsize=4096)
def _linear_noise(p, dt_s):
    """Van Loan 1978; a long time as twice its half."""
    if dt_s > 4.0:
        A, Q = _affine(p, dt_s / 2).A, _linear_noise(p, dt_s / 2)
        return A @ Q @ A.T + Q
    n = len(p.F)
    whole = expm(np.block([[-p.F, p.W], [np.zeros((n, n)), p.F.T]]) * dt_s)
    Q = whole[n:, n:].T @ whole[:n, n:]
    return 0.5 * (Q + Q.T)


def _linear_advance(p, x, u, dt_s):
    m = _affine(p, dt_s)
    return x @ m.A.T + u @ m.B.T


linear_kind = SimpleNamespace(
    __name__="tests.linear",
    Params=Linear,
    check=lambda p, i, o: [],
    prior=lambda p: (np.zeros(len(p.F)), p.P0),
    advance=_linear_advance,
    outputs=lambda p, x, u: x @ p.C.T + u @ p.D.T,
    process_noise=_linear_noise,
    health=lambda p: (),
    affine=_affine,
)


def channels(name, count, scale=1.0, mean=0.0):
    return tuple(Channel(f"{name}/{k}", "", mean, scale, mean - 3 * scale, mean + 3 * scale) for k in range(count))


def plant(kind, params, m, p, v, R, period_s=1.0, quantum=None):
    quantum = np.zeros(p) if quantum is None else quantum
    return Plant(kind, params, channels("u", m), channels("y", p), channels("v", v), period_s, R, quantum)


def random_linear(seed, *, n=None, m=None, p=None, v=1, kind=linear_kind):
    """A stable system of n states, m inputs, p measured outputs; time constants of 1 to 100 periods."""
    rng = np.random.default_rng(seed)
    n, m, p = n or rng.integers(1, 7), m or rng.integers(1, 4), p or rng.integers(1, 5)
    V = np.linalg.qr(rng.normal(size=(n, n)))[0]
    S = rng.normal(size=(n, n)) * 0.1
    F = V @ np.diag(-(10.0 ** rng.uniform(-2, 0, n))) @ V.T + (S - S.T)
    W = rng.normal(size=(n, n)) * 10.0 ** rng.uniform(-2, 0)
    params = Linear(
        F,
        rng.normal(size=(n, m)),
        rng.normal(size=(p + v, n)),
        rng.normal(size=(p + v, m)) * rng.integers(0, 2),
        W @ W.T + 1e-6 * np.eye(n),
        10.0 ** rng.uniform(0, 2) * np.eye(n),
    )
    return plant(kind, params, m, p, v, 10.0 ** rng.uniform(-3, 1, p))


# The same systems through the cubature filter: no matrices.
as_points = SimpleNamespace(**{**vars(linear_kind), "affine": lambda p, dt_s: None, "__name__": "tests.points"})


@dataclass(frozen=True, slots=True)
class Tank:
    """h' = (u - k sqrt(h)) / area, 0 <= h <= rim; k = 0.5 exp(wear)."""

    area: float = 10.0
    rim: float = 4.0


def _tank_advance(p, x, u, dt_s):
    h, wear = x[..., 0], x[..., 1]
    for _ in range(4):
        flow = u[..., 0] - 0.5 * np.exp(np.clip(wear, -3, 3)) * np.sqrt(np.maximum(h, 0.0))
        h = np.clip(h + dt_s / 4 / p.area * flow, 0.0, p.rim)
    return np.stack(np.broadcast_arrays(h, wear), axis=-1)


def _tank_outputs(p, x, u):
    h, wear = x[..., 0], x[..., 1]
    out = 0.5 * np.exp(np.clip(wear, -3, 3)) * np.sqrt(np.maximum(h, 0.0))
    return np.stack([np.clip(h, 0.0, p.rim), out], axis=-1)


TANK_HEALTH = Health("tank.wear", "outlet", "", 1, 0.5, np.nan, 0.05, 5.0, 0.1, 1e-3, True)

tank_kind = SimpleNamespace(
    __name__="tests.tank",
    Params=Tank,
    check=lambda p, i, o: [],
    prior=lambda p: (np.array([1.0, 0.0]), np.diag([1.0, 0.01])),
    advance=_tank_advance,
    outputs=_tank_outputs,
    process_noise=lambda p, dt_s: np.diag([1e-5, 1e-6]) * dt_s,
    health=lambda p: (TANK_HEALTH,),
    affine=lambda p, dt_s: None,
)


def tank():
    """One level measured, the flow out virtual."""
    return plant(tank_kind, Tank(), 1, 1, 1, np.array([1e-4]))


def _battery_volts(x):
    """State of charge and open-circuit voltage."""
    soc = (7777 - 7856.3254 + x[..., 1]) / 7777
    return soc, x[..., 1] / (((-230 * soc + 1.2) * soc + 2079.9) * soc + 27.055726)


def _battery_rates(x, i):
    """The equivalent circuit of Daigle and Sankararaman 2013, with its published parameters: f8[...,4]."""
    (soc, vb), vcs, vcp, rs = _battery_volts(x), x[..., 3] / 234.387, x[..., 2] / 14.8223, 0.0538926
    rcp = 0.0697776 + 1.50528e-17 * np.exp(37.223 * (1 - soc))
    ib = i + (vb - vcp - vcs) / 1e4
    heat = (rcp * rs * 0.5 * (292.1 - x[..., 0]) + rcp * vcs**2 + rs * 19 * vcp**2) / (800 * rcp * rs)
    return np.stack([heat, -ib, ib - vcp / rcp, ib - vcs / rs], axis=-1)


_BATTERY_LOW, _BATTERY_HIGH = np.array([0.0, 0.0, -1e3, -1e3]), np.array([1e3, 1e4, 1e3, 1e3])


def _battery_advance(p, x, u, dt_s):
    """One Euler step, as its authors take it."""
    x = np.minimum(np.maximum(x, _BATTERY_LOW), _BATTERY_HIGH)
    i = np.minimum(np.maximum(u[..., 0], -100.0), 100.0)
    return np.minimum(np.maximum(x + dt_s * _battery_rates(x, i), _BATTERY_LOW), _BATTERY_HIGH)


def _battery_outputs(p, x, u):
    x = np.minimum(np.maximum(x, _BATTERY_LOW), _BATTERY_HIGH)
    return np.stack([x[..., 0], _battery_volts(x)[1] - x[..., 2] / 14.8223 - x[..., 3] / 234.387], axis=-1)


battery_kind = SimpleNamespace(
    __name__="tests.battery",
    Params=Tank,
    check=lambda p, i, o: [],
    prior=lambda p: (np.array([292.1, 7856.3254, 0.0, 0.0]), np.diag([1.0, 1e4, 1.0, 1.0])),
    advance=_battery_advance,
    outputs=_battery_outputs,
    process_noise=lambda p, dt_s: np.diag([1e-4, 1e-2, 1e-4, 1e-4]) * dt_s,
    health=lambda p: (),
    affine=lambda p, dt_s: None,
)


def battery():
    """Current in; temperature and voltage measured."""
    i = (Channel("i", "A", 2.0, 1.0, 0.0, 4.0),)
    t, v = Channel("t", "K", 295.0, 5.0, 285.0, 310.0), Channel("v", "V", 3.7, 0.3, 3.0, 4.2)
    return Plant(battery_kind, Tank(), i, (t, v), (), 1.0, np.array([1e-2, 1e-3]), np.zeros(2))


PLANTS = ("linear", "points", "tank", "battery")


def any_plant(name, seed):
    """One of PLANTS; the linear ones differ by seed."""
    if name in ("linear", "points"):
        return random_linear(seed, kind=linear_kind if name == "linear" else as_points)
    return tank() if name == "tank" else battery()


def ordeal(subject, seed, count):
    """Samples and how they are taken: (sample, late, how). The truth jumps, clocks stutter, sensors lie or are gone."""
    rng = np.random.default_rng(seed)
    m, p, period_ns = len(subject.inputs), len(subject.outputs), round(subject.period_s * 1e9)
    x, t_ns = subject.prior[0], 0
    sd = np.sqrt(np.diag(subject.prior[1]))
    u = np.array([c.mean for c in subject.inputs])
    calm = 0
    for _ in range(count):
        dt_ns = period_ns
        if calm == 0 and rng.random() < 0.3:
            dt_ns = int(period_ns * rng.choice([0.0, 1e-9, 0.03, 0.5, 0.98, 1.01, 2.0, 2.7, 40.0, 1e5]))
        t_ns += dt_ns
        if rng.random() < 0.1:
            u = np.array([c.mean + c.scale * rng.normal() for c in subject.inputs])
        x = subject.advance(x, u, min(dt_ns, 50 * period_ns) * 1e-9) if dt_ns else x
        if rng.random() < 0.003:
            x = x + sd * rng.normal(size=subject.n) * 10.0 ** rng.uniform(-1, 2)
        y = subject.observe(x, u)[:p] + np.sqrt(subject.noise) * rng.normal(size=p)
        shown, weight = u.copy(), np.ones(p)
        # Calm stretches, so that gains settle; between them everything at once.
        calm = calm - 1 if calm else (int(rng.integers(20, 300)) if rng.random() < 0.02 else 0)
        if calm == 0:
            y[rng.random(p) < 0.2] = np.nan
            weight = rng.choice([1.0, 25.0, 25.0, 1e6, 0.0, np.nan, np.inf, -1.0], p)
            if rng.random() < 0.05:
                y[rng.integers(p)] = rng.choice([1e300, -1e300, np.inf, -np.inf, 1e9, y[0] + 50.0])
            if m and rng.random() < 0.05:
                shown[rng.integers(m)] = rng.choice([np.nan, np.inf, 1e300, -1e12])
        late_ns = int(rng.integers(0, 20 * period_ns)) if calm == 0 and rng.random() < 0.05 else 0
        how = {"frozen": bool(calm == 0 and rng.random() < 0.2), "bounded": bool(seed % 3 == 0)}
        yield Sample(t_ns - late_ns, shown, y, weight), late_ns > 0, how


def soundness(belief):
    """The smallest singular value of the root in standard deviations: over 0 where P is positive definite."""
    sd = np.sqrt(np.einsum("ij,ij->i", belief.root, belief.root))
    if not (np.isfinite(belief.x).all() and np.isfinite(sd).all() and np.all(sd > 0)):
        return 0.0
    return float(np.linalg.svd(belief.root / sd[:, None], compute_uv=False)[-1])
