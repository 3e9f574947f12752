"""The last W rows at a model's own period, from frames that may tick faster, slower or with holes. Pure.

One row is taken for each period that has passed: the mean of the usable samples since the last row, else the
newest value. A tag without a usable value is held for `hold_rows` rows; after that the window starts anew, because
a row from before a hole and a row from after it do not belong together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from agent.core import quality
from agent.core.nouns import F8, I4, I8, Frame, Mask

F4 = npt.NDArray[np.float32]

NS_PER_S = 1e9
# What a value is kept within: beyond it single precision knows only infinity, and infinity less infinity is no number.
FARTHEST = float(np.finfo(np.float32).max)


class Given(NamedTuple):
    """What a frame gives of C inputs: mean f8[C] of the usable samples since the last frame, how many there were i4[C],
    and the newest value f8[C], NaN where Bad. `whole`: mean says it all (each has one, and none is absurd)."""

    whole: bool
    mean: F8
    samples: I4
    value: F8


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The last rows, oldest first, and the row being gathered.

    rows f4[W, C], of which the last `filled` are real; elapsed_ns since the last row, in `waiting` frames; total f8[C]
    and count i8[C] of usable samples since then; held i8[C]: rows for which a tag has been held (0: it has a value),
    `bridged` the most of them.
    """

    rows: F4
    filled: int
    elapsed_ns: int
    waiting: int
    total: F8
    count: I8
    held: I8
    bridged: int = 0

    @property
    def full(self) -> bool:
        """Whether all rows are real."""
        return self.filled == len(self.rows)


def empty(window: int, tags: int) -> Window:
    """A window before its first row."""
    zeros, none = np.zeros(tags), np.zeros(tags, np.int64)
    return Window(np.zeros((window, tags), np.float32), 0, 0, 0, zeros, none, none)


def given(frame: Frame, inputs: tuple[str, ...], so_far: Mapping[str, tuple[float, int]]) -> Given:
    """The inputs in a frame, in their order; those that are no tags are points of models that ran before (`so_far`)."""
    at, others = frame.names.places(inputs)
    mean, samples = frame.mean[at], frame.count[at]
    if not others and _believable(mean):
        return Given(True, mean, samples, mean)
    value = np.where(quality.bad_mask(frame.status[at]), np.nan, frame.value[at])
    for column, name in others:
        number, status = so_far.get(name, (np.nan, quality.BAD_NO_DATA))
        # What a twin says while it settles is about the start of its filter, not about the machine.
        usable = not quality.is_bad(status) and status != quality.UNCERTAIN_INITIAL_VALUE
        mean[column] = value[column] = number if usable else np.nan
        samples[column] = int(usable)
    return Given(_believable(mean), mean, samples, value)


def _believable(value: F8) -> bool:
    """Whether all are numbers, and not too large; on few Python numbers that costs less than numpy calls do."""
    return all(map(FARTHEST.__gt__, map(abs, value.tolist())))


def advance(window: Window, given: Given, dt_ns: int, *, period_s: float, hold_rows: int) -> tuple[Window, int]:
    """The window after a frame dt_ns after the one before, and how many rows it has gained (0: none is due yet; -1:
    inputs are missing). More than `hold_rows` periods at once are a hole: it starts anew."""
    elapsed_ns, period_ns = window.elapsed_ns + dt_ns, round(period_s * NS_PER_S)
    # Periods that have passed, to the nearest: a cycle that jitters about the period gives one row each time.
    due = 1 if window.filled == 0 else (2 * elapsed_ns + period_ns) // (2 * period_ns)
    left_ns = 0 if window.filled == 0 else elapsed_ns - due * period_ns
    if due and not window.waiting and given.whole:
        row, bridged = given.mean, 0
        held = np.zeros_like(window.held) if window.bridged else window.held
    else:
        window = _gathered(window, given, elapsed_ns)
        if not due:
            return window, 0
        row, missing = _row(window, given)
        held = np.where(missing, window.held + due, 0)
        bridged = int(held.max())
        if bridged and (window.filled == 0 or bridged > hold_rows):
            return replace(empty(*window.rows.shape), held=held, bridged=bridged), -1
    if due > hold_rows + 1:
        window, due = replace(window, filled=0), 1
    return _appended(window, row, due, left_ns, held, bridged), due


def _gathered(window: Window, given: Given, elapsed_ns: int) -> Window:
    usable = (given.samples > 0) & np.isfinite(given.mean)
    mean = np.where(usable, np.clip(given.mean, -FARTHEST, FARTHEST), 0.0)
    return replace(
        window,
        elapsed_ns=elapsed_ns,
        waiting=window.waiting + 1,
        total=window.total + mean * given.samples,
        count=window.count + np.where(usable, given.samples, 0),
    )


def _row(window: Window, given: Given) -> tuple[F8, Mask]:
    row = np.where(window.count > 0, window.total / np.maximum(window.count, 1), given.value)
    missing = ~np.isfinite(row)
    row = np.clip(row, -FARTHEST, FARTHEST)
    return np.where(missing, window.rows[-1], row), missing


def _appended(window: Window, row: F8, due: int, left_ns: int, held: I8, bridged: int) -> Window:
    size = len(window.rows)
    new = min(due, size)
    rows = np.empty_like(window.rows)
    rows[: size - new] = window.rows[new:]
    rows[size - new :] = row
    total, count = window.total, window.count
    if window.waiting:
        total, count = np.zeros_like(total), np.zeros_like(count)
    return Window(rows, min(size, window.filled + new), left_ns, 0, total, count, held, bridged)
