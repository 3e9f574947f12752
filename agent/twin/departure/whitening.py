"""What of a residual its own past did not say: the common ground of `deviation` and `cusum`.

    w_k = soft((z_k - a_1 z_(k-1) - ... - a_q z_(k-q)) / sigma_w)
    soft(w) = w up to clip, beyond it clip + log(1 + w - clip), never over 3 clip; the same below

The residual of a reduced model is coloured: a recipe change bends it for minutes. The autoregression a, fitted on
held-out healthy residuals, takes out what the past already says, so that what is left is a step or a ramp that keeps
being fed: a leak, a drift, a worn pump. The soft clip bounds what one wild sample can do and how long recovery takes,
and still lets the output that a fault hits hardest lead. Where the inputs leave the domain of the recording a residual
is no evidence, neither for nor against: trust falls from 1 at its edge to 0 a quarter further out, and is regained
over twenty periods, while what the excursion left in the state dies away. (Montgomery 2013 ch. 10: charts over
residuals.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8

# Beyond this multiple of the domain's radius the model says nothing that counts.
REMOTE = 1.25
REGAIN = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Whitening:
    """a f8[p,q]: autoregression of each output's normalised residual, newest first; spread f8[p]: standard deviation
    of what it leaves; clip: in spreads."""

    a: F8
    spread: F8
    clip: float

    def problems(self, p: int) -> list[str]:
        """What is wrong with it for p outputs."""
        shaped = self.a.ndim == 2 and len(self.a) == p and self.a.shape[1] > 0 and self.spread.shape == (p,)
        if not shaped:
            return [f"whitening of {p} outputs"]
        return [] if np.all(self.spread > 0) and self.clip > 0 else ["whitening spread and clip over 0"]


def begin(whitening: Whitening) -> F8:
    """No past: f8[p,q]."""
    return np.zeros_like(whitening.a)


def fold(whitening: Whitening, past: F8, z: F8, trust: float) -> tuple[F8, F8]:
    """(past f8[p,q], w f8[p]) after a row of normalised residuals z f8[p]; absent (NaN) ones stay NaN in w."""
    foreseen = np.sum(whitening.a * past, axis=1)
    present = np.isfinite(z)
    known = np.where(present, z, foreseen)
    w = soft((known - foreseen) / whitening.spread, whitening.clip)
    # A wild value must not echo through the autoregression either: the memory takes what was counted. What was not
    # trusted is taken as it is: it is explained.
    remembered = trust * (foreseen + w * whitening.spread) + (1.0 - trust) * known
    return _pushed(past, remembered), np.where(present, w, np.nan)


def coast(whitening: Whitening, past: F8, periods: int) -> F8:
    """The past after periods without any residual: the autoregression fills in."""
    for _ in range(min(periods, 10 * past.shape[1])):
        past = _pushed(past, np.sum(whitening.a * past, axis=1))
    return past


def trust(before: float, remoteness: float, periods: int) -> float:
    """How much a residual counts, 0 to 1, at this distance from the recording (1: the edge of its domain)."""
    here = min(max((REMOTE - remoteness) / (REMOTE - 1.0), 0.0), 1.0)
    return min(here, before + REGAIN * periods)


def soft(w: F8, clip: float) -> F8:
    """w drawn in beyond `clip`, in the logarithm: f8[...]."""
    size = np.abs(w)
    beyond = np.log1p(np.maximum(size - clip, 0.0))
    return np.asarray(np.sign(w) * np.minimum(np.minimum(size, clip) + beyond, 3.0 * clip), np.float64)


def _pushed(past: F8, newest: F8) -> F8:
    out = np.empty_like(past)
    out[:, 0], out[:, 1:] = newest, past[:, :-1]
    return out
