"""The last W rows at a model's own period, from frames that may tick faster, slower or with holes. Pure.

One row is taken for each period that has passed: the mean of the usable samples since the last row, else the
newest value. A tag without a usable value is held for `hold_rows` rows; after that the window starts anew, because
a row from before a hole and a row from after it do not belong together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from agent.core import quality
from agent.core.nouns import F8, I8, Frame

NS_PER_S = 1e9
# What a sum is kept within, so that no value that a device may send makes an infinity.
FARTHEST = 1e100


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The last rows, oldest first, and the row being gathered.

    rows f8[W, C], of which the last `filled` are real; elapsed_ns since the last row; total f8[C] and count i8[C] of
    usable samples since then; held i8[C]: rows for which a tag has been held (0: it has a value).
    """

    rows: F8
    filled: int
    elapsed_ns: int
    total: F8
    count: I8
    held: I8

    @property
    def full(self) -> bool:
        """Whether all rows are real."""
        return self.filled == len(self.rows)


def empty(window: int, tags: int) -> Window:
    """A window before its first row."""
    zeros, none = np.zeros(tags), np.zeros(tags, np.int64)
    return Window(np.zeros((window, tags)), 0, 0, zeros, none, none)


def advance(
    window: Window, frame: Frame, at: npt.NDArray[np.intp], *, period_s: float, hold_rows: int
) -> tuple[Window, int]:
    """The window after a frame, and how many rows it has gained (0: none is due yet; -1: inputs are missing).

    at intp[C]: rows of the tags in the frame. More than `hold_rows` periods at once are a hole: it starts anew.
    """
    gathered = _gather(window, frame, at)
    due = _due(gathered, period_s)
    if due == 0:
        return gathered, 0
    row, missing = _row(gathered, frame, at)
    held = np.where(missing, gathered.held + due, 0)
    unusable = bool(missing.any()) and (gathered.filled == 0 or int(held.max()) > hold_rows)
    if unusable:
        return replace(empty(*window.rows.shape), held=held), -1
    if due > hold_rows + 1:
        gathered, due = replace(gathered, filled=0), 1
    return _append(gathered, row, held, due, period_s), due


def _gather(window: Window, frame: Frame, at: npt.NDArray[np.intp]) -> Window:
    count = frame.count[at].astype(np.int64)
    usable = (count > 0) & np.isfinite(frame.mean[at])
    mean = np.where(usable, np.clip(frame.mean[at], -FARTHEST, FARTHEST), 0.0)
    return replace(
        window,
        elapsed_ns=window.elapsed_ns + frame.dt_ns,
        total=window.total + mean * count,
        count=window.count + np.where(usable, count, 0),
    )


def _due(window: Window, period_s: float) -> int:
    """Periods that have passed, to the nearest: a cycle that jitters about the period gives one row each time."""
    if window.filled == 0:
        return 1
    period_ns = round(period_s * NS_PER_S)
    return (2 * window.elapsed_ns + period_ns) // (2 * period_ns)


def _row(window: Window, frame: Frame, at: npt.NDArray[np.intp]) -> tuple[F8, npt.NDArray[np.bool_]]:
    value = np.where(quality.bad_mask(frame.status[at]), np.nan, frame.value[at])
    row = np.where(window.count > 0, window.total / np.maximum(window.count, 1), value)
    missing = ~np.isfinite(row)
    return np.where(missing, window.rows[-1], row), missing


def _append(window: Window, row: F8, held: I8, due: int, period_s: float) -> Window:
    size = len(window.rows)
    new = min(due, size)
    elapsed_ns = 0 if window.filled == 0 else window.elapsed_ns - due * round(period_s * NS_PER_S)
    return Window(
        rows=np.concatenate([window.rows[new:], np.repeat(row[None, :], new, axis=0)]),
        filled=min(size, window.filled + new),
        elapsed_ns=elapsed_ns,
        total=np.zeros_like(row),
        count=np.zeros_like(window.count),
        held=held,
    )
