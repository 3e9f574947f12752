"""The page of a life predictor: how good it is on units that it was not trained on, what it looks at, where it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agent.fit.lives.band import wilson
from agent.fit.report import page, style
from agent.fit.report.style import BLUE, GREY, INK, ORANGE, PALE, VERMILION, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from agent.fit.rul import Report

SHOWN_UNITS = 6
BINS = 10
MOST_TAGS = 20
NOTE = "Each unit was estimated by networks that were trained without it, its band made without it."


def html(report: Report, recording: str) -> str:
    """The page as text: the same fit gives the same bytes."""
    about, title = report.about, f"Remaining life from {recording}"
    with style.look():
        parts = [
            page.heading(title, f"{about.holdout['units']} units that ran to failure."),
            page.cards(_at_a_glance(report)),
            page.section(
                "Held-out units", _drawn(courses(report), "Estimate, band and true life of some units"), note=NOTE
            ),
            page.section(
                "Estimate and truth", _drawn(scatter(report), "Estimated against true life"), _by_life(report)
            ),
            page.section("Where errors and coverage lie", _drawn(by_life(report), "Error and coverage by true life")),
            page.section(
                "What it looks at",
                _drawn(importance(report), "Rise of the error where a tag is shuffled"),
                note="By how much the error grows where a tag is taken from other rows: the more, the more it counts.",
            ),
            page.section(
                "Where it says nothing",
                _drawn(envelope(report), "Distances of held-out rows, and the limit"),
                page.listed(_silent(report)),
            ),
            page.section("What was tried", _choice(report), note="Root mean square error of held-out units, by unit."),
            page.section("As the terminal shows it", page.verbatim(report.lines())),
        ]
        return page.page(title, parts)


def courses(report: Report) -> Figure:
    """A panel a unit: true life, estimate and band over its age."""
    table, about = report.table, report.about
    units = np.unique(table.unit[table.usable])
    chosen = units[np.linspace(0, len(units) - 1, min(SHOWN_UNITS, len(units))).astype(int)]
    figure, grid = panels(2, 3, height_in=5.2)
    for axes, unit in zip([axes for row in grid for axes in row], chosen, strict=False):
        mine = table.usable & (table.unit == unit)
        true = np.minimum(table.life[mine], table.cap)
        age = table.life[mine].max() - table.life[mine]
        axes.fill_between(age, report.shown[mine, 0], report.shown[mine, 2], color=BLUE, alpha=0.18, lw=0)
        axes.plot(age, report.shown[mine, 1], color=BLUE, label="estimate, 90 % band")
        axes.plot(age, true, color=INK, lw=1.0, label="true, at most the cap")
        axes.set_ylim(0.0, table.cap * 1.05)
    grid[0][0].legend()
    grid[1][1].set_xlabel(f"time ({about.time_unit})")
    grid[0][0].set_ylabel(f"life ({about.time_unit})")
    return figure


def scatter(report: Report) -> Figure:
    """Every held-out row: estimate against true life."""
    table = report.table
    ok = table.usable
    true = np.minimum(table.life[ok], table.cap)
    figure, grid = panels(1, 1, height_in=4.2)
    axes = grid[0][0]
    axes.plot(true, report.chosen.estimate[ok], ".", color=BLUE, ms=2.5, alpha=0.25, rasterized=True)
    axes.plot([0, table.cap], [0, table.cap], color=INK, lw=1.0)
    axes.set_xlabel(f"true life, at most the cap ({report.about.time_unit})")
    axes.set_ylabel(f"estimate ({report.about.time_unit})")
    return figure


def by_life(report: Report) -> Figure:
    """Error and coverage of held-out rows by true life."""
    edges, rmse, bias, share, _ = _parts(report)
    figure, grid = panels(1, 2, height_in=2.8)
    middle, width = (edges[1:] + edges[:-1]) / 2.0, np.diff(edges) * 0.9
    grid[0][0].bar(middle, rmse, width, color=BLUE, label="root mean square error")
    grid[0][0].plot(middle, bias, color=VERMILION, marker="o", ms=3, label="estimate less truth, mean")
    grid[0][0].legend()
    grid[0][0].set_ylabel(report.about.time_unit)
    grid[0][1].bar(middle, 100.0 * share, width, color=BLUE)
    grid[0][1].axhline(90.0, color=VERMILION, lw=1.2)
    grid[0][1].set_ylim(0.0, 100.0)
    grid[0][1].set_ylabel("% of rows inside the 90 % band")
    for axes in grid[0]:
        axes.set_xlabel(f"true life ({report.about.time_unit})")
    return figure


def importance(report: Report) -> Figure:
    """A bar a tag: by how much the error grows where it is shuffled."""
    found = sorted(report.importance.items(), key=lambda pair: pair[1])[-MOST_TAGS:]
    figure, grid = panels(1, 1, height_in=0.8 + 0.24 * len(found))
    grid[0][0].barh([name for name, _ in found], [rise for _, rise in found], color=BLUE)
    grid[0][0].set_xlabel(f"rise of the error ({report.about.time_unit})")
    grid[0][0].grid(False, axis="y")
    return figure


def envelope(report: Report) -> Figure:
    """How far held-out rows are from the rest, and the limit beyond which there is no estimate."""
    share = report.chosen.distance[report.table.usable] / report.limit
    figure, grid = panels(1, 1, height_in=2.4)
    grid[0][0].hist(share, np.linspace(0.0, 1.2, 61).tolist(), color=PALE, ec=GREY, lw=0.4)
    grid[0][0].axvline(1.0, color=ORANGE, lw=1.5)
    grid[0][0].set_yscale("log")
    grid[0][0].set_xlabel("distance of held-out rows, in shares of the limit")
    grid[0][0].set_ylabel("rows")
    return figure


def _drawn(figure: Figure, text: str) -> str:
    return page.picture(style.svg(figure), text)


def _at_a_glance(report: Report) -> list[tuple[str, str]]:
    held, about = report.about.holdout, report.about
    return [
        (str(held["units"]), "units"),
        (f"{held['rmse']:.3g} {about.time_unit}", "error of held-out units (root mean square)"),
        (f"{held['rmse_mean']:.3g} {about.time_unit}", "error of the mean life"),
        (f"{100 * held['coverage']:.0f} %", "of held-out rows inside the 90 % band"),
        (f"{about.cap:g} {about.time_unit}", "cap: beyond it a life is more than that"),
        (str(len(about.regimes.mean)), "operating regimes"),
    ]


def _parts(report: Report) -> tuple[np.ndarray, ...]:
    """(edges, RMSE, bias, share inside the band, units) by true life."""
    table, shown = report.table, report.shown
    ok = table.usable & np.isfinite(shown[:, 0])
    true, error = np.minimum(table.life, table.cap), report.chosen.estimate - np.minimum(table.life, table.cap)
    inside = (shown[:, 0] <= true) & (true <= shown[:, 2])
    edges = np.linspace(0.0, table.cap, BINS + 1)
    at = np.minimum(np.searchsorted(edges, true, side="right") - 1, BINS - 1)
    parts = [ok & (at == k) for k in range(BINS)]
    rmse = np.array([np.sqrt(np.mean(error[p] ** 2)) if p.any() else np.nan for p in parts])
    bias = np.array([np.mean(error[p]) if p.any() else np.nan for p in parts])
    share = np.array([np.mean(inside[p]) if p.any() else np.nan for p in parts])
    return edges, rmse, bias, share, np.array([len(np.unique(table.unit[p])) for p in parts])


def _by_life(report: Report) -> str:
    edges, rmse, bias, share, units = _parts(report)
    rows = []
    for k in range(BINS):
        low, high = wilson(round(share[k] * units[k]), int(units[k])) if units[k] else (np.nan, np.nan)
        span = f"{edges[k]:.4g} to {edges[k + 1]:.4g}"
        rows.append((span, f"{rmse[k]:.1f}", f"{bias[k]:+.1f}", f"{share[k]:.0%}", f"{low:.0%} to {high:.0%}"))
    head = ("true life", "error", "mean error", "inside the band", "95 % interval of that, as if a row a unit")
    return page.table(head, rows)


def _choice(report: Report) -> str:
    named = sorted(report.chosen.errors.items(), key=lambda pair: pair[1])
    return page.table(("candidate", report.about.time_unit), [(name, f"{error:.2f}") for name, error in named])


def _silent(report: Report) -> list[str]:
    about = report.about
    said = [
        f"In the first {about.least} rows of a unit, and after a hole of more than {about.hold_rows} rows.",
        "Farther from all that it was trained on than any held-out row, by a quarter (the line above).",
        f"Above {about.cap:g} {about.time_unit} it says more than that, and no number.",
    ]
    if about.from_new:
        said.append(
            "It counts on following a unit from its first running on: started later, it takes the unit for new."
        )
    if len(about.regimes.settings):
        said.append("At an operating point that is not one of the recognised regimes.")
    return said
