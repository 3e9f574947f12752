"""Traces by a swinging door: of all samples of a window the few between which straight lines stay within a bound.

Bristol 1990, "Swinging door trending: adaptive trend recording?", ISA National Conference Proceedings, 749-753 (the
compression of process historians). From the last kept point (t0, x0) each sample (t, x) leaves a door for the slope s
of a line that is to pass it within the bound E:
    low = max (x - E - x0) / (t - t0)    <=    s    <=    high = min (x + E - x0) / (t - t0)
A sample whose own slope (x - x0) / (t - t0) is in the door may end the line. The first that is not closes it: the
sample before it is kept, and a line begins there. Bristol closes the door where low > high only; then a line that ends
in a sample may miss those before it by more than E. Ours keeps measured values only, and holds the bound.

What is Bad, stale or no number cuts the line: its last sample is kept, and a NaN where the cut is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.core import quality
from agent.core.nouns import F8, I4, I8, Frame, Mask, Trace

# Points of a tag in a window: where a trace needs more, it is cut there. Raw history has the rest.
MOST = 240
# A source's own stamp can lie before our boot, where time is negative.
NEVER = -(2**62)

Places = npt.NDArray[np.intp]
Columns = tuple[Any, Any, Any, Any, Any, Any]

_NO_I4, _NO_F8 = np.zeros(0, np.int32), np.zeros(0)
NOTHING = Trace(_NO_I4, np.zeros(0, np.int64), _NO_F8)


@dataclass(frozen=True, slots=True, eq=False)
class Door:
    """Columns over lines. (from_ns i8, anchor f8): the point kept last, NaN where the line is cut; (to_ns, newest): the
    newest sample; low, high f8: the slopes still open, in units a second."""

    from_ns: I8
    anchor: F8
    to_ns: I8
    newest: F8
    low: F8
    high: F8

    @property
    def columns(self) -> Columns:
        """In the order of the fields."""
        return self.from_ns, self.anchor, self.to_ns, self.newest, self.low, self.high


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """The traces of m tags. Columns over them: row i4[m] of the tag, ascending; bound f8[m] in its unit; their doors.

    kept: the points of this window in the order in which they were kept, `row` a place among the m; count i4[m].
    """

    row: I4
    bound: F8
    door: Door
    kept: Trace
    count: I4


def begun(row: I4, bound: F8) -> Lines:
    """Lines of these tags before the first sample."""
    m = len(row)
    never, nothing, wide = np.full(m, NEVER, np.int64), np.full(m, np.nan), np.full(m, np.inf)
    return Lines(row, bound, Door(never, nothing, never, nothing, -wide, wide), NOTHING, np.zeros(m, np.int32))


NONE = begun(_NO_I4, _NO_F8)


def seen(lines: Lines, frame: Frame) -> Lines:
    """The lines with the samples of a cycle, cut where a tag is stale by now."""
    if not len(lines.row):
        return lines
    start_ns = frame.t_ns - frame.dt_ns
    for batch in frame.batches:
        place, there = _places(lines, batch.tag)
        usable = ~quality.bad_mask(batch.status[there]) & np.isfinite(batch.value[there])
        value = np.where(usable, batch.value[there], np.nan)
        lines = fold(lines, place[there], np.minimum(batch.t_ns[there], frame.t_ns), value, start_ns)
    stale = quality.bad_mask(frame.status[lines.row]) & np.isfinite(lines.door.anchor)
    return cut(lines, np.flatnonzero(stale), frame.t_ns)


def _places(lines: Lines, tag: I4) -> tuple[Places, Mask]:
    """Place among the lines of each tag, and whether it has one."""
    place = np.minimum(np.searchsorted(lines.row, tag), len(lines.row) - 1)
    return place, np.asarray(lines.row[place] == tag, np.bool_)


def fold(lines: Lines, place: Places, t_ns: I8, value: F8, start_ns: int = NEVER) -> Lines:
    """The lines with samples in their order of arrival: place among the lines, time, value (NaN for a cut).

    One that is not later than the newest of its tag came late, or says again what is known: it counts from `start_ns`
    where that is later, else from right behind the newest.
    """
    order = np.argsort(place, kind="stable")
    place, t_ns, value = place[order], t_ns[order], value[order]
    nth = np.arange(len(place)) - np.searchsorted(place, place)
    for k in range(int(nth.max(initial=-1)) + 1):
        one = np.flatnonzero(nth == k)
        at, newest_ns = place[one], lines.door.to_ns[place[one]]
        after_ns = np.where(t_ns[one] > newest_ns, t_ns[one], np.maximum(newest_ns + 1, start_ns))
        lines = _step(lines, at, after_ns, value[one])
    return lines


def cut(lines: Lines, place: Places, t_ns: int) -> Lines:
    """The lines, some of them cut at a time."""
    if not len(place):
        return lines
    return fold(lines, place, np.full(len(place), t_ns, np.int64), np.full(len(place), np.nan), t_ns)


def _step(lines: Lines, at: Places, t_ns: I8, x: F8) -> Lines:
    """One sample of each of some lines, later than all before it."""
    room = lines.count[at] < MOST
    at, t_ns, x = at[room], t_ns[room], x[room]
    door = Door(*(column[at] for column in lines.door.columns))
    drawn, there = np.isfinite(door.anchor), np.isfinite(x)
    closes = drawn & ~(there & _open_for(door, t_ns, x))
    lines = _keep(lines, at, closes & (door.to_ns > door.from_ns), door.to_ns, door.newest)
    lines = _keep(lines, at, drawn != there, t_ns, x)  # where a line begins, and where it is cut
    door = _swung(_moved(door, closes, there & ~drawn, t_ns, x), lines.bound[at], t_ns, x)
    full = drawn & there & (lines.count[at] >= MOST)
    lines = _keep(lines, at, full, t_ns, np.full(len(x), np.nan))
    door = replace(door, anchor=np.where(full, np.nan, door.anchor))
    return replace(lines, door=_put(lines.door, at, door))


def _open_for(door: Door, t_ns: I8, x: F8) -> Mask:
    """Whether a line from the anchor to the sample passes all samples before it within the bound."""
    slope = _slope(x - door.anchor, t_ns - door.from_ns)
    return np.asarray((door.low <= slope) & (slope <= door.high), np.bool_)


def _moved(door: Door, closes: Mask, begins: Mask, t_ns: I8, x: F8) -> Door:
    """The door hung anew: at the sample before this one where it closed, at this one where a line begins."""
    from_ns = np.where(closes, door.to_ns, np.where(begins, t_ns, door.from_ns))
    anchor = np.where(closes, door.newest, np.where(begins, x, door.anchor))
    wide = np.where(closes | begins, np.inf, 0.0)
    return replace(door, from_ns=from_ns, anchor=anchor, low=door.low - wide, high=door.high + wide)


def _swung(door: Door, bound: F8, t_ns: I8, x: F8) -> Door:
    """The door with one sample more that the line has to pass; a cut where that is none."""
    dx, dt_ns = x - door.anchor, t_ns - door.from_ns
    low, high = np.fmax(door.low, _slope(dx - bound, dt_ns)), np.fmin(door.high, _slope(dx + bound, dt_ns))
    anchor = np.where(np.isfinite(x), door.anchor, np.nan)
    return Door(door.from_ns, anchor, t_ns, x, low, high)


def _slope(dx: F8, dt_ns: I8) -> F8:
    """In units a second; NaN at the anchor itself."""
    slope: F8 = np.divide(dx, dt_ns * 1e-9, out=np.full(len(dx), np.nan), where=dt_ns > 0)
    return slope


def _keep(lines: Lines, at: Places, which: Mask, t_ns: I8, x: F8) -> Lines:
    """The lines with one point more each, of those of `at` that are asked for."""
    if not which.any():
        return lines
    place = at[which]
    row = np.append(lines.kept.row, place.astype(np.int32))
    kept = Trace(row, np.append(lines.kept.t_ns, t_ns[which]), np.append(lines.kept.value, x[which]))
    count = lines.count.copy()
    count[place] += 1
    return replace(lines, kept=kept, count=count)


def _put(door: Door, at: Places, new: Door) -> Door:
    """The doors of all lines, some of them as they are now."""
    after = Door(*(column.copy() for column in door.columns))
    for column, values in zip(after.columns, new.columns, strict=True):
        column[at] = values
    return after


def trace(lines: Lines) -> Trace:
    """What a window publishes: the points kept and the newest sample of each line, tag by tag in the order of time."""
    lines = _ended(lines)
    order = np.argsort(lines.kept.row, kind="stable")
    return Trace(lines.row[lines.kept.row[order]], lines.kept.t_ns[order], lines.kept.value[order])


def _ended(lines: Lines) -> Lines:
    door, everywhere = lines.door, np.arange(len(lines.row))
    ends = np.isfinite(door.anchor) & (door.to_ns > door.from_ns)
    return _keep(lines, everywhere, ends, door.to_ns, door.newest)


def carried(lines: Lines) -> Lines:
    """The lines of the next window: each goes on from its newest sample, which stands first in it too, so that a window
    can be read alone."""
    door, wide = lines.door, np.full(len(lines.row), np.inf)
    on = np.isfinite(door.anchor)
    door = Door(door.to_ns, np.where(on, door.newest, np.nan), door.to_ns, door.newest, -wide, wide)
    after = replace(begun(lines.row, lines.bound), door=door)
    return _keep(after, np.arange(len(lines.row)), on, door.to_ns, door.newest)
