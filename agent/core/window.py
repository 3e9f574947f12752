"""A summary window as a fold over cycles: what a step signal was, weighted by time, and the extremes of every sample.

A sample holds from its own time until the next one of its tag, so that irregular samples weigh what they lasted
(OPC 10000-13: TimeAverage of a stepped variable). With w the length of a piece and x its value, of each cycle
    W_c = sum w;  mean_c = sum(w x) / W_c;  M2_c = sum w (x - mean_c)^2
joins the window (Chan, Golub and LeVeque 1979):
    d = mean_c - mean;  W' = W + W_c;  mean' = mean + d W_c / W';  M2' = M2 + M2_c + d^2 W W_c / W';  std = sqrt(M2 / W)

What is Bad or no number weighs nothing. What arrives after the end of its cycle counts from the start of the next. A
tag that is found stale, or muted by a heartbeat, was so for its whole cycle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from agent.core import quality, swinging
from agent.core.latest import Seen
from agent.core.nouns import F8, I4, I8, U4, Frame, Mask, Mode, Summary
from agent.core.swinging import Lines

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """An open window. Columns f8[n] over the tags; `total_s` is the time seen, `weight_s` the usable part of it;
    `arrays` has the last of each array by row, `lines` the traces of the tags that have one."""

    start_ns: int
    mode: Mode
    context: Mapping[str, str]
    total_s: float
    weight_s: F8
    good_s: F8
    mean: F8
    m2: F8
    min: F8
    max: F8
    last: F8
    score_max: float
    arrays: Mapping[int, F8] = field(default_factory=dict)
    lines: Lines = swinging.NONE


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """A cycle cut where samples came: columns over k pieces, those of one tag side by side in the order of time.

    first intp[n]: where the pieces of each tag begin (each has one at least); tag i4[k]; w_s, value f8[k]; usable,
    good bool[k]; counts bool[k]: whether its value was there at all (not what a sample replaced at once).
    """

    first: Places
    tag: I4
    w_s: F8
    value: F8
    usable: Mask
    good: Mask
    counts: Mask


def opened(n: int, start_ns: int, mode: Mode, context: Mapping[str, str], lines: Lines = swinging.NONE) -> Window:
    """A window with nothing in it."""
    nothing, zeros = np.full(n, np.nan), np.zeros(n)
    return Window(
        start_ns,
        mode,
        dict(context),
        0.0,
        zeros,
        zeros,
        zeros,
        zeros,
        nothing,
        nothing,
        nothing,
        float("nan"),
        lines=lines,
    )


def paused(window: Window, end_ns: int) -> Window:
    """A window behind which nobody looks for a while: its traces are cut."""
    return replace(window, lines=swinging.cut(window.lines, np.arange(len(window.lines.row)), end_ns))


def following(window: Window, start_ns: int, mode: Mode, context: Mapping[str, str]) -> Window:
    """The window after this one, into which its traces lead."""
    return opened(len(window.mean), start_ns, mode, context, swinging.carried(window.lines))


def fold(window: Window, frame: Frame, held: Seen, score: float) -> Window:
    """The window with one cycle more in it. `held`: how the tags stood before it; `score`: its largest, NaN for none.

    Where the window begins with another mode or context, `held` is of the one before: see `before_samples`.
    """
    pieces = cut(frame, held)
    weight_c, mean_c, m2_c = _moments(pieces)
    weight = window.weight_s + weight_c
    share = np.divide(weight_c, weight, out=np.zeros_like(weight), where=weight > 0)
    d = np.where(weight_c > 0, mean_c - window.mean, 0.0)
    low, high, last = _extremes(pieces)
    return Window(
        start_ns=window.start_ns,
        mode=window.mode,
        context=window.context,
        total_s=window.total_s + frame.dt_ns * 1e-9,
        weight_s=weight,
        good_s=window.good_s + _sum(pieces, pieces.w_s * pieces.good),
        mean=window.mean + d * share,
        m2=window.m2 + m2_c + d * d * window.weight_s * share,
        min=np.fmin(window.min, low),
        max=np.fmax(window.max, high),
        last=np.where(np.isnan(last), window.last, last),
        score_max=float(np.fmax(window.score_max, score)),
        arrays={**window.arrays, **frame.arrays} if frame.arrays else window.arrays,
        lines=swinging.seen(window.lines, frame),
    )


def before_samples(frame: Frame, held: Seen) -> Seen:
    """`held` for the first cycle of a mode or context: what stood before is of another one, so that the first sample
    of each tag that has one stands for it, as if it had been there from the start."""
    value, status = held.value.copy(), held.status.copy()
    for batch in reversed(frame.batches):
        value[batch.tag[::-1]] = batch.value[::-1]
        status[batch.tag[::-1]] = batch.status[::-1]
    return Seen(value, status)


def cut(frame: Frame, held: Seen) -> Pieces:
    """The pieces of a cycle."""
    n, start_ns = len(frame.value), frame.t_ns - frame.dt_ns
    tag = np.concatenate([np.arange(n, dtype=np.int32), *(b.tag for b in frame.batches)])
    order = np.argsort(tag, kind="stable")
    tag = tag[order]
    value = np.concatenate([held.value, *(b.value for b in frame.batches)])[order]
    status = np.concatenate([held.status, *(b.status for b in frame.batches)])[order]
    t_ns = np.concatenate([np.full(n, start_ns, np.int64), *(b.t_ns for b in frame.batches)])[order]
    w_s = np.asarray(_lengths(tag, np.clip(t_ns, start_ns, frame.t_ns) - start_ns, frame.dt_ns) * 1e-9, np.float64)
    first = np.searchsorted(tag, np.arange(n))
    told = ~_lost(frame.status, status, first)[tag]
    usable = told & ~quality.bad_mask(status) & np.isfinite(value)
    sampled = np.ones(len(tag), np.bool_)
    sampled[first] = False
    return Pieces(first, tag, w_s, value, usable, told & quality.good_mask(status), usable & (sampled | (w_s > 0)))


def _lengths(tag: I4, from_ns: I8, dt_ns: int) -> I8:
    """How long each piece lasts, in ns. One that came after another of its tag is not before it."""
    side = tag.astype(np.int64) * (dt_ns + 1)  # the tags one behind the other on one axis
    begin = np.maximum.accumulate(from_ns + side)
    end = np.append(begin[1:], 0)
    last = np.append(tag[1:] != tag[:-1], [True] * (len(tag) > 0))
    return np.where(last, side + dt_ns, end) - begin


def _lost(now: U4, status: U4, first: Places) -> Mask:
    """bool[n]: tags that are Bad now although their last sample was not: stale, or muted."""
    last = np.append(first[1:], len(status)) - 1
    return np.asarray(quality.bad_mask(now) & ~quality.bad_mask(status[last]), np.bool_)


def _sum(pieces: Pieces, of: F8) -> F8:
    """f8[n]: the sum over the pieces of each tag."""
    return np.asarray(np.bincount(pieces.tag, of, len(pieces.first)), np.float64)


def _moments(pieces: Pieces) -> tuple[F8, F8, F8]:
    """W_c, mean_c (0 where nothing weighs) and M2_c, f8[n] each."""
    w, x = np.where(pieces.usable, pieces.w_s, 0.0), np.where(pieces.usable, pieces.value, 0.0)
    weight = _sum(pieces, w)
    mean = np.divide(_sum(pieces, w * x), weight, out=np.zeros_like(weight), where=weight > 0)
    return weight, mean, _sum(pieces, w * (x - mean[pieces.tag]) ** 2)


def _extremes(pieces: Pieces) -> tuple[F8, F8, F8]:
    """min, max and last, f8[n] each; NaN where there is none."""
    if not len(pieces.first):
        return pieces.value, pieces.value, pieces.value
    x = np.where(pieces.counts, pieces.value, np.nan)
    place = np.maximum.reduceat(np.where(pieces.counts, np.arange(len(x)), 0), pieces.first)
    return np.fmin.reduceat(x, pieces.first), np.fmax.reduceat(x, pieces.first), _at(x, place, pieces.first)


def _at(x: F8, place: Places, first: Places) -> F8:
    """x at the last place that counts, f8[n]; NaN of a tag in which none does."""
    return np.where(place >= first, x[place], np.nan)


def closed(window: Window, asset: str, names: tuple[str, ...], end_ns: int, by: str) -> Summary:
    """The window as it is published; `by` says what closed it: window, mode, context, restart or shutdown."""
    some = window.weight_s > 0
    variance = np.divide(window.m2, window.weight_s, out=np.full(len(names), np.nan), where=some)
    good = window.good_s / window.total_s if window.total_s > 0 else np.zeros(len(names))
    return Summary(
        asset=asset,
        start_ns=window.start_ns,
        end_ns=end_ns,
        mode=window.mode,
        context=window.context,
        closed_by=by,
        names=names,
        min=window.min,
        mean=np.where(some, np.clip(window.mean, window.min, window.max), np.nan),
        max=window.max,
        last=window.last,
        std=np.sqrt(np.maximum(variance, 0.0)),
        good=np.minimum(good, 1.0),
        score_max=window.score_max,
        arrays=window.arrays,
        trace=swinging.trace(window.lines),
    )
