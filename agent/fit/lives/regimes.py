"""Operating regimes, recognised by themselves: settings that jump among a few points, all through a unit's life."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.core.nouns import F8, I8
from agent.detect.rul_features import Regimes, regime

MOST = 12
# A column tells the regime if a few points explain it but for this share of its variance, ...
LEFT_OVER = 1e-3
# ... and if it is at each of them as often late in life as early: what moves among points by wear is no setting.
SHIFT = 0.15
SEEN = 0.005  # of all rows: a point that is rarer is a glitch
NEARLY_CONSTANT = 0.97
SMALL = 1e-9


def found(units: Sequence[F8], settings: Sequence[int] | None) -> tuple[Regimes, I8]:
    """The regimes of units f8[n, K], and the columns left out because they stand still in each.

    settings: columns that tell them, where the user named these (None: recognised; none of them: one regime)."""
    rows = np.vstack(units)
    late = np.concatenate([np.arange(len(u)) >= len(u) / 2 for u in units])
    told = [k for k in range(rows.shape[1]) if _tells(rows[:, k], late)] if settings is None else list(settings)
    told = [k for k in told if np.ptp(rows[:, k]) > SMALL * max(np.abs(rows[:, k]).max(), SMALL)]
    scale = np.ptp(rows[:, told], axis=0) if told else np.empty(0)
    centres = points(rows[:, told] / scale) * scale if told else np.empty((1, 0))
    if len(centres) == 1:
        told, scale, centres = [], np.empty(0), np.empty((1, 0))
    others = np.array([k for k in range(rows.shape[1]) if k not in told], np.int64)
    first = Regimes(np.array(told, np.int64), centres, scale, others, *_unscaled(len(centres), len(others)))
    at, _ = regime(first, rows)
    within = [rows[at == r][:, others] for r in range(len(centres))]
    moves = np.any([_moves(part) for part in within], axis=0)
    mean = np.array([part[:, moves].mean(axis=0) for part in within])
    spread = np.array([part[:, moves].std(axis=0) for part in within])
    # A tag that stands still in one regime alone says nothing there: it is measured by its spread elsewhere.
    spread = np.maximum(spread, 0.01 * spread.max(axis=0))
    return Regimes(first.settings, centres, scale, others[moves], mean, spread), others[~moves]


def points(rows: F8, most: int = MOST) -> F8:
    """The fewest centres f8[R, S] that explain rows f8[n, S]; one, their mean, where `most` do not.

    k-means (Lloyd), each further centre begun at the row that is farthest from all others: no random start."""
    total = float(np.square(rows - rows.mean(axis=0)).sum())
    centres = np.asarray(rows.mean(axis=0)[None], np.float64)
    first: F8 = centres
    for _ in range(most):
        distance = _squares(rows, centres)
        if float(distance.min(axis=1).sum()) <= LEFT_OVER * total:
            return _usual(rows, centres)
        centres = np.vstack([centres, rows[distance.min(axis=1).argmax()]])
        for _ in range(8):
            nearest = _squares(rows, centres).argmin(axis=1)
            parts = [rows[nearest == r] for r in range(len(centres))]
            centres = np.array([p.mean(axis=0) if len(p) else c for p, c in zip(parts, centres, strict=True)])
    return first


def _usual(rows: F8, centres: F8) -> F8:
    """Without the centres that hardly any row is near to."""
    share = np.bincount(_squares(rows, centres).argmin(axis=1), minlength=len(centres)) / len(rows)
    return np.asarray(centres[share >= SEEN], np.float64)


def _squares(rows: F8, centres: F8) -> F8:
    return np.asarray(np.square(rows[:, None] - centres).sum(axis=2))


def _tells(column: F8, late: np.ndarray) -> bool:
    """Whether a column jumps among a few points, as often late in life as early."""
    if np.ptp(column) <= SMALL * max(float(np.abs(column).max()), SMALL):
        return False
    centres = points(column[:, None] / np.ptp(column))
    if len(centres) == 1:
        return False
    at = _squares(column[:, None] / np.ptp(column), centres).argmin(axis=1)
    early, later = (np.bincount(at[part], minlength=len(centres)) / max(part.sum(), 1) for part in (~late, late))
    return bool(np.abs(early - later).sum() / 2.0 < SHIFT and np.bincount(at).max() < NEARLY_CONSTANT * len(at))


def _moves(part: F8) -> np.ndarray:
    """Which columns of the rows of one regime are not (nearly) constant."""
    out = []
    for column in part.T:
        _, count = np.unique(column, return_counts=True)
        wide = np.ptp(column) > SMALL * max(float(np.abs(column).max()), SMALL)
        out.append(bool(wide and count.max() < NEARLY_CONSTANT * len(column)))
    return np.array(out)


def _unscaled(regimes: int, tags: int) -> tuple[F8, F8]:
    return np.zeros((regimes, tags)), np.ones((regimes, tags))
