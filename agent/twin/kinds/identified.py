"""A twin identified from recordings: a stable linear part and, where it pays, a bounded nonlinear one.

    s_k     = tanh(F [x_k; u_k] + h)            units; none: the model is linear
    x_k+1   = A x_k + B u_k + a + E s_k + w,    w ~ N(0, Q)
    y_k     = C x_k + D u_k + c + K s_k         and no further than where that output stops

u and y stand here in scaled deviations, (value - mean) / scale. A is stable and tanh bounded, so bounded inputs give
bounded outputs whatever E, F, h and K are: |x| <= sum |A^k| (|B| |u| + |a| + |E|). The model cannot run away.
Rows of C, D, c, K are the measured outputs, then the virtual ones, which have no measurement to correct them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8
from agent.twin.kind import Affine, Channel, Health

DEFINITE = 1e-9
SAME = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Tanh:
    """The nonlinear part, of h units: F f8[h,n+m]; h f8[h]; E f8[n,h]; K f8[p+v,h]."""

    F: F8
    h: F8
    E: F8
    K: F8


@dataclass(frozen=True, slots=True)
class Stop:
    """Where an output (its index) stops in its unit: a tank that is full, a sensor at its end. NaN: it does not."""

    output: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Params:
    """Of a period: A f8[n,n]; B f8[n,m]; a f8[n]; C f8[p+v,n]; D f8[p+v,m]; c f8[p+v]; Q f8[n,n]. x0 f8[n], P0 f8[n,n]:
    the state before any measurement. u_mean, u_scale f8[m], y_mean, y_scale f8[p+v]: as the channels say."""

    period_s: float
    u_mean: F8
    u_scale: F8
    y_mean: F8
    y_scale: F8
    A: F8
    B: F8
    a: F8
    C: F8
    D: F8
    c: F8
    tanh: Tanh | None
    Q: F8
    x0: F8
    P0: F8
    stops: tuple[Stop, ...] = ()


def check(params: Params, inputs: tuple[Channel, ...], outputs: tuple[Channel, ...]) -> list[str]:
    """Shapes, a stable A, definite covariances, and the scaling of the channels."""
    n, m, p = len(params.x0), len(inputs), len(outputs)
    wrong = _shapes(params, n, m, p)
    if wrong:
        return wrong
    radius = float(np.max(np.abs(np.linalg.eigvals(params.A)))) if n else 0.0
    checks = (
        (radius < 1.0, f"a stable model.A, its spectral radius is {radius:.6g}"),
        (_semidefinite(params.Q), "model.Q positive semidefinite"),
        (_semidefinite(params.P0 - DEFINITE * np.eye(n)), "model.P0 positive definite"),
        (params.period_s > 0, "model.period_s over 0"),
        (_scaled(params.u_mean, params.u_scale, inputs), "model.u_mean and u_scale as the inputs say"),
        (_scaled(params.y_mean, params.y_scale, outputs), "model.y_mean and y_scale as the outputs say"),
        (
            all(0 <= s.output < p and not s.low >= s.high for s in params.stops),
            "model.stops of outputs, low under high",
        ),
    )
    return [text for good, text in checks if not good]


def prior(params: Params) -> tuple[F8, F8]:
    """As the file says: what the states were like over the recording."""
    return params.x0, params.P0


def advance(params: Params, x: F8, u: F8, dt_s: float) -> F8:
    """Whole periods one by one; a part s of a period as x + s (f(x, u) - x), which stays within what f bounds."""
    v = (u - params.u_mean) / params.u_scale
    whole, part = _periods(params, dt_s)
    for _ in range(whole):
        x = _next(params, x, v)
    return x + part * (_next(params, x, v) - x) if part else x


def outputs(params: Params, x: F8, u: F8) -> F8:
    """y of states f8[...,n] under inputs f8[...,m]: f8[...,p+v]."""
    v = (u - params.u_mean) / params.u_scale
    y = x @ params.C.T + v @ params.D.T + params.c
    if params.tanh is not None:
        y = y + _units(params.tanh, x, v) @ params.tanh.K.T
    y = params.y_mean + params.y_scale * y
    for stop in params.stops:
        y[..., stop.output] = np.fmin(np.fmax(y[..., stop.output], stop.low), stop.high)
    return np.asarray(y, np.float64)


def process_noise(params: Params, dt_s: float) -> F8:
    """Q of whole periods sum_i A^i Q A^i', and its share of what is left over."""
    whole, part = _periods(params, dt_s)
    A, left, total = np.eye(len(params.A)), whole, np.zeros_like(params.Q)
    power, summed = params.A, params.Q
    # Doubling: S_2k = S_k + A^k S_k A^k'.
    while left:
        if left & 1:
            total, A = summed + power @ total @ power.T, power @ A
        summed, power, left = summed + power @ summed @ power.T, power @ power, left >> 1
    return np.asarray(total + part * params.Q, np.float64)


