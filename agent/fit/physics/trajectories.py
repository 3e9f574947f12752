"""Free runs of a machine with parameters still unknown, and their sensitivities, all runs and all changes at once.

Unknown parameters enter as states that stand still; each change of one of them, or of a start, is one more particle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from agent.core.nouns import F8
from agent.fit.physics.reading import Sketch, Unknown
from agent.twin.kinds.physics import running
from agent.twin.kinds.physics.params import Params, Wear

STEP = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """An unbroken stretch in the units of its tags: u f8[rows,m], y f8[rows,q] (measured, then virtual outputs)."""

    u: F8
    y: F8


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Runs side by side: u f8[rows,runs,m], y f8[rows,runs,q], NaN behind the end of a run. `params` have the unknown
    ones as states behind the moving ones."""

    params: Params
    u: F8
    y: F8
    period_s: float

    @property
    def moving(self) -> int:
        """Number of moving states."""
        return len(self.params.starts)

    def outputs(self, x: F8) -> F8:
        """f8[rows, ..., q] of free runs from x f8[runs, ..., n]."""
        beside = (*self.u.shape[:2], *(1,) * (x.ndim - 2), self.u.shape[-1])
        return running.trajectory(self.params, x, self.u.reshape(beside), self.period_s)[0]

    def sensitivities(self, start: F8, theta: F8, size: F8) -> tuple[F8, F8]:
        """Outputs f8[rows,runs,q] from starts f8[runs,n] with unknown values theta f8[k], and what they change by for
        each start and value: f8[rows,runs,q,n+k]. size f8[n+k]: what is a change of 1 in each."""
        runs, width = len(start), len(size)
        x = np.hstack([start, np.broadcast_to(theta, (runs, len(theta)))])
        # Towards the inside of what is possible, where a state stands at its bound.
        moved = np.concatenate([x[:, None], x[:, None] + STEP * np.diag(size)], axis=1)
        out = self.outputs(moved)
        change = (out[:, :, 1:] - out[:, :, :1]) / STEP
        return out[:, :, 0], np.moveaxis(change, 2, 3).reshape(*out.shape[:2], -1, width)


def trial(sketch: Sketch, runs: Sequence[Run], period_s: float) -> Trial:
    """The runs side by side, the unknown parameters free."""
    rows = max(len(run.u) for run in runs)
    u = np.stack([np.vstack([run.u, np.repeat(run.u[-1:], rows - len(run.u), axis=0)]) for run in runs], axis=1)
    y = np.stack([np.pad(run.y, ((0, rows - len(run.y)), (0, 0)), constant_values=np.nan) for run in runs], axis=1)
    return Trial(freed(sketch.params, sketch.unknown), u, y, period_s)


def freed(params: Params, unknown: Sequence[Unknown]) -> Params:
    """Parameters with the unknown ones as states; health stands at its nominal value."""
    wears = tuple(
        Wear(n.parameter, n.parameter, "", "", 0.0, np.nan, -np.inf, np.inf, n.high - n.low, 0.0) for n in unknown
    )
    return replace(params, health=wears)


def windows(runs: Sequence[Run], rows: int) -> list[Run]:
    """The runs cut into stretches of about `rows`, none shorter than half of it but for runs that are."""
    found = []
    for run in runs:
        parts = max(1, round(len(run.u) / rows))
        edges = np.linspace(0, len(run.u), parts + 1).round().astype(int)
        found += [Run(run.u[a:b], run.y[a:b]) for a, b in pairwise(edges.tolist())]
    return found
