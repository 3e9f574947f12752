"""Which model: every candidate fitted without a block and run freely over it, block by block.

Within a family the smallest model within one standard error of the family's best is taken (paired, on the logarithm
of the error); between families the one with the lowest geometric mean over blocks. A refinement that does not lower
it is not kept: where some of a family do, the others do not stand for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from agent.core.nouns import F8
from agent.fit import holdout
from agent.fit.identify.build import Frame, means, plant, scales
from agent.fit.identify.linear import Linear, linear
from agent.fit.identify.refine import Refined, refined
from agent.fit.pieces import BLOCKS, START_ROWS, Piece
from agent.twin import simulate
from agent.twin.plant import Plant

ORDERS = (1, 2, 3, 4, 5, 6)
UNITS = (2, 4)
# States of a model with units, beside the linear one's: what is bent costs a linear model a state more.
MORE = (-1, 0)
STARTS = 4
FINAL_STARTS = 6
ITERATIONS = 30
FINAL_ITERATIONS = 60


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to try: its family, number of states and of tanh units."""

    family: str
    order: int
    units: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Smaller comes first."""
        return (self.order + self.units, self.order)

    def __str__(self) -> str:
        return f"{self.family}, order {self.order}" + (f", {self.units} units" if self.units else "")


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Mean square errors of free runs over held-out blocks, scaled, f8[blocks,p]: of each candidate, and of rivals by
    name; NaN where a block has no rows. plants: of each candidate by the block that it has not seen."""

    models: dict[Candidate, F8] = field(default_factory=dict)
    rivals: dict[str, F8] = field(default_factory=dict)
    plants: dict[Candidate, dict[int, Plant]] = field(default_factory=dict)

    def folds(self, candidate: Candidate) -> F8:
        """NRMSE of each block: f8[blocks]."""
        return holdout.total(self.models[candidate])

    def mean(self, candidate: Candidate) -> float:
        """Geometric mean over blocks."""
        return float(np.exp(np.nanmean(np.log(self.folds(candidate)))))


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """A block held out: the pieces to fit to, those to run over, and the linear start of each order."""

    block: int
    train: Sequence[Piece]
    test: Sequence[Piece]
    starts: dict[int, Linear]


def folds(pieces: Sequence[Piece], orders: Sequence[int]) -> list[Fold]:
    """One for each block that has rows."""
    found = []
    for block in range(BLOCKS):
        train, test = [p for p in pieces if p.block != block], [p for p in pieces if p.block == block]
        if train and test:
            found.append(Fold(block, train, test, linear(train, orders)))
    return found


def compared(
    pieces: Sequence[Piece],
    frame: Frame,
    *,
    orders: Sequence[int],
    nonlinear: bool,
    seed: int,
    say: Callable[[str], None],
) -> tuple[Scores, Candidate, str]:
    """All scores, the candidate that is chosen, and why in a sentence."""
    scores, splits = Scores(), folds(pieces, orders)
    scores.rivals.update(holdout.rivals([(f.block, f.train, f.test) for f in splits]))

    def tried(candidates: Sequence[Candidate], under: float = np.inf) -> Candidate:
        for candidate in candidates:
            scores.plants[candidate] = _plants(splits, frame, candidate, seed)
            scores.models[candidate] = _errors(splits, frame, scores.plants[candidate])
            say(f"  {candidate}: " + " ".join(f"{e:.3f}" for e in scores.folds(candidate)))
        return within_one_error(scores, [c for c in candidates if scores.mean(c) < under] or candidates)

    known = sorted(set.intersection(*(set(f.starts) for f in splits)))
    plain = tried([Candidate("linear", n) for n in known])
    families = [plain, tried([Candidate("refined", plain.order)])]
    if nonlinear:
        near = [plain.order + more for more in MORE if plain.order + more in known]
        under = min(map(scores.mean, families))
        families.append(tried([Candidate("tanh", n, h) for n in near for h in UNITS], under))
    chosen = min(families, key=scores.mean)
    return scores, chosen, _why(scores, families, chosen)


def within_one_error(scores: Scores, candidates: Sequence[Candidate]) -> Candidate:
    """The smallest whose error is within one standard error of the best one's."""
    best = min(candidates, key=scores.mean)
    for candidate in sorted(candidates, key=lambda c: c.size):
        away = np.log(scores.folds(candidate)) - np.log(scores.folds(best))
        if np.nanmean(away) <= holdout.standard_error(away):
            return candidate
    return best


def fitted(
    candidate: Candidate, start: Linear, pieces: Sequence[Piece], frame: Frame, *, final: bool, seed: int
) -> Refined:
    """The candidate fitted to pieces; a plain linear one as it starts, its states looked at."""
    return refined(
        start,
        pieces,
        frame.stops,
        units=candidate.units,
        starts=FINAL_STARTS if final else STARTS,
        iterations=0 if candidate.family == "linear" else FINAL_ITERATIONS if final else ITERATIONS,
        seed=seed,
    )


def _plants(splits: Sequence[Fold], frame: Frame, candidate: Candidate, seed: int) -> dict[int, Plant]:
    starts = {f.block: f.starts[candidate.order] for f in splits}
    found = {f.block: fitted(candidate, starts[f.block], f.train, frame, final=False, seed=seed) for f in splits}
    return {block: plant(frame, starts[block], model) for block, model in found.items()}


def _errors(splits: Sequence[Fold], frame: Frame, plants: dict[int, Plant]) -> F8:
    """f8[blocks,p], see `Scores`."""
    errors = np.full((BLOCKS, len(frame.outputs)), np.nan)
    for fold in splits:
        errors[fold.block] = holdout.mean_square(fold.test, partial(free_run, plants[fold.block], frame))
    return errors


def free_run(model: Plant, frame: Frame, piece: Piece) -> F8:
    """Outputs over a piece from its inputs, started from its first rows: f8[rows,p], scaled."""
    u = piece.u * scales(frame.inputs) + means(frame.inputs)
    y = piece.y * scales(frame.outputs) + means(frame.outputs)
    run = simulate.free_run(model, u, y, START_ROWS)[:, : len(frame.outputs)]
    return np.asarray((run - means(frame.outputs)) / scales(frame.outputs), np.float64)


def _why(scores: Scores, families: Sequence[Candidate], chosen: Candidate) -> str:
    said = "; ".join(f"{c} {scores.mean(c):.3f}" for c in families)
    return f"{chosen}: the lowest geometric mean of free-run errors over held-out blocks ({said})"
