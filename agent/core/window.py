"""A summary window as a fold: time-weighted statistics at the resolution of a cycle, extremes of every sample.

For each tag, with w the length of the cycle in which it was usable (West 1979, weighted update):
    W' = W + w;  mean' = mean + (w / W') (x - mean);  M2' = M2 + w (x - mean)(x - mean');  std = sqrt(M2 / W)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from agent.core import quality
from agent.core.nouns import F8, Frame, Mode, Summary


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """An open window. Columns f8[n] over the tags; `total_s` is the time seen, `weight_s` the usable part of it;
    `arrays` has the last of each array by row."""

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


def opened(n: int, start_ns: int, mode: Mode, context: Mapping[str, str]) -> Window:
    """A window with nothing in it."""
    nothing, zeros = np.full(n, np.nan), np.zeros(n)
    return Window(
        start_ns, mode, dict(context), 0.0, zeros, zeros, zeros, zeros, nothing, nothing, nothing, float("nan")
    )


def fold(window: Window, frame: Frame, score: float) -> Window:
    """The window with one cycle more in it; `score` is the largest of the cycle, NaN for none."""
    dt_s = frame.dt_ns * 1e-9
    value = np.where(frame.count > 0, frame.mean, frame.value)
    usable = ~quality.bad_mask(frame.status) & np.isfinite(value)
    w = np.where(usable, dt_s, 0.0)
    x = np.where(usable, value, window.mean)
    weight = window.weight_s + w
    share = np.divide(w, weight, out=np.zeros_like(w), where=weight > 0)
    mean = window.mean + share * (x - window.mean)
    low = np.where(frame.count > 0, frame.min, frame.value)
    high = np.where(frame.count > 0, frame.max, frame.value)
    return Window(
        start_ns=window.start_ns,
        mode=window.mode,
        context=window.context,
        total_s=window.total_s + dt_s,
        weight_s=weight,
        good_s=window.good_s + np.where(quality.good_mask(frame.status), dt_s, 0.0),
        mean=mean,
        m2=window.m2 + w * (x - window.mean) * (x - mean),
        min=np.where(usable, np.fmin(window.min, low), window.min),
        max=np.where(usable, np.fmax(window.max, high), window.max),
        last=np.where(usable, frame.value, window.last),
        score_max=float(np.fmax(window.score_max, score)),
        arrays={**window.arrays, **frame.arrays} if frame.arrays else window.arrays,
    )


def closed(window: Window, asset: str, names: tuple[str, ...], end_ns: int, by: str) -> Summary:
    """The window as it is published; `by` says what closed it: window, mode, context or shutdown."""
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
        mean=np.where(some, window.mean, np.nan),
        max=window.max,
        last=window.last,
        std=np.sqrt(np.maximum(variance, 0.0)),
        good=good,
        score_max=window.score_max,
        arrays=window.arrays,
    )