def health(params: Params) -> tuple[Health, ...]:
    """None: a part of an identified state has no name."""
    del params
    return ()


def affine(params: Params, dt_s: float) -> Affine | None:
    """The matrices in the channels' units where there are no tanh units and no stops."""
    if params.tanh is not None or params.stops:
        return None
    whole, part = _periods(params, dt_s)
    n, m = params.B.shape
    # One matrix over [x; v; 1], so that powers of it are whole periods.
    M = np.eye(n + m + 1)
    M[:n] = np.hstack([params.A, params.B, params.a[:, None]])
    W = ((1.0 - part) * np.eye(n + m + 1) + part * M) @ np.linalg.matrix_power(M, whole)
    Bu = W[:n, n : n + m] / params.u_scale
    Du = params.y_scale[:, None] * params.D / params.u_scale
    offset = params.y_mean + params.y_scale * params.c
    return Affine(
        A=W[:n, :n],
        B=Bu,
        a=W[:n, -1] - Bu @ params.u_mean,
        C=params.y_scale[:, None] * params.C,
        D=Du,
        c=offset - Du @ params.u_mean,
    )


def _next(params: Params, x: F8, v: F8) -> F8:
    y = x @ params.A.T + v @ params.B.T + params.a
    if params.tanh is not None:
        y = y + _units(params.tanh, x, v) @ params.tanh.E.T
    return np.asarray(y, np.float64)


def _units(tanh: Tanh, x: F8, v: F8) -> F8:
    n = x.shape[-1]
    return np.asarray(np.tanh(x @ tanh.F[:, :n].T + v @ tanh.F[:, n:].T + tanh.h), np.float64)


def _periods(params: Params, dt_s: float) -> tuple[int, float]:
    """Whole periods, and the part of one that is left over; a part within 1e-6 of a whole is one."""
    periods = max(dt_s, 0.0) / params.period_s
    whole = int(periods + SAME)
    part = periods - whole
    return whole, part if part > SAME else 0.0


def _shapes(params: Params, n: int, m: int, p: int) -> list[str]:
    wanted: dict[str, tuple[int, ...]] = {
        "u_mean": (m,),
        "u_scale": (m,),
        "y_mean": (p,),
        "y_scale": (p,),
        "A": (n, n),
        "B": (n, m),
        "a": (n,),
        "C": (p, n),
        "D": (p, m),
        "c": (p,),
        "Q": (n, n),
        "P0": (n, n),
    }
    wrong = [_shape(name, getattr(params, name), shape) for name, shape in wanted.items()]
    if params.tanh is not None:
        h = len(params.tanh.h)
        units = (("F", (h, n + m)), ("E", (n, h)), ("K", (p, h)))
        wrong += [_shape(f"tanh.{name}", getattr(params.tanh, name), shape) for name, shape in units]
    return [text for text in wrong if text]


def _shape(name: str, array: F8, shape: tuple[int, ...]) -> str:
    return "" if array.shape == shape else f"model.{name} of shape {shape}, it is {array.shape}"


def _scaled(mean: F8, scale: F8, channels: Sequence[Channel]) -> bool:
    return bool(np.allclose(mean, [c.mean for c in channels]) and np.allclose(scale, [c.scale for c in channels]))


def _semidefinite(matrix: F8) -> bool:
    symmetric = np.allclose(matrix, matrix.T)
    return bool(symmetric and np.min(np.linalg.eigvalsh(matrix), initial=0.0) >= -DEFINITE * (1.0 + np.trace(matrix)))
