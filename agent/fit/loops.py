"""The PLC's PI loops, read off a recording: which gain and reset time move this input as it was moved.

Over some rows in which the input was free, a PI loop adds up to (its own form, taken over several periods)

    u_k+L - u_k  =  -K (y_k+L - y_k)  +  b K (r_k+L - r_k)  +  K / Ti  T sum (r - y)

which is linear in K, b K and K / Ti: least squares, with large errors bounded (Huber 1964). Rows at the limits of the
input are left out: there the integral stands still. The other half of the recording is the judge: a loop that does not
explain how its input moved there is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8
from agent.fit.recording import FitError, Recording, Segment, cut
from agent.twin.trial.loop import Loop

SPAN = 10
EXPLAINED = 0.7
ROWS = 60
BLOCKS = 8
EDGE = 2e-3
ROUNDS = 12
HUBER = 1.345


@dataclass(frozen=True, slots=True)
class Found:
    """A loop, and the share of its input's movement that it explains on rows it was not fitted to."""

    loop: Loop
    explained: float
    rows: int


def identify(
    recording: Recording,
    measured: str,
    manipulated: str,
    setpoint: str = "",
    *,
    where: Mapping[str, float] | None = None,
    settle_s: float = 0.0,
) -> Found:
    """The PI loop from `measured` to `manipulated`; setpoint: its column ("": it stands still). FitError where the
    recording does not show one."""
    names = [manipulated, measured, *([setpoint] if setpoint else [])]
    segments = cut(recording, names, where=where, settle_s=settle_s)
    u = np.concatenate([s.value[:, 0] for s in segments]) if segments else np.zeros(0)
    if not len(u) or np.ptp(u) == 0.0:
        raise FitError(f"{recording.path}: {manipulated} never moves, no loop can be found")
    low, high = _limits(u)
    parts = [_moves(s, recording.period_s, low, high) for s in segments]
    G, moved = np.vstack([g for g, _ in parts]), np.concatenate([d for _, d in parts])
    if len(moved) < ROWS:
        raise FitError(f"{recording.path}: {manipulated} is free of its limits in {len(moved)} rows, expected {ROWS}")
    explained = _explained(G, moved)
    theta = _fitted(G, moved)
    K, pull = float(theta[0]), float(theta[1])
    what = f"{recording.path}: {measured} -> {manipulated}"
    if explained < EXPLAINED:
        raise FitError(
            f"{what}: a PI loop explains {100 * max(explained, 0.0):.0f} % of how the input moved on rows it was not "
            f"fitted to, expected {100 * EXPLAINED:.0f} %"
        )
    if not K * pull > 0:
        raise FitError(f"{what}: proportional and integral action pull apart (K {K:.3g}, K/Ti {pull:.3g} 1/s)")
    weight = float(theta[2]) / K if setpoint else 1.0
    loop = Loop(measured, manipulated, K, K / pull, setpoint, weight, low, high)
    return Found(loop, explained, len(moved))


def _limits(u: F8) -> tuple[float, float]:
    """The limits of an input where it stands at them often, NaN where it does not."""
    edge = EDGE * np.ptp(u)
    low, high = float(u.min()), float(u.max())
    stands = [np.mean(np.abs(u - value) <= edge) > 0.01 for value in (low, high)]
    return (low if stands[0] else math.nan), (high if stands[1] else math.nan)


def _moves(segment: Segment, period_s: float, low: float, high: float) -> tuple[F8, F8]:
    """Regressors f8[rows,3 or 4] (K, K / Ti, b K, or a constant) and moves f8[rows] of the windows that are free."""
    value = segment.value
    u, y = value[:, 0], value[:, 1]
    if len(u) <= SPAN:
        return np.zeros((0, 3)), np.zeros(0)
    r = value[:, 2] if value.shape[1] > 2 else np.zeros(len(u))
    error = np.concatenate([[0.0], np.cumsum(0.5 * (r - y)[1:] + 0.5 * (r - y)[:-1])]) * period_s
    edge = EDGE * max(float(np.ptp(u)), 1e-12)
    bound = (np.abs(u - low) <= edge) | (np.abs(u - high) <= edge)
    held = np.concatenate([[0], np.cumsum(bound)])
    free = held[SPAN + 1 :] - held[: -SPAN - 1] == 0
    step = r[SPAN:] - r[:-SPAN] if value.shape[1] > 2 else np.full(len(u) - SPAN, SPAN * period_s)
    G = np.column_stack([y[:-SPAN] - y[SPAN:], error[SPAN:] - error[:-SPAN], step])
    return G[free], (u[SPAN:] - u[:-SPAN])[free]


def _fitted(G: F8, moved: F8) -> F8:
    """Least squares with errors bounded by iterated weights: f8[3]."""
    weight: F8 = np.ones(len(moved))
    theta: F8 = np.zeros(G.shape[1])
    for _ in range(ROUNDS):
        root = np.sqrt(weight)
        theta = np.asarray(np.linalg.lstsq(G * root[:, None], moved * root, rcond=1e-10)[0], np.float64)
        error = np.abs(moved - G @ theta)
        sd = max(1.4826 * float(np.median(error)), 1e-12)
        weight = np.minimum(1.0, HUBER * sd / np.maximum(error, 1e-300))
    return theta


def _explained(G: F8, moved: F8) -> float:
    """Share of the moves' variance that each half explains of the other: R^2, blocks in turn."""
    half = np.arange(len(moved)) * BLOCKS // len(moved) % 2 == 0
    error = np.empty(len(moved))
    for known in (half, ~half):
        error[~known] = moved[~known] - G[~known] @ _fitted(G[known], moved[known])
    return 1.0 - float(np.sum(error**2)) / max(float(np.sum(moved**2)), 1e-300)
