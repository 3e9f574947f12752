"""Simulation-error fits by Levenberg-Marquardt: many starts side by side, a free initial state for each segment.

    min  sum_k w_k |y_k - yhat_k(theta, x0_s)|^2 + |theta - theta_0|^2_ridge + sum_s |x0_s|^2 start

(Ljung 1999, output error; Marquardt 1963.) A segment's start meets only its own rows: it is eliminated before the
solve (Schur complement). A step that leaves the stable matrices, or makes the cost worse, is refused and damped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.core.nouns import F8, Mask
from agent.fit.identify.network import Network, jacobian, run

RADIUS = 0.9995
LEAST_GAIN = 2e-3
PATIENCE = 4
LEAST = 1e-9
MOST_DAMPING = 1e7


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Segments side by side, scaled: u f8[rows,seg,m], y f8[rows,seg,p]; weight f8[rows,seg,p], 0 behind the end of a
    segment. ceiling, floor f8[p]: what an output cannot pass; a row there only says that it would be beyond."""

    u: F8
    y: F8
    weight: F8
    ceiling: F8
    floor: F8

    def residual(self, yhat: F8, at: slice) -> tuple[F8, F8]:
        """sqrt(w) (y - yhat) and the mask of rows that pull: f8[rows,b,seg,p] each."""
        y = self.y[at, None]
        off = y - yhat
        content = ((y >= self.ceiling) & (off < 0)) | ((y <= self.floor) & (off > 0))
        root = np.where(content, 0.0, np.sqrt(self.weight[at, None]))
        return off * root, root


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """net: b sets; x0 f8[b,seg,n]; cost f8[b], error f8[b]: weighted mean square without the ridge."""

    net: Network
    x0: F8
    cost: F8
    error: F8


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """anchor: where the numbers come from; ridge f8[q], start f8[n]: what leaving it costs."""

    anchor: Network
    ridge: F8
    start: F8


def segments(u: Sequence[F8], y: Sequence[F8], ceiling: F8, floor: F8) -> Rows:
    """Segments padded to the longest, each row of each output with weight 1 / all of them."""
    rows, total = max(len(x) for x in u), sum(y_.size for y_ in y)
    U, Y = np.zeros((rows, len(u), u[0].shape[1])), np.zeros((rows, len(y), y[0].shape[1]))
    weight = np.zeros_like(Y)
    for s, (a, b) in enumerate(zip(u, y, strict=True)):
        U[: len(a), s], Y[: len(b), s], weight[: len(b), s] = a, b, 1.0 / total
    return Rows(U, Y, weight, ceiling, floor)


def fit(net: Network, x0: F8, rows: Rows, prior: Prior, iterations: int, every: int = 1) -> Fit:
    """The sets after so many steps at most. every: how many rows share one evaluation of the sensitivities."""
    thin = replace(rows, weight=np.where(np.arange(len(rows.u))[:, None, None] % every == 0, rows.weight * every, 0.0))
    best = _scored(net, x0, thin, prior)
    damping = np.full(len(x0), 1e-3)
    stalled = np.zeros(len(x0), np.int64)
    for _ in range(iterations):
        theta, starts = _step(best, thin, prior, damping, every)
        other = _scored(best.net.like(theta), starts, thin, prior)
        with np.errstate(invalid="ignore"):
            better = (other.cost < best.cost) & (_radius(other.net.A) < RADIUS)
        gained = np.where(better, (best.cost - other.cost) / best.cost, 0.0)
        stalled = np.where(gained > LEAST_GAIN, 0, stalled + 1)
        best = _where(better, other, best)
        damping = np.where(better, damping / 5.0, damping * 4.0)
        if np.all((stalled > PATIENCE) | (damping > MOST_DAMPING)):
            break
        damping = np.clip(damping, LEAST, 10 * MOST_DAMPING)
    return best


def _scored(net: Network, x0: F8, rows: Rows, prior: Prior) -> Fit:
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.sum(rows.residual(run(net, x0, rows.u)[1], slice(None))[0] ** 2, axis=(0, 2, 3))
        away = np.sum(prior.ridge * (net.flat() - prior.anchor.flat()) ** 2, axis=1)
        cost = error + away + np.sum(prior.start * x0**2, axis=(1, 2))
    return Fit(net, x0, np.where(np.isfinite(cost), cost, np.inf), error)


def _step(now: Fit, rows: Rows, prior: Prior, damping: F8, every: int) -> tuple[F8, F8]:
    """theta f8[b,q] and x0 f8[b,seg,n] after the damped Gauss-Newton step."""
    n, theta = now.net.n, now.net.flat()
    q = theta.shape[1]
    H, g = _normal(now, rows, every)
    Hxx = H[..., q:, q:] + np.eye(n) * prior.start
    Hxx = Hxx + damping[:, None, None, None] * (np.eye(n) * np.einsum("bsii->bsi", Hxx)[..., None])
    gx = g[..., q:] - prior.start * now.x0
    Htx = H[..., :q, q:]
    # Schur: theta first, with each segment's start taken out.
    solved = np.linalg.solve(Hxx, np.concatenate([Htx.swapaxes(2, 3), gx[..., None]], axis=3))
    whole = H[..., :q, :q].sum(axis=1) + np.eye(q) * prior.ridge
    whole = whole + damping[:, None, None] * np.eye(q) * (np.einsum("bii->bi", whole)[..., None] + LEAST)
    taken = (Htx @ solved).sum(axis=1)
    right = g[..., :q].sum(axis=1) - prior.ridge * (theta - prior.anchor.flat()) - taken[..., -1]
    dtheta = np.linalg.solve(whole - taken[..., :-1], right[..., None])[..., 0]
    dx = solved[..., -1] - (solved[..., :-1] @ dtheta[:, None, :, None])[..., 0]
    return theta + dtheta, now.x0 + dx


def _normal(now: Fit, rows: Rows, every: int) -> tuple[F8, F8]:
    """J' J f8[b,seg,q+n,q+n] and J' r f8[b,seg,q+n] of each segment."""
    b, count, n = now.x0.shape
    q = now.net.flat().shape[1]
    H, g = np.zeros((b, count, q + n, q + n)), np.zeros((b, count, q + n, 1))
    for first, yhat, dy in jacobian(now.net, now.x0, rows.u, every):
        at = slice(first, first + every * (len(yhat) - 1) + 1, every)
        off, root = rows.residual(yhat, at)
        J = (dy * root[..., None]).transpose(1, 2, 0, 3, 4).reshape(b, count, -1, q + n)
        Jt = J.swapaxes(2, 3)
        H += Jt @ J
        g += Jt @ off.transpose(1, 2, 0, 3).reshape(b, count, -1, 1)
    return H, g[..., 0]


def _radius(A: F8) -> F8:
    finite = np.asarray(np.isfinite(A).all(axis=(1, 2)), np.bool_)
    return np.where(finite, np.abs(np.linalg.eigvals(np.where(finite[:, None, None], A, 0.0))).max(axis=1), np.inf)


def _where(better: Mask, a: Fit, b: Fit) -> Fit:
    """Set by set the one or the other."""
    wide = np.reshape(better, (-1, 1, 1))
    pairs = ((a.net.W, b.net.W), (a.net.G, b.net.G), (a.net.V, b.net.V), (a.x0, b.x0))
    W, G, V, x0 = (np.where(wide, x, y) for x, y in pairs)
    return Fit(Network(W, G, V), x0, np.where(better, a.cost, b.cost), np.where(better, a.error, b.error))
