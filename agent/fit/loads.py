"""Load scenarios of a recording: a few stretches of it that stand for all, weighted by how much they stand for.

k-medoids over windows of the inputs (Kaufman & Rousseeuw 1990), begun at the windows that are farthest from each other:
the same recording gives the same scenarios, and each of them has really happened.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8
from agent.twin.lifetime.usage import Scenario

ROUNDS = 50
Rows = npt.NDArray[np.intp]


def scenarios(
    segments: Sequence[F8], period_s: float, window_s: float, step_s: float, most: int = 3
) -> tuple[Scenario, ...]:
    """Of inputs f8[rows,m] of segments without a cut, one row a period_s; windows of window_s in means over step_s.

    Empty where no segment is as long as a window. Windows within a tenth of a standard deviation of each other are one.
    """
    rows, held = max(round(step_s / period_s), 1), max(round(window_s / step_s), 1)
    windows = [w for u in segments for w in _windows(u, rows, held)]
    if not windows:
        return ()
    stack = np.stack(windows)
    scale = np.std(stack, axis=(0, 1))
    flat = (stack / np.where(scale > 0, scale, 1.0)).reshape(len(stack), -1)
    apart = np.sqrt(np.mean((flat[:, None] - flat[None]) ** 2, axis=2))
    medoids = _settled(apart, _far_apart(apart, most))
    nearest = np.argmin(apart[:, medoids], axis=1)
    share = np.bincount(nearest, minlength=len(medoids)) / len(stack)
    order = np.argsort(-share, kind="stable")
    return tuple(
        Scenario(f"recorded {rank}", float(share[k]), rows * period_s, stack[medoids[k]])
        for rank, k in enumerate(order, 1)
        if share[k] > 0
    )


def _windows(u: F8, rows: int, held: int) -> list[F8]:
    """Whole windows f8[held,m] of means over `rows` rows each; those with an absent value are left out."""
    count = len(u) // (rows * held)
    cut = u[: count * rows * held].reshape(count, held, rows, u.shape[1]).mean(axis=2)
    return [w for w in cut if np.isfinite(w).all()]


def _far_apart(apart: F8, most: int) -> Rows:
    """The window in the middle of all, then each that is farthest from those chosen."""
    chosen = [int(np.argmin(apart.sum(axis=1)))]
    while len(chosen) < most:
        left = apart[:, chosen].min(axis=1)
        if left.max() < 0.1:
            break
        chosen.append(int(np.argmax(left)))
    return np.array(chosen, np.intp)


def _settled(apart: F8, medoids: Rows) -> Rows:
    """Each window to its nearest medoid, each medoid to the middle of its windows, until nothing moves."""
    for _ in range(ROUNDS):
        nearest = np.argmin(apart[:, medoids], axis=1)
        moved = medoids.copy()
        for k in range(len(medoids)):
            own = np.flatnonzero(nearest == k)
            if len(own):
                moved[k] = own[np.argmin(apart[np.ix_(own, own)].sum(axis=1))]
        if np.array_equal(moved, medoids):
            break
        medoids = moved
    return medoids
