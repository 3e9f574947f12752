"""The picture of a what-if: both arms with their bands, the limits, when something is set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agent.fit.report import page, style
from agent.fit.report.style import BLUE, GREY, VERMILION, clock, labelled, panels
from agent.twin.plant import Plant
from agent.twin.trial.whatif import Outcome, Question

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def write(path: Path, outcome: Outcome, question: Question, told: Sequence[str], plant: Plant) -> None:
    """The picture as .png or .svg; as .html with what was told beside it."""
    with style.look():
        figure = drawn(outcome, question, plant)
        if path.suffix != ".html":
            figure.savefig(path, dpi=150)
            return
        said = page.verbatim(told)
        shown = page.picture(style.svg(figure), "Baseline and candidate with their bands")
        path.write_text(page.page("What if", [page.heading("What if", told[0]), shown, said]), encoding="utf-8")


def drawn(outcome: Outcome, question: Question, plant: Plant) -> Figure:
    """A panel for each signal that moves: inputs that stand still are left out."""
    m = len(plant.inputs)
    span = np.ptp(outcome.band, axis=(0, 1, 3))
    moving = [i for i in range(len(outcome.tags)) if i >= m or span[i] > 0]
    figure, grid = panels(len(moving), height_in=0.9 + 1.5 * len(moving), sharex=True)
    unit_s, unit = clock(question.horizon_s)
    t = outcome.time_s / unit_s
    for (axes,), i in zip(grid, moving, strict=True):
        for arm, colour, name in ((0, GREY, "as it is"), (1, BLUE, "with the change")):
            low, middle, high = outcome.band[arm, :, i].T
            axes.fill_between(t, low, high, color=colour, alpha=0.22, lw=0)
            axes.plot(t, middle, color=colour, label=name, ls="--" if arm == 0 else "-")
        _limits(axes, outcome, i)
        for change in question.changes:
            axes.axvline(change.start_s / unit_s, color=GREY, lw=0.8, ls=":")
        axes.set_title(labelled(outcome.tags[i], outcome.units[i]) + _kind(i, plant))
        axes.margins(x=0.0)
    handles, names = grid[0][0].get_legend_handles_labels()
    grid[0][0].legend(handles, names, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.2)
    grid[-1][0].set_xlabel(f"time from now ({unit}); bands from p5 to p95")
    return figure


def _kind(i: int, plant: Plant) -> str:
    return ", virtual" if i >= len(plant.inputs) + len(plant.outputs) else ""


def _limits(axes: Axes, outcome: Outcome, i: int) -> None:
    """Limits of this signal that are near enough to be seen without flattening the rest."""
    band = outcome.band[:, :, i]
    low, high = float(band.min()), float(band.max())
    room = 1.5 * max(high - low, 1e-12)
    for constraint, (_, candidate) in zip(outcome.constraints, outcome.violations, strict=True):
        if constraint.tag != outcome.tags[i] or not low - room <= constraint.limit <= high + room:
            continue
        axes.axhline(constraint.limit, color=VERMILION, lw=1.1, ls=(0, (5, 2)))
        sign = "below" if constraint.side == "high" else "above"
        chance = (
            f"with {100 * candidate.probability:.3g}"
            if candidate.probability
            else f"with under {100 * candidate.high:.1g}"
        )
        text = f"{sign} {constraint.limit:g}: violated {chance} %"
        axes.annotate(
            text,
            (0.995, constraint.limit),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            color=VERMILION,
            fontsize=8.5,
        )
