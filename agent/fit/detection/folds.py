"""What a choice is made by: windows to fit on, windows left out to judge by, and faults put into rows left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8, I8
from agent.fit.detection import faults, folding
from agent.fit.detection.faults import Fault
from agent.fit.detection.folding import Folding

FOLDS = 5
# Faults over all folds; each lasts so many windows where the rows left out are enough.
FAULTS = 80
LASTING = 3
HEALTHY_ROWS = 5
# Windows overlap: so many, spread over all, are enough to choose by. The last fit uses all.
MOST_WINDOWS = 4000
SEED = 1


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """fitted, thinned i8: windows to fit on, all and some; judged: unbroken ranges of windows left out; faulty
    f8[faults, rows, C], standardised, with the faults `put` in them; onset: their first window with a faulty row."""

    fitted: I8
    thinned: I8
    judged: tuple[slice, ...]
    faulty: F8
    put: tuple[Fault, ...]
    onset: int


@dataclass(frozen=True, slots=True, eq=False)
class Healthy:
    """Healthy rows ready for fitting. mean, scale f8[C]; z: standardised unbroken runs; all: windows to fit on."""

    mean: F8
    scale: F8
    z: tuple[F8, ...]
    all: I8
    folds: tuple[Fold, ...]

    @property
    def tags(self) -> int:
        """C."""
        return len(self.mean)

    @property
    def judged_windows(self) -> int:
        """Windows left out, over all folds."""
        return sum(each.stop - each.start for fold in self.folds for each in fold.judged)

    def features(self, how: Folding) -> F8:
        """Of all windows of all runs: f8[windows, C * K]."""
        return np.vstack([folding.features(run, how) for run in self.z])


def split(runs: Sequence[F8], calibration: Sequence[F8], window: int) -> tuple[tuple[list[F8], list[F8]], list[F8]]:
    """(runs, calibration) without the last fifth of the rows that limits come from, and that fifth."""
    if calibration:
        early, late = _cut(calibration, window)
        return (list(runs), early), late
    early, late = _cut(runs, window)
    return (early, []), late


def prepared(runs: Sequence[F8], calibration: Sequence[F8], window: int) -> Healthy:
    """Folds of the runs, or one fold where there is a calibration: fitted on the runs, judged by it."""
    value = np.vstack(runs)
    mean, scale = value.mean(axis=0), value.std(axis=0)
    z = [(run - mean) / scale for run in (*runs, *calibration)]
    ranges = _ranges(z, window)
    own = np.arange(ranges[len(runs) - 1].stop)
    draw = np.random.default_rng(SEED)
    if calibration:
        parts = [(own, tuple(ranges[len(runs) :]))]
    else:
        parts = [_left_out(block, own, ranges, window) for block in np.array_split(own, FOLDS)]
    made = tuple(_fold(fitted, judged, z, ranges, window, FAULTS // len(parts), draw) for fitted, judged in parts)
    return Healthy(mean, scale, tuple(z), own, made)


def _cut(runs: Sequence[F8], window: int) -> tuple[list[F8], list[F8]]:
    """The first four fifths of the rows, and the rest; pieces without a window are left out."""
    left = sum(len(run) for run in runs) * (FOLDS - 1) // FOLDS
    early, late = [], []
    for run in runs:
        early.append(run[: max(left, 0)])
        late.append(run[max(left, 0) :])
        left -= len(run)
    return [r for r in early if len(r) >= window], [r for r in late if len(r) >= window]


def _ranges(z: Sequence[F8], window: int) -> list[slice]:
    """Windows of each run in the count over all runs."""
    stops = np.cumsum([len(run) - window + 1 for run in z]).tolist()
    return [slice(a, b) for a, b in zip([0, *stops[:-1]], stops, strict=True)]


def _left_out(block: I8, own: I8, ranges: Sequence[slice], window: int) -> tuple[I8, tuple[slice, ...]]:
    """Windows that share no row with a block of windows, and the block in unbroken ranges."""
    first, last = int(block[0]), int(block[-1])
    fitted = own[(own < first - window) | (own > last + window)]
    cut = [slice(max(each.start, first), min(each.stop, last + 1)) for each in ranges]
    return fitted, tuple(each for each in cut if each.start < each.stop)


def _fold(
    fitted: I8,
    judged: tuple[slice, ...],
    z: Sequence[F8],
    ranges: Sequence[slice],
    window: int,
    count: int,
    draw: np.random.Generator,
) -> Fold:
    """Faults are put into pieces of the longest unbroken range left out."""
    longest = max(judged, key=lambda each: each.stop - each.start)
    run = next(k for k, each in enumerate(ranges) if each.start <= longest.start < each.stop)
    rows = z[run][longest.start - ranges[run].start : longest.stop - ranges[run].start + window - 1]
    length = min(len(rows), window + HEALTHY_ROWS + LASTING * window)
    onset = min(window + HEALTHY_ROWS, length - 1)
    put = faults.drawn(count, rows.shape[1], onset, draw)
    faulty = np.empty((count, length, rows.shape[1]))
    for i, fault in enumerate(put):
        start, other = draw.integers(0, len(rows) - length + 1, 2)
        elsewhere = np.roll(rows, int(other) + length // 2, axis=0)
        faulty[i] = faults.put(fault, rows[start : start + length], elsewhere, np.ones(rows.shape[1]), draw)
    thinned = fitted[:: max(1, len(fitted) // MOST_WINDOWS)]
    return Fold(fitted, thinned, judged, faulty, tuple(put), onset - window + 1)
