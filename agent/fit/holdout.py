"""Free-run errors on rows that a model has not seen, beside persistence and ARX; the choice of order from them.

The recording is cut into contiguous blocks (neighbouring rows are nearly the same, so rows drawn at random would be
no test); each fold fits on some blocks and is scored on the others. The smallest model whose error is within one
standard error of the best one's, block by block, is taken (one-standard-error rule, on paired differences).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from agent.core.nouns import F8
from agent.fit import plant, simulation
from agent.fit.plant import Piece
from agent.fit.recording import FitError
from agent.fit.subspace import Varx, directions, varx

BLOCKS = 8
FOLDS = 4
ARX_PAST = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to try: number of states, and whether it has second-order products."""

    order: int
    products: bool

    def __str__(self) -> str:
        return f"order {self.order}{' with products' if self.products else ''}"


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Mean square errors of free runs, scaled: f8[blocks, p] (NaN where a block has no rows)."""

    twin: dict[Candidate, F8]
    persistence: F8
    arx: F8


def fold_of(block: int) -> int:
    """The fold in which a block is held out."""
    return block % FOLDS


def compared(pieces: Sequence[Piece], candidates: Sequence[Candidate]) -> Scores:
    """Errors of every candidate and of both baselines on held-out blocks."""
    p = pieces[0].y.shape[1]
    twin = {c: np.full((BLOCKS, p), np.nan) for c in candidates}
    scores = Scores(twin, np.full((BLOCKS, p), np.nan), np.full((BLOCKS, p), np.nan))
    for fold in range(FOLDS):
        train = [x for x in pieces if fold_of(x.block) != fold]
        test = [x for x in pieces if fold_of(x.block) == fold]
        if train and test:
            _one_fold(scores, train, test)
    return scores


def _one_fold(scores: Scores, train: Sequence[Piece], test: Sequence[Piece]) -> None:
    segments, m = [np.hstack([x.u, x.y]) for x in train], train[0].u.shape[1]
    short, long = varx(segments, m, ARX_PAST), varx(segments, m, plant.PAST)
    ways = directions(segments, long)
    _score(scores.persistence, test, _persisted)
    _score(scores.arx, test, partial(_arx_run, short))
    for order in sorted({c.order for c in scores.twin}):
        core = plant.linear(train, long, ways, order)
        for c in (c for c in scores.twin if c.order == order):
            fitted = plant.bilinear(core, train) if c.products else core
            _score(scores.twin[c], test, partial(plant.free_run, fitted))


def chosen(scores: Scores) -> Candidate:
    """The smallest candidate within one standard error of the best."""
    overall = {c: total(e) for c, e in scores.twin.items()}
    best = min(overall, key=lambda c: float(np.nanmean(overall[c])))
    for c in sorted(overall, key=lambda c: (c.products, c.order)):
        difference = overall[c] - overall[best]
        if np.nanmean(difference) <= standard_error(difference):
            return c
    return best


def total(errors: F8) -> F8:
    """NRMSE of each block over all outputs: f8[blocks]."""
    return np.asarray(np.sqrt(np.mean(errors, axis=1)), np.float64)


def standard_error(blocks: F8) -> float:
    """Of the mean over blocks."""
    known = blocks[np.isfinite(blocks)]
    return float(np.std(known, ddof=1) / np.sqrt(len(known))) if len(known) > 1 else 0.0


def refuse_a_loser(scores: Scores, candidate: Candidate) -> None:
    """FitError where the twin is not clearly better on held-out rows than the last value, or worse than a plain ARX."""
    mine = total(scores.twin[candidate])
    for name, errors, needed in (("persistence", scores.persistence, -1.0), ("ARX", scores.arx, 1.0)):
        difference = mine - total(errors)
        if np.nanmean(difference) > needed * standard_error(difference):
            raise FitError(
                f"the twin ({candidate}) loses to {name} on held-out rows: free-run error "
                f"{np.nanmean(mine):.3f} against {np.nanmean(total(errors)):.3f} of the signal's standard deviation; "
                "do the inputs move these outputs?"
            )


def _score(into: F8, test: Sequence[Piece], run: Callable[[Piece], F8]) -> None:
    """Mean square error after the rows that a start may use, by block."""
    for block in sorted({x.block for x in test}):
        errors = [(run(x) - x.y)[simulation.START_ROWS :] for x in test if x.block == block]
        stacked = np.vstack(errors)
        if len(stacked):
            into[block] = np.mean(stacked**2, axis=0)


def _persisted(piece: Piece) -> F8:
    return np.broadcast_to(piece.y[min(simulation.START_ROWS, len(piece.y)) - 1], piece.y.shape)


def _arx_run(model: Varx, piece: Piece) -> F8:
    """The ARX run on its own outputs after the start."""
    u, y, past = piece.u, piece.y.copy(), model.past
    bound = 1e3
    for k in range(simulation.START_ROWS, len(y)):
        row = [u[k], *(np.concatenate([u[k - i], y[k - i]]) for i in range(1, past + 1))]
        y[k] = np.clip(model.theta @ np.concatenate(row), -bound, bound)
    return y
