"""What the equations leave out: noise of the measurements, and how far each state wanders by itself.

Residuals of a free run are a slow part (what the model misses) and white noise. Over a lag L a random walk w and
white noise r give

    E (e(t + L) - e(t))^2 = 2 r + w^2 L          E (e(t+1) - 2 e(t) + e(t-1))^2 = 6 r + 2 w^2 T
"""

from __future__ import annotations

import numpy as np

from agent.core.nouns import F8

# Over which the slow part is measured: long enough to stand out of the noise, short beside the process.
LAG_ROWS = 10


def measurement(error: F8, quantum: F8) -> F8:
    """Variance r of each output's noise f8[q], from errors f8[rows,runs,q] (NaN absent), quantisation taken off."""
    second = np.diff(error, n=2, axis=0)
    # The median does not see the kinks of a trip or a jump: of a square of a normal variable it is .4549 of the mean.
    r = np.nanmedian(second**2, axis=(0, 1)) / 0.4549 / 6.0
    floor = np.maximum(1e-4 * np.nanvar(error, axis=(0, 1)), 1e-18)
    return np.asarray(np.maximum(r - quantum**2 / 12.0, floor), np.float64)


def wandering(error: F8, r: F8, period_s: float) -> F8:
    """Walk w of each output's slow part, per square root of a second: f8[q]."""
    lag = min(LAG_ROWS, len(error) - 1)
    moved = np.nanmean((error[lag:] - error[:-lag]) ** 2, axis=(0, 1))
    return np.asarray(np.sqrt(np.maximum(moved - 2.0 * r, 0.02 * r) / (lag * period_s)), np.float64)


def quantum(y: F8) -> F8:
    """Step of the grid that the values of each column stand on, f8[q]; 0 where there is none to be seen."""
    return np.array([_step(column[np.isfinite(column)]) for column in y.reshape(-1, y.shape[-1]).T])


def _step(column: F8) -> float:
    levels = np.unique(column)
    if len(levels) < 3 or len(levels) > 0.5 * len(column):
        return 0.0
    step = float(np.min(np.diff(levels)))
    off = np.abs((levels - levels[0]) / step - np.round((levels - levels[0]) / step))
    return step if np.max(off) < 0.05 else 0.0
