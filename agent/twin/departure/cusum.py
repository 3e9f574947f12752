"""Small departures that last, per output: a two-sided CUSUM over whitened residuals, 1 = limit reached.

    S+_k = max(0, S+_(k-1) + trust (w_k - slack))
    S-_k = max(0, S-_(k-1) - trust (w_k + slack))
    value = S+ / limit where S+ is the larger one, else -S- / limit

A shift of less than `slack` never counts, one of twice that is found soonest (Page 1954; Moustakides 1986). The sums
stop at CEILING limits, so that a fault that stood for a week is over soon after its repair. The limit is set for a
stated budget of false alarms (`agent.fit.judging.limits`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8

CEILING = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Cusum:
    """slack: half of the shift to be found, in standard deviations of w; limit f8[p]: of the sums, over 0;
    budget_days: days of a healthy machine for one false alarm over all outputs."""

    slack: float
    limit: F8
    budget_days: float

    def problems(self, p: int) -> list[str]:
        """What is wrong with it for p outputs."""
        sound = self.limit.shape == (p,) and bool(np.all(self.limit > 0)) and self.slack > 0 and self.budget_days > 0
        return [] if sound else [f"cusum with {p} limits, a slack and a budget over 0"]


def begin(cusum: Cusum) -> F8:
    """No departure: the sums f8[2,p], upward then downward."""
    return np.zeros((2, len(cusum.limit)))


def fold(cusum: Cusum, sums: F8, w: F8, trust: float | F8) -> F8:
    """The sums after a row of whitened residuals w f8[p]; absent (NaN) ones leave them still."""
    step = np.array([w, -w]) - cusum.slack
    step = np.where(np.isfinite(step), step, 0.0)
    return np.minimum(np.maximum(sums + trust * step, 0.0), CEILING * cusum.limit)


def value(cusum: Cusum, sums: F8) -> F8:
    """Signed, 1 = the limit of a healthy machine: f8[p]."""
    return np.asarray(np.where(sums[0] >= sums[1], sums[0], -sums[1]) / cusum.limit, np.float64)
