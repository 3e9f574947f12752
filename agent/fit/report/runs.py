"""Pictures of a twin beside the machine: free runs over held-out rows, and what is left of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from agent.core.nouns import F8
from agent.fit.report.material import Material, Run
from agent.fit.report.style import (
    BLUE,
    CYCLE,
    GREEN,
    GREY,
    INK,
    MOST_POINTS,
    PALE,
    VERMILION,
    clock,
    labelled,
    panels,
    thinned,
)
from agent.twin.kind import Channel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURED = "#9fb0c0"
CLOSE_ROWS = 400
LAGS = 60
BINS = 41


def free_runs(material: Material) -> Figure:
    """Every held-out stretch: measured, and the free run of a model that has not seen it."""
    start_s = min(run.time_s[0] for run in material.runs)
    span_s = max(run.time_s[-1] for run in material.runs) - start_s
    return _beside(material, material.runs, start_s, span_s)


def close_look(material: Material) -> Figure:
    """The rows around the largest error of any output, in its scale: the worst that the held-out rows have."""
    scale = np.array([c.scale for c in material.twin.plant.outputs])
    worst = [np.nanmax(np.abs(_error(run) / scale), axis=1, initial=0.0) for run in material.runs]
    run = material.runs[int(np.argmax([part.max() for part in worst]))]
    middle = int(np.argmax(max(worst, key=lambda part: float(part.max()))))
    a = max(0, min(middle - CLOSE_ROWS // 2, len(run.time_s) - CLOSE_ROWS))
    part = slice(a, a + CLOSE_ROWS)
    near = Run(run.time_s[part], run.u[part], run.y[part], run.free[part], run.virtual[part])
    return _beside(material, (near,), near.time_s[0], near.time_s[-1] - near.time_s[0])


def _error(run: Run) -> F8:
    """Measured less free run: f8[rows,p], zero where nothing is measured."""
    return np.nan_to_num(run.y - run.free[:, : run.y.shape[1]])


def _beside(material: Material, runs: Sequence[Run], start_s: float, span_s: float) -> Figure:
    plant = material.twin.plant
    p = len(plant.outputs)
    shown = (*plant.outputs, *plant.virtual)
    figure, grid = panels(len(shown) + 1, height_in=1.0 + 1.35 * (len(shown) + 1), sharex=True)
    unit_s, unit = clock(span_s)
    total = sum(len(run.time_s) for run in runs)
    for i, channel in enumerate(shown):
        axes = grid[i][0]
        for run in runs:
            t, most = (run.time_s - start_s) / unit_s, MOST_POINTS * len(run.time_s) // total
            known = run.y if i < p else run.virtual
            column = i if i < p else i - p
            if column < known.shape[1]:
                axes.plot(*thinned(t, known[:, column], most), color=MEASURED, lw=2.2, label="measured")
            axes.plot(*thinned(t, run.free[:, i], most), color=BLUE if i < p else GREEN, label="free run", lw=1.1)
        axes.set_title(labelled(channel.tag, channel.unit) + ("" if i < p else ", virtual"))
        axes.margins(x=0.01)
    _legend(grid[0][0])
    _inputs(grid[-1][0], plant.inputs, runs, start_s, unit_s)
    grid[-1][0].set_xlabel(f"time ({unit})")
    return figure


def _inputs(axes: Axes, inputs: Sequence[Channel], runs: Sequence[Run], start_s: float, unit_s: float) -> None:
    """All inputs in one panel, each over its own range in the recording."""
    total = sum(len(run.time_s) for run in runs)
    for i, channel in enumerate(inputs):
        span = max(channel.high - channel.low, 1e-12)
        name = f"{channel.tag}: {channel.low:.4g} to {channel.high:.4g} {channel.unit}".rstrip()
        for run in runs:
            t, value = thinned(
                (run.time_s - start_s) / unit_s,
                (run.u[:, i] - channel.low) / span,
                MOST_POINTS * len(run.time_s) // total,
            )
            axes.step(t, value, where="post", color=CYCLE[(i + 1) % len(CYCLE)], lw=1.0, label=name)
    axes.set_title("inputs, over their range")
    axes.set_ylim(-0.08, 1.08)
    axes.set_yticks([0.0, 0.5, 1.0], ["low", "", "high"])
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Each name once, above the panel on its right."""
    handles, names = axes.get_legend_handles_labels()
    once = dict(zip(names, handles, strict=True))
    axes.legend(once.values(), once.keys(), loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0.2)


def residuals(material: Material) -> Figure:
    """One row an output: residuals over the rows, their autocorrelation, their distribution."""
    outputs = material.twin.plant.outputs
    figure, grid = panels(len(outputs), 3, height_in=0.6 + 1.9 * len(outputs))
    for i, channel in enumerate(outputs):
        parts = [part[:, i] for part in material.residuals]
        line, lags, spread = grid[i]
        whole = np.concatenate(parts)
        line.plot(*thinned(np.arange(len(whole), dtype=np.float64), whole), color=VERMILION, lw=0.7)
        line.axhline(0.0, color=GREY, lw=0.8)
        line.set_title(labelled(channel.tag, channel.unit))
        _correlation(lags, parts)
        _distribution(spread, whole[np.isfinite(whole)], channel.unit)
    grid[0][1].set_title("autocorrelation")
    grid[0][2].set_title("distribution")
    grid[-1][0].set_xlabel("held-out row")
    grid[-1][1].set_xlabel("lag (periods)")
    return figure


def _correlation(axes: Axes, parts: Sequence[F8]) -> None:
    rho, count = autocorrelation(parts, LAGS)
    edge = 1.96 / np.sqrt(max(count, 1))
    axes.axhspan(-edge, edge, color=PALE, alpha=0.5, lw=0)
    axes.vlines(np.arange(1, len(rho)), 0.0, rho[1:], color=VERMILION, lw=1.4)
    axes.axhline(0.0, color=GREY, lw=0.8)
    axes.set_ylim(min(-0.25, float(rho.min()) - 0.05), 1.0)


def autocorrelation(parts: Sequence[F8], lags: int) -> tuple[F8, int]:
    """rho f8[lags+1] of stretches with holes, no pair across two of them; and how many values there are."""
    finite = [part[np.isfinite(part)] for part in parts]
    count = sum(len(part) for part in finite)
    mean = sum(float(part.sum()) for part in finite) / max(count, 1)
    centred = [np.nan_to_num(part - mean) for part in parts]
    power = [float(sum(part[: len(part) - k] @ part[k:] for part in centred if len(part) > k)) for k in range(lags + 1)]
    return np.array(power) / power[0] if power[0] > 0 else np.eye(1, lags + 1)[0], count


def _distribution(axes: Axes, value: F8, unit: str) -> None:
    """Beside the normal one of the same width."""
    if not len(value):
        return
    sd = max(float(np.std(value)), 1e-300)
    edges = np.mean(value) + sd * np.linspace(-4.5, 4.5, BINS)
    axes.hist(value, edges.tolist(), density=True, color=VERMILION, alpha=0.45)
    z = (edges - np.mean(value)) / sd
    axes.plot(edges, np.exp(-0.5 * z**2) / (sd * np.sqrt(2.0 * np.pi)), color=INK, lw=1.0)
    axes.set_yticks([])
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlabel(f"sd {sd:.3g} {unit}".rstrip())
