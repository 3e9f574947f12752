"""How far the machine is from its model, per output: an EWMA over whitened residuals, 1 = limit reached.

    e_k = (1 - trust lambda) e_(k-1) + trust lambda w_k          deviation = e / limit

It answers a large departure within seconds, and forgets one that is over. `whitening` makes w; the limit comes from
held-out healthy rows (`agent.fit.judging.limits`). (Roberts 1959.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8


@dataclass(frozen=True, slots=True, eq=False)
class Deviation:
    """share: lambda; limit f8[p]: of |e|, over 0."""

    share: float
    limit: F8

    def problems(self, p: int) -> list[str]:
        """What is wrong with it for p outputs."""
        sound = self.limit.shape == (p,) and bool(np.all(self.limit > 0)) and 0 < self.share <= 1
        return [] if sound else [f"deviation with a share in (0, 1] and {p} limits over 0"]


def begin(deviation: Deviation) -> F8:
    """No departure: e f8[p]."""
    return np.zeros_like(deviation.limit)


def fold(deviation: Deviation, ewma: F8, w: F8, trust: float | F8) -> F8:
    """e f8[p] after a row of whitened residuals w f8[p]; absent (NaN) ones leave it still."""
    weight = np.where(np.isfinite(w), trust * deviation.share, 0.0)
    return np.asarray((1.0 - weight) * ewma + weight * np.where(np.isfinite(w), w, 0.0), np.float64)


def value(deviation: Deviation, ewma: F8) -> F8:
    """Signed, 1 = the limit of a healthy machine: f8[p]."""
    return np.asarray(ewma / deviation.limit, np.float64)
