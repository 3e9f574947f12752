"""What a remaining life is read from: one function, for a whole run in training and for one window in the daemon.

    z = (x - mean_r) / spread_r               in the operating regime r whose centre is nearest to the row's settings
    mean_t = mean of the last W rows          slope_t = their least-squares slope, times W
    recent_t = their mean, weights (1 - 1/8)^age
    begin_t = mean of the unit's first B rows, age since its first row (both only for units recorded from new)

All are linear in z: weights f8[W, 3] that depend only on how many rows there are yet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8, I8

FORGET_ROWS = 8.0
BEGIN_ROWS = 20
FOLDED = 3


@dataclass(frozen=True, slots=True, eq=False)
class Regimes:
    """Operating regimes. settings i8[S]: columns that tell them (none: one regime); centres f8[R, S] and scale f8[S] of
    those; tags i8[C]: columns that tell the life; mean, spread f8[R, C] of them in each regime."""

    settings: I8
    centres: F8
    scale: F8
    tags: I8
    mean: F8
    spread: F8


def regime(regimes: Regimes, rows: F8) -> tuple[I8, F8]:
    """Of rows f8[n, K]: the nearest regime i8[n] and how far its centre is, in shares of the settings' range f8[n]."""
    if not len(regimes.settings):
        return np.zeros(len(rows), np.int64), np.zeros(len(rows))
    away = (rows[:, None, regimes.settings] - regimes.centres) / regimes.scale
    distance = np.sqrt(np.square(away).sum(axis=2))
    nearest = distance.argmin(axis=1)
    return nearest.astype(np.int64), distance[np.arange(len(rows)), nearest]


def standardised(regimes: Regimes, rows: F8) -> F8:
    """z of rows f8[n, K]: f8[n, C]."""
    at, _ = regime(regimes, rows)
    return (rows[:, regimes.tags] - regimes.mean[at]) / regimes.spread[at]


def of_windows(z: F8, filled: int, begin: F8 | None, age: F8 | None) -> F8:
    """Features of windows z f8[N, W, C] whose last `filled` rows are real: f8[N, 3 C], or f8[N, 4 C + 1] with begin
    f8[N, C] and age f8[N]."""
    folded = np.einsum("nwc,wk->nkc", z, weights(z.shape[1], filled)).reshape(len(z), -1)
    if begin is None or age is None:
        return np.asarray(folded, np.float64)
    return np.hstack([folded, begin, age[:, None]])


def of_run(z: F8, window: int, age: F8 | None) -> F8:
    """Features after each row of an unbroken run z f8[n, C] from a unit's first row on; age f8[n] or None: f8[n, F]."""
    begin = None if age is None else begins(z)
    out = []
    for n in range(min(window - 1, len(z))):
        one = np.vstack([np.zeros((window - n - 1, z.shape[1])), z[: n + 1]])[None]
        out.append(of_windows(one, n + 1, *_at(begin, age, slice(n, n + 1))))
    if len(z) >= window:
        full = np.lib.stride_tricks.sliding_window_view(z, window, axis=0).transpose(0, 2, 1)
        out.append(of_windows(full, window, *_at(begin, age, slice(window - 1, None))))
    return np.vstack(out)


def begins(z: F8) -> F8:
    """Mean of the first BEGIN_ROWS rows, after each row of a run (of fewer as long as there are fewer): f8[n, C]."""
    count = np.minimum(np.arange(1, len(z) + 1), BEGIN_ROWS)
    return np.asarray(np.cumsum(z, axis=0)[count - 1] / count[:, None])


def weights(window: int, filled: int) -> F8:
    """f8[W, 3] of mean, slope and recent mean over the last `filled` rows; zero before."""
    out = np.zeros((window, FOLDED))
    real = slice(window - filled, None)
    back = np.arange(filled)[::-1]
    away = back.mean() - back
    recent = (1.0 - 1.0 / FORGET_ROWS) ** back
    out[real, 0] = 1.0 / filled
    out[real, 1] = away / max(float(away @ away), 1.0) * window
    out[real, 2] = recent / recent.sum()
    return out


def names(tags: tuple[str, ...], from_new: bool) -> tuple[str, ...]:
    """Of each feature, for people."""
    folded = [f"{tag} {what}" for what in ("mean", "slope", "recent") for tag in tags]
    return (*folded, *(f"{tag} at first" for tag in tags), "age") if from_new else tuple(folded)


def _at(begin: F8 | None, age: F8 | None, rows: slice) -> tuple[F8 | None, F8 | None]:
    return (None, None) if begin is None or age is None else (begin[rows], age[rows])
