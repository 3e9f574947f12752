"""Pictures of what was chosen: candidates with every fold, step responses, parameters with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from agent.core.nouns import F8
from agent.fit.report.material import Candidate, Material, Parameter
from agent.fit.report.style import (
    BLUE,
    GREY,
    INK,
    PALE,
    SKY,
    VERMILION,
    clock,
    panels,
    thinned,
)
from agent.twin.response import Responses

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIVAL_STYLES = ("--", ":", "-.")


def order_choice(material: Material) -> Figure:
    """Free-run errors of every candidate on every fold; the line joins geometric means; the chosen one is ringed."""
    families = list(dict.fromkeys(c.family for c in material.candidates))
    count = [sum(c.family == family for c in material.candidates) for family in families]
    figure, grid = panels(1, len(families), height_in=3.9, widths=[n + 1.0 for n in count])
    for axes, family in zip(grid[0], families, strict=True):
        axes.sharey(grid[0][0])
        _family(axes, [c for c in material.candidates if c.family == family], material.chosen)
        axes.set_title(family)
        for (name, folds), style in zip(material.rivals.items(), RIVAL_STYLES, strict=False):
            axes.axhline(geometric_mean(folds), color=GREY, ls=style, lw=1.1, label=name)
    grid[0][0].set_ylabel("free-run NRMSE, held out")
    shown = [axes.get_legend_handles_labels() for axes in grid[0]]
    once = {name: handle for handles, names in shown for handle, name in zip(handles, names, strict=True)}
    figure.legend(list(once.values()), list(once), loc="outside lower center", ncols=5)
    return figure


def _family(axes: Axes, candidates: Sequence[Candidate], chosen: str) -> None:
    ordered = sorted(candidates, key=lambda c: c.size)
    place = np.arange(len(ordered), dtype=np.float64)
    for x, candidate in zip(place, ordered, strict=True):
        folds = candidate.folds[np.isfinite(candidate.folds)]
        spread = np.linspace(-0.16, 0.16, len(folds)) if len(folds) > 1 else np.zeros(1)
        axes.plot(x + spread[: len(folds)], folds, "o", ms=4, color=SKY, mec="white", mew=0.5, zorder=2, label="_")
    means = np.array([geometric_mean(c.folds) for c in ordered])
    axes.plot(place, means, "o-", color=BLUE, ms=5, zorder=3, label="mean of folds")
    for x, candidate, mean in zip(place, ordered, means, strict=True):
        if candidate.name == chosen:
            axes.plot(x, mean, "o", ms=13, mfc="none", mec=VERMILION, mew=2.0, zorder=4, label="chosen")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    axes.tick_params(axis="y", which="minor", labelsize=8.0)
    names = [c.name.removeprefix(f"{c.family}, ") for c in ordered]
    long = max(len(name) for name in names) > 10
    axes.set_xticks(place, names, rotation=30 if long else 0, ha="right" if long else "center")
    axes.set_xlim(-0.5, len(ordered) - 0.5)
    axes.grid(False, axis="x")


def geometric_mean(folds: F8) -> float:
    """Of the folds that there are."""
    known = folds[np.isfinite(folds) & (folds > 0)]
    return float(np.exp(np.mean(np.log(known)))) if len(known) else float("nan")


def step_responses(material: Material, responses: Responses) -> Figure:
    """Rows: outputs; columns: inputs. A step up, and one down turned over: where they part, the twin is not linear."""
    plant = material.twin.plant
    outputs = (*plant.outputs, *plant.virtual)
    figure, grid = panels(len(outputs), len(plant.inputs), height_in=0.7 + 1.35 * len(outputs), sharex=True)
    unit_s, unit = clock(float(responses.time_s[-1]))
    t = responses.time_s / unit_s
    for j, source in enumerate(plant.inputs):
        for i, channel in enumerate(outputs):
            axes = grid[i][j]
            axes.axhline(0.0, color=PALE, lw=0.9)
            axes.plot(*thinned(t, responses.up[j, :, i]), color=BLUE, label="step up")
            axes.plot(*thinned(t, -responses.down[j, :, i]), color=VERMILION, ls="--", label="step down, turned over")
            axes.margins(x=0.01, y=0.12)
            if j == 0:
                axes.set_ylabel(f"{channel.tag}\n({channel.unit})" if channel.unit else channel.tag)
        grid[0][j].set_title(f"{source.tag} by {source.scale:.3g} {source.unit}".rstrip())
        grid[-1][j].set_xlabel(f"time ({unit})")
    figure.align_ylabels()
    grid[0][-1].legend(loc="best")
    return figure


def parameters(known: Sequence[Parameter]) -> Figure:
    """Each between its bounds: the value with its 95 % interval; grey where the data say no more than the bounds."""
    figure, ((axes,),) = panels(1, height_in=0.7 + 0.36 * len(known))
    for row, one in enumerate(known):
        ends = (one.low, one.high) if one.identified else (one.bound_low, one.bound_high)
        value, low, high = (_share(one, x) for x in (one.value, *ends))
        colour = BLUE if one.identified else GREY
        axes.plot([0.0, 1.0], [row, row], color=PALE, lw=5, solid_capstyle="round", zorder=1)
        axes.plot([max(low, 0.0), min(high, 1.0)], [row, row], color=colour, lw=5, alpha=0.45, zorder=2)
        axes.plot(value, row, "o", ms=7, color=colour, mec="white", zorder=3)
        text = f"{one.value:.4g} {one.unit}".rstrip() + f"   {ends[0]:.3g} to {ends[1]:.3g}"
        axes.annotate(text, (1.03, row), va="center", fontsize=8.5, color=INK if one.identified else GREY)
    axes.set_yticks(range(len(known)), [p.name for p in known])
    axes.set_xticks([0.0, 1.0], ["lower bound", "upper bound"])
    axes.set_xlim(-0.02, 1.5)
    axes.set_ylim(len(known) - 0.5, -0.5)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return figure


def _share(one: Parameter, value: float) -> float:
    """Where a value stands between the bounds, by ratios where they are positive and far apart."""
    low, high = one.bound_low, one.bound_high
    if low > 0 and high / low >= 4:
        return float(np.log(max(value, 1e-300) / low) / np.log(high / low))
    return (value - low) / (high - low)
