"""What a fit says about each parameter: its value, its interval, and what the recording cannot tell.

    cov(s) = H^-1 S H^-1,   H = J' J + I,   S = sum over batches of g g',  g = J' r of a batch

J and r are weighted by each output's residuals. Batches are stretches of rows: residuals of a real machine follow one
another, and a covariance that takes them for white would be far too sure (Huber 1967; Newey and West 1987).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from agent.core.nouns import F8
from agent.fit.physics.reading import Sketch, Unknown
from agent.fit.physics.search import Fit, Scale, weighted
from agent.fit.physics.trajectories import Trial
from agent.twin.kinds.physics.params import Component, Estimate, Line, Params

BATCHES = 30
COVERS = 0.95
ALIKE = 0.97
AT_BOUND = 0.01
# A parameter whose interval is wider than this share of what its bounds allow was not found.
VAGUE = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class Certainty:
    """sd f8[k] of s, and the correlation f8[k,k] of the parameters' errors."""

    sd: F8
    correlation: F8
    quantile: float


def certainty(trial: Trial, scaled: Scale, fit: Fit, start_sd: F8) -> Certainty:
    """How sure the parameters of a fit are; the starts of its runs are integrated out."""
    error, G = weighted(trial, scaled, fit.starts, start_sd, fit.s, fit.sigma)
    n, k = fit.starts.shape[1], len(fit.s)
    # Each start belongs to its run alone: project it out.
    rest = []
    for run in G:
        basis = np.linalg.qr(run[:, :n])[0]
        rest.append(run[:, n:] - basis @ (basis.T @ run[:, n:]))
    J = np.array(rest)
    H = np.einsum("rik,ril->kl", J, J) + np.eye(k)
    parts = max(1, round(BATCHES / len(J)))
    size = -(-J.shape[1] // parts)
    scores = [
        run[a : a + size].T @ e[a : a + size] for run, e in zip(J, error, strict=True) for a in range(0, len(e), size)
    ]
    batches = np.array(scores)
    batches = batches - batches.mean(axis=0)
    S = batches.T @ batches * (len(batches) / max(len(batches) - 1, 1)) + np.eye(k)
    inverse = np.linalg.inv(H)
    covariance = inverse @ S @ inverse
    sd = np.sqrt(np.diag(covariance))
    return Certainty(sd, covariance / np.outer(sd, sd), float(stats.t.ppf(0.5 + COVERS / 2, max(len(batches) - 1, 1))))


def estimates(unknown: Sequence[Unknown], scaled: Scale, fit: Fit, sure: Certainty) -> tuple[Estimate, ...]:
    """The table: interval of each parameter, NaN where the recording does not say, with the reason."""
    found = []
    for i, known in enumerate(unknown):
        half = sure.quantile * sure.sd[i]
        ends = np.array([fit.s.copy(), fit.s.copy()])
        ends[:, i] = np.clip(fit.s[i] + np.array([-half, half]), 0.0, 1.0)
        low, high = scaled.theta(ends)[:, i]
        remark = _remark(i, unknown, fit, sure)
        if 2 * half > VAGUE:
            low = high = np.nan
        found.append(
            Estimate(known.parameter, float(fit.theta[i]), known.low, known.high, float(low), float(high), remark)
        )
    return tuple(found)


def _remark(i: int, unknown: Sequence[Unknown], fit: Fit, sure: Certainty) -> str:
    said = []
    if fit.s[i] < AT_BOUND or fit.s[i] > 1 - AT_BOUND:
        said.append("at its bound")
    if 2 * sure.quantile * sure.sd[i] > VAGUE:
        said.append("not identifiable: the recording does not say")
    twins = [
        n.parameter
        for j, n in enumerate(unknown)
        if j != i and abs(sure.correlation[i, j]) > ALIKE and 2 * sure.quantile * sure.sd[i] > 0.1
    ]
    if twins:
        said.append(f"cannot be told apart from {', '.join(twins)}")
    return "; ".join(said)


def settled(sketch: Sketch, theta: F8) -> Params:
    """The sketch's parameters with theta f8[k] in place of what was unknown; health is new at them."""
    params = sketch.params
    values = {n.parameter: float(v) for n, v in zip(sketch.unknown, theta, strict=True)}
    components = tuple(_component(c, values) for c in params.components)
    lines = tuple(_line(line, values) for line in params.lines)
    health = tuple(replace(w, nominal=values.get(w.parameter, w.nominal)) for w in params.health)
    return replace(params, components=components, lines=lines, health=health)


def _component(c: Component, values: dict[str, float]) -> Component:
    return replace(c, values={n: values.get(f"{c.name}.{n}", v) for n, v in c.values.items()})


def _line(line: Line, values: dict[str, float]) -> Line:
    return replace(
        line, rise=values.get(f"{line.name}.rise", line.rise), share=values.get(f"{line.name}.share", line.share)
    )
