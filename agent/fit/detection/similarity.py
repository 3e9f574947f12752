"""Family `similarity`: what the nearest remembered windows would read, and the distance of what is left (AAKR, MSET).

    f^ = sum_i w_i m_i,  w = softmax(-|f - m_i|^2 / (2 h^2))        m_i: remembered healthy features
    d2 = (f - f^ - c)' M (f - f^ - c)                               c, M of the residuals of healthy windows

(auto-associative kernel regression: Hines and Garvey, J. Pattern Recognition Research 1 (2006) 2). It follows a
machine with several ways of being healthy, where one ellipsoid would have to hold them all.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agent.core.nouns import F8
from agent.fit.detection import ellipsoid
from agent.fit.detection.member import Member, Memory, residual

REMEMBERED = 80
WIDTHS = (0.5, 1.0)
SHRINKAGE = 0.1
RIDGE = 1e-4
MOST_WINDOWS = 4000
WINDOWS_A_FEATURE = 4


def settings(features: int, windows: int) -> list[Mapping[str, float]]:
    """width: of the kernel, over the root mean distance of a window from its nearest remembered one."""
    return [{"width": width} for width in WIDTHS] if features * WINDOWS_A_FEATURE <= windows else []


def fit(healthy: F8, tags: int, *, width: float) -> Member:
    """Memory and the ellipsoid of residuals of healthy features f8[n, F]."""
    spread = ellipsoid.spreads(healthy)
    centre = healthy.mean(axis=0)
    scaled = (healthy - centre) / spread
    thin = scaled[:: max(1, len(scaled) // MOST_WINDOWS)]
    chosen = _spread_out(thin, min(REMEMBERED, len(thin) // 2))
    remembered = thin[chosen]
    nearest2 = np.square(thin[:, None, :] - remembered[None, :, :]).sum(axis=2).min(axis=1)
    others = np.delete(nearest2, chosen)
    h = max(width * float(np.sqrt(others.mean())), 1e-3)
    memory = Memory(centre, spread, remembered, h)
    left = residual(memory, healthy)
    beside = left - left.mean(axis=0)
    covariance = beside.T @ beside / len(beside) + np.diag(ellipsoid.allowance(scaled))
    diagonal = np.diag(np.diag(covariance))
    covariance = (1.0 - SHRINKAGE) * covariance + SHRINKAGE * diagonal + RIDGE * np.eye(len(centre))
    inverse: F8 = np.linalg.inv(covariance).astype(np.float64)
    return Member(ellipsoid.of(left.mean(axis=0), inverse, tags), memory)


def _spread_out(scaled: F8, count: int) -> np.ndarray:
    """Rows that cover the healthy windows: each next one is the farthest from those taken (Gonzalez 1985)."""
    taken = [int(np.square(scaled).sum(axis=1).argmin())]
    far2 = np.square(scaled - scaled[taken[0]]).sum(axis=1)
    while len(taken) < count:
        taken.append(int(far2.argmax()))
        far2 = np.minimum(far2, np.square(scaled - scaled[taken[-1]]).sum(axis=1))
    return np.array(taken)
