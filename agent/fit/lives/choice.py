"""Everything is chosen by cross-validation grouped by unit: each unit is predicted by networks that never saw it.

A unit counts once, whatever its rows: error^2 = mean over units of the mean over its rows of (estimate - life)^2, lives
at most the cap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from agent.core.nouns import F8, I8
from agent.detect import rul_features
from agent.fit.lives import network
from agent.fit.lives.network import Network, Size

FOLDS = 5
MEMBERS = 3
FINAL_MEMBERS = 10
# Rows of a unit are nearly the same from one to the next: each member learns from each third one, another third each.
STRIDE = 3
STEPS = 1800
SIZES = tuple(Size(hidden, decay, STEPS) for hidden in ((32, 16), (32, 16, 8)) for decay in (0.7, 1.2))
RIDGE = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows of all units as features. features f8[n, F] by whether they begin from new; life f8[n] (at least that for a
    unit that had not failed); unit i8[n]; age_rows i8[n]; usable: rows that may be learned from."""

    features: dict[bool, F8]
    life: F8
    unit: I8
    usable: np.ndarray
    cap: float


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """What cross-validation chose, the held-out estimates f8[n] (NaN where not usable), the held-out distances f8[n],
    and the error of each candidate and rival by name."""

    from_new: bool
    size: Size
    estimate: F8
    distance: F8
    errors: dict[str, float] = field(default_factory=dict)


def choose(table: Table, from_new: bool | None, seed: int) -> Chosen:
    """from_new: what the user said, None to let the error decide."""
    folds = _folds(table, seed)
    starts = [False, True] if from_new is None else [from_new]
    tried: dict[tuple[bool, Size], F8] = {}
    errors = {
        "the mean life": _error(table, _mean(table, folds)),
        "ridge": _error(table, _ridge(table, folds, starts[-1])),
    }
    for start in starts:
        tried[start, SIZES[1]] = held_out(table, start, SIZES[1], folds, seed)
    best_start = min(starts, key=lambda s: _error(table, tried[s, SIZES[1]]))
    for size in SIZES:
        if (best_start, size) not in tried:
            tried[best_start, size] = held_out(table, best_start, size, folds, seed)
    errors |= {_named(*key): _error(table, estimate) for key, estimate in tried.items()}
    best = min(tried, key=lambda key: _error(table, tried[key]))
    return Chosen(*best, tried[best], _distances(table, best[0], folds), errors)


def held_out(table: Table, from_new: bool, size: Size, folds: Sequence[I8], seed: int) -> F8:
    """Estimates f8[n] of every usable row by networks that never saw its unit. All folds are trained side by side."""
    rows = [part for fold in folds for part in _shared_out(table, ~np.isin(table.unit, fold), MEMBERS)]
    made = network.trained(table.features[from_new], table.life, rows, size, table.cap, seed)
    said = network.members(made, table.features[from_new]).reshape(len(folds), MEMBERS, -1).mean(axis=1)
    estimate = np.full(len(table.life), np.nan)
    for fold, each in zip(folds, said, strict=True):
        mine = np.isin(table.unit, fold) & table.usable
        estimate[mine] = each[mine]
    return estimate


def final(table: Table, chosen: Chosen, seed: int) -> Network:
    """Networks trained on all units, with what was chosen."""
    rows = _shared_out(table, np.ones(len(table.unit), np.bool_), FINAL_MEMBERS)
    return network.trained(table.features[chosen.from_new], table.life, rows, chosen.size, table.cap, seed)


def envelope(features: F8) -> tuple[F8, F8]:
    """centre f8[F] and whitener f8[F, F] of training features: distance = |(f - centre) whitener|.

    The correlations are drawn to none by 5 %, so that what hardly varied is not judged too finely."""
    centre, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
    covariance = np.cov((features - centre) / scale, rowvar=False)
    covariance = 0.95 * np.atleast_2d(covariance) + 0.05 * np.eye(len(scale))
    return centre, np.asarray(np.linalg.cholesky(np.linalg.inv(covariance)) / scale[:, None] / np.sqrt(len(scale)))


def distances(inside: tuple[F8, F8], features: F8) -> F8:
    """Of features f8[n, F]: f8[n]; about 1 in the middle of the training."""
    centre, whitener = inside
    return np.asarray(np.sqrt(np.square((features - centre) @ whitener).sum(axis=1)))


def _folds(table: Table, seed: int) -> list[I8]:
    units = np.unique(table.unit[table.usable])
    order = np.random.default_rng(seed).permutation(units)
    return [order[k::FOLDS] for k in range(min(FOLDS, len(units)))]


def _shared_out(table: Table, allowed: np.ndarray, count: int) -> list[I8]:
    """The rows of each member."""
    rows = np.arange(len(table.unit))
    parts = [np.flatnonzero(allowed & table.usable & (rows % STRIDE == k % STRIDE)) for k in range(count)]
    return [part if len(part) >= network.BATCH else np.flatnonzero(allowed & table.usable) for part in parts]


def _error(table: Table, estimate: F8) -> float:
    square = np.square(estimate - np.minimum(table.life, table.cap))
    means = [square[table.usable & (table.unit == u)].mean() for u in np.unique(table.unit[table.usable])]
    return float(np.sqrt(np.mean(means)))


def _named(from_new: bool, size: Size) -> str:
    layers = "-".join(map(str, size.hidden))
    return f"networks {layers}, decay {size.decay:g}, {'with' if from_new else 'without'} age and beginning"


def _mean(table: Table, folds: Sequence[I8]) -> F8:
    out = np.full(len(table.life), np.nan)
    true = np.minimum(table.life, table.cap)
    for fold in folds:
        mine = np.isin(table.unit, fold)
        out[mine] = true[~mine & table.usable].mean()
    return out


def _ridge(table: Table, folds: Sequence[I8], from_new: bool) -> F8:
    x, true = table.features[from_new], np.minimum(table.life, table.cap)
    out = np.full(len(true), np.nan)
    for fold in folds:
        mine = np.isin(table.unit, fold)
        learn = ~mine & table.usable
        centre, scale = x[learn].mean(axis=0), np.maximum(x[learn].std(axis=0), 1e-9)
        a, middle = (x - centre) / scale, true[learn].mean()
        gain = np.linalg.solve(a[learn].T @ a[learn] + RIDGE * np.eye(a.shape[1]), a[learn].T @ (true[learn] - middle))
        out[mine] = np.clip(a[mine] @ gain + middle, 0.0, table.cap)
    return out


def _distances(table: Table, from_new: bool, folds: Sequence[I8]) -> F8:
    out = np.full(len(table.life), np.nan)
    x = table.features[from_new]
    for fold in folds:
        mine = np.isin(table.unit, fold)
        inside = envelope(x[~mine & table.usable])
        out[mine] = distances(inside, x[mine])
    return out


def features(z: Sequence[F8], age: Sequence[F8], window: int) -> dict[bool, F8]:
    """Features of all rows of all units, with and without what a unit was like at first."""
    plain = np.vstack([rul_features.of_run(each, window, None) for each in z])
    begun = np.vstack([np.column_stack([rul_features.begins(r), a]) for r, a in zip(z, age, strict=True)])
    return {False: plain, True: np.hstack([plain, begun])}
