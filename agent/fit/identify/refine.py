"""A linear start made better for whole runs, with tanh units where asked.

Several starts agree on the recording and part on inputs that it does not have: the part of their error that is chance.
The middle one (the medoid of their free runs) is taken and drawn towards the mean of all on such inputs: the
recording's own, backwards, and with their phases drawn anew (Theiler 1992; distillation, Hinton 2015).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.core.nouns import F8
from agent.fit.identify.levenberg import Fit, Prior, Rows, fit, segments
from agent.fit.identify.linear import Linear
from agent.fit.identify.network import Network, run
from agent.fit.pieces import Piece, chopped

# What leaving the start costs, as a share of the outputs' variance for one standard size of a number.
RIDGE = 3e-4
RIDGE_OUTPUT = 3e-3
RIDGE_START = 1e-4
RESIDUALS = 4000
MOST_ROWS = 6000
KICK = 0.02
FROZEN = 1e9
STARTS_ALONE = 3


@dataclass(frozen=True, slots=True, eq=False)
class Stops:
    """Where outputs stop, scaled; infinite where they do not: low f8[p], high f8[p]."""

    low: F8
    high: F8


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """net: one set; x0 f8[n] and P0 f8[n,n]: what its states were over the recording."""

    net: Network
    x0: F8
    P0: F8


def refined(
    start: Linear, pieces: Sequence[Piece], stops: Stops, *, units: int, starts: int, iterations: int, seed: int
) -> Refined:
    """The best of so many units (none: the linear part alone). Without iterations the numbers stay as they are; only
    the starts of the segments are found."""
    cut = _some(chopped(pieces))
    rows = segments([p.u for p in cut], [p.y for p in cut], stops.high, stops.low)
    net = widened(start.net, units, starts if units else 1, seed)
    x0 = np.zeros((len(net.W), len(cut), net.n))
    weight = ridge(net) if iterations else np.full(net.flat().shape[1], FROZEN)
    prior = Prior(net, weight, np.full(net.n, RIDGE_START))
    every = max(1, sum(p.y.size for p in cut) // RESIDUALS)
    found = fit(net, x0, rows, prior, iterations or STARTS_ALONE, every)
    if len(net.W) > 1:
        found = _agreed(found, cut, rows, prior, iterations // 2, every, np.random.default_rng(seed))
    return _summed(found, rows)


def _agreed(
    found: Fit, cut: Sequence[Piece], rows: Rows, prior: Prior, iterations: int, every: int, draw: np.random.Generator
) -> Fit:
    """The middle set, fitted to the recording and to the mean of all sets on other inputs, half and half."""
    middle, net = _medoid(found, rows), found.net
    other = [u for p in cut for u in (p.u[::-1], _redrawn(p.u, draw))]
    at = np.array([state.mean(axis=0) for state in _states(found, rows)])
    mean = []
    for u in other:
        y = run(net, at[:, None], u[:, None])[1][:, :, 0]
        mean.append(np.clip(y, rows.floor, rows.ceiling).mean(axis=1))
    both = segments([p.u for p in cut] + other, [p.y for p in cut] + mean, rows.ceiling, rows.floor)
    count = np.array([p.y.size for p in cut] + [y.size for y in mean], np.float64)
    share = np.where(np.arange(len(count)) < len(cut), 0.5 / count[: len(cut)].sum(), 0.5 / count[len(cut) :].sum())
    both = replace(both, weight=np.where(both.weight > 0, share[:, None], 0.0))
    begun = np.concatenate([found.x0[[middle]], np.repeat(at[[middle], None], len(other), axis=1)], axis=1)
    anchored = replace(prior, anchor=prior.anchor.pick([middle]))
    drawn = fit(net.pick([middle]), begun, both, anchored, iterations, every)
    return replace(drawn, x0=drawn.x0[:, : len(cut)])


def _some(cut: list[Piece]) -> list[Piece]:
    """Segments of at most MOST_ROWS rows in all, evenly over the recording."""
    every = math.ceil(sum(len(p.u) for p in cut) / MOST_ROWS)
    return cut[:: max(every, 1)]


def _redrawn(u: F8, draw: np.random.Generator) -> F8:
    """u f8[rows,m] with random phases, the same for all inputs, within its range: same spectra, another course."""
    spectrum = np.fft.rfft(u, axis=0)
    phase = np.exp(2j * np.pi * draw.random(len(spectrum)))
    phase[0] = 1.0
    return np.clip(np.fft.irfft(spectrum * phase[:, None], len(u), axis=0), u.min(axis=0), u.max(axis=0))


def widened(net: Network, units: int, sets: int, seed: int) -> Network:
    """`sets` copies of a linear network, each with its own random units that do almost nothing yet."""
    draw = np.random.default_rng(seed)
    n, p, thin = net.n, net.V.shape[1], net.W.shape[2]
    G = draw.standard_normal((sets, units, thin)) / np.sqrt(thin - 1)
    G[..., -1] = draw.uniform(-1.0, 1.0, (sets, units))
    E = KICK * draw.standard_normal((sets, n, units))
    W = np.concatenate([np.repeat(net.W, sets, axis=0), E], axis=2)
    V = np.concatenate([np.repeat(net.V, sets, axis=0), np.zeros((sets, p, units))], axis=2)
    return Network(W, G, V)


def ridge(net: Network) -> F8:
    """The cost of each number: f8[q]. Units in the output map cost most: what is dynamic belongs into the state."""
    W, G, V = np.full(net.W.shape[1:], RIDGE), np.full(net.G.shape[1:], RIDGE), np.full(net.V.shape[1:], RIDGE)
    V[:, net.G.shape[2] :] = RIDGE_OUTPUT
    return np.concatenate([W.ravel(), G.ravel(), V.ravel()])


def _summed(found: Fit, rows: Rows) -> Refined:
    X = _states(found, rows)[0]
    mean = X.mean(axis=0)
    P0 = (X - mean).T @ (X - mean) / len(X)
    floor = 1e-4 * np.trace(P0) / len(P0)
    return Refined(found.net, mean, P0 + floor * np.eye(len(P0)))


def _states(found: Fit, rows: Rows) -> F8:
    """All states of each set over the rows that there are: f8[b,rows,n]."""
    states = run(found.net, found.x0, rows.u)[0]
    return states.transpose(1, 0, 2, 3)[:, rows.weight[..., 0] > 0]


def _medoid(found: Fit, rows: Rows) -> int:
    """The set whose free run is nearest to the others': least median distance, so that odd ones do not draw it."""
    y = np.clip(run(found.net, found.x0, rows.u)[1], rows.floor, rows.ceiling)
    y = y.transpose(1, 0, 2, 3)[:, rows.weight[..., 0] > 0]
    apart = np.sqrt(np.mean((y[:, None] - y[None]) ** 2, axis=(2, 3)))
    return int(np.argmin(np.median(apart, axis=1)))
