"""What any model must beat on rows that it has not seen: the last value (persistence) and a plain ARX.

The recording is cut into contiguous blocks: neighbouring rows are nearly the same, so rows drawn at random would be no
test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from agent.core.nouns import F8
from agent.fit.identify.subspace import Varx, varx
from agent.fit.pieces import BLOCKS, START_ROWS, Piece, joined
from agent.fit.recording import FitError

ARX_PAST = 2
BOUND = 1e3


def rivals(splits: Sequence[tuple[int, Sequence[Piece], Sequence[Piece]]]) -> dict[str, F8]:
    """Mean square errors f8[blocks,p] of free runs by name; splits: (block, pieces to fit to, pieces to run over)."""
    p = splits[0][2][0].y.shape[1]
    errors = {name: np.full((BLOCKS, p), np.nan) for name in ("persistence", "ARX")}
    for block, train, test in splits:
        segments = [np.hstack([x.u, x.y]) for x in joined(train)]
        model = varx(segments, train[0].u.shape[1], ARX_PAST)
        errors["persistence"][block] = mean_square(test, _persisted)
        errors["ARX"][block] = mean_square(test, partial(_arx_run, model))
    return errors


def mean_square(test: Sequence[Piece], run: Callable[[Piece], F8]) -> F8:
    """Mean square error of free runs behind the rows that a start may use: f8[p], scaled."""
    return np.asarray(np.mean(np.vstack([(run(x) - x.y)[START_ROWS:] for x in test]) ** 2, axis=0), np.float64)


def total(errors: F8) -> F8:
    """NRMSE of each block over all outputs: f8[blocks]."""
    return np.asarray(np.sqrt(np.mean(errors, axis=1)), np.float64)


def standard_error(blocks: F8) -> float:
    """Of the mean over blocks."""
    known = blocks[np.isfinite(blocks)]
    return float(np.std(known, ddof=1) / np.sqrt(len(known))) if len(known) > 1 else 0.0


def refuse_a_loser(name: str, folds: F8, errors: dict[str, F8]) -> None:
    """FitError where the model `name` with NRMSE `folds` f8[blocks] is not clearly better on held-out rows than the
    last value, or is clearly worse than a plain ARX."""
    for rival, needed in (("persistence", -1.0), ("ARX", 1.0)):
        theirs = total(errors[rival])
        away = np.log(folds) - np.log(theirs)
        if np.nanmean(away) > needed * standard_error(away):
            mine, other = (float(np.exp(np.nanmean(np.log(e)))) for e in (folds, theirs))
            raise FitError(
                f"the twin ({name}) loses to {rival} on held-out rows: free-run error {mine:.3f} against {other:.3f} "
                "of the signal's standard deviation; do the inputs move these outputs?"
            )


def _persisted(piece: Piece) -> F8:
    return np.broadcast_to(piece.y[min(START_ROWS, len(piece.y)) - 1], piece.y.shape)


def _arx_run(model: Varx, piece: Piece) -> F8:
    """The ARX run on its own outputs after the start."""
    u, y, past = piece.u, piece.y.copy(), model.past
    for k in range(START_ROWS, len(y)):
        row = [u[k], *(np.concatenate([u[k - i], y[k - i]]) for i in range(1, past + 1))]
        y[k] = np.clip(model.theta @ np.concatenate(row), -BOUND, BOUND)
    return y
