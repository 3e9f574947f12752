"""The page of a detector's fit: its score on rows it has not seen, what was compared, what it can see and blame, and
where it should not be trusted. matplotlib is imported inside the functions that draw: pip install 'edgetwin[fit]'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agent.core.nouns import F8
from agent.detect.metadata import Metadata
from agent.fit.detection import ellipsoid, folding
from agent.fit.detection.choose import Made
from agent.fit.detection.pointing import Pointed, pointing
from agent.fit.report import page, style
from agent.fit.report.style import BLUE, GREY, ORANGE, PALE, VERMILION, panels, thinned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_TAGS = 24
MOST_CANDIDATES = 15
# A fault to point at is half as large again as what just alarms.
BEYOND = 1.5
POINTS = 0.8
HARDLY_SD = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What the page is made of. runs: the healthy rows; step f8[C]: the smallest that alarms, in each tag's unit."""

    recording: str
    about: Metadata
    made: Made
    runs: Sequence[F8]
    step: F8
    dropped: tuple[str, ...]


def write(path: Path, shown: Shown) -> None:
    """Write the page to `path`."""
    path.write_text(html(shown), encoding="utf-8")


def html(shown: Shown) -> str:
    """The page as text: the same fit gives the same bytes."""
    pointed = pointing(shown.made.detector, shown.runs, BEYOND * shown.step)
    with style.look():
        parts = [
            page.heading(f"Detector of {shown.recording}", f"Chosen: {shown.made.chosen}."),
            page.cards(_at_a_glance(shown)),
            _scores(shown),
            _compared(shown),
            _steps(shown),
            _blame(shown, pointed),
            page.section("Where it should not be trusted", page.listed(distrust(shown, pointed))),
        ]
        return page.page(f"Detector of {shown.recording}", parts)


def _at_a_glance(shown: Shown) -> list[tuple[str, str]]:
    about, held = shown.about, shown.about.holdout
    k, n = about.persistence
    return [
        (str(len(about.tags)), "tags"),
        (f"{about.window} x {about.period_s:g} s", "window"),
        (f"{k} of {n}", "scores over the limit make an alarm"),
        (f"{shown.made.threshold.alarms_per_day:.3g}", "false alarms a day that the limit is set for"),
        (f"{held['alarms']:.0f} in {held['hours']:.2f} h", "alarms in rows held out last"),
        (f"{100 * shown.made.chosen.found:.0f} %", "of rows with simulated faults alarm at the right tag"),
    ]


def _scores(shown: Shown) -> str:
    note = "As the daemon publishes it, over healthy rows that the scoring fit has not seen; 1 is the limit."
    drawn = page.picture(style.svg(_score_picture(shown)), "Score over healthy rows not fitted on, with the limit")
    return page.section("Score of healthy rows", drawn, note=note)


def _score_picture(shown: Shown) -> Figure:
    figure, grid = panels(2, height_in=4.2)
    unit_s, unit = style.clock(sum(map(len, shown.made.held_out)) * shown.about.period_s)
    titles = ("rows that set the limit, block by block", "the last fifth, by a fit and a limit of the rest")
    for (axes,), runs, title in zip(grid, (shown.made.held_out, shown.made.last), titles, strict=True):
        at = 0
        for run in runs:
            t = np.asarray((at + np.arange(len(run))) * shown.about.period_s / unit_s, np.float64)
            axes.plot(*thinned(t, run), color=BLUE, lw=0.9)
            at += len(run)
        axes.axhline(1.0, color=VERMILION, lw=1.2)
        axes.set_ylim(bottom=0.0)
        axes.set_ylabel("score")
        axes.set_title(title)
    grid[-1][0].set_xlabel(f"scored time, joined ({unit})")
    return figure


def _compared(shown: Shown) -> str:
    note = (
        "Share of rows with a simulated fault (step, drift, freeze, noise, lost connection; in one or two tags) that"
        " alarm, each candidate at its own limit for the same false alarms. The simplest is taken that none beats"
        " beyond doubt."
    )
    best = shown.made.compared[:MOST_CANDIDATES]
    rows = [[str(each), f"{100 * each.found:.1f} %", f"{100 * each.alarmed:.1f} %"] for each in best]
    table = page.table(["candidate (the chosen one first)", "alarm at the right tag", "alarm"], rows)
    drawn = page.picture(style.svg(_families(shown)), "Share found by each candidate, by family")
    return page.section("What was compared", drawn, table, note=note)


def _families(shown: Shown) -> Figure:
    names = [" + ".join(c.family for c in each.candidates) for each in shown.made.compared]
    kinds = list(dict.fromkeys(sorted(names)))
    figure, ((axes,),) = panels(1, height_in=0.9 + 0.32 * len(kinds))
    for each, name in zip(shown.made.compared, names, strict=True):
        axes.plot(100 * each.found, kinds.index(name), "o", ms=5, color=BLUE, alpha=0.5, mec="white", mew=0.5)
    first = shown.made.compared[0]
    axes.plot(100 * first.found, kinds.index(names[0]), "o", ms=12, mfc="none", mec=VERMILION, mew=2.0)
    axes.set_yticks(range(len(kinds)), kinds)
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    axes.set_xlabel("% of faulty rows that alarm at the right tag (ringed: chosen)")
    return figure


def _steps(shown: Shown) -> str:
    note = "The smallest lasting step of one tag alone that alarms when all else is as usual."
    sd = shown.made.detector.scale
    rows = [
        [tag, f"{step:.3g} {unit}".strip(), f"{step / s:.2f}"]
        for tag, unit, step, s in zip(shown.about.tags, shown.about.units, shown.step, sd, strict=True)
    ]
    return page.section("What it can see", page.table(["tag", "step", "in its spread"], rows), note=note)


def _blame(shown: Shown, pointed: Pointed) -> str:
    note = f"Steps of {BEYOND:g} times the smallest, one tag at a time, put into healthy windows."
    rows = [
        [tag, *(f"{100 * value:.0f} %" for value in values)]
        for tag, *values in zip(
            shown.about.tags, pointed.first, pointed.second, pointed.z_first, pointed.z_second, strict=True
        )
    ]
    head = ["faulty tag", "first", "first two", "raw z-scores: first", "first two"]
    drawn = page.picture(style.svg(_shares(shown, pointed)), "Share of every tag in the contributions, by faulty tag")
    return page.section("Which tag it blames", drawn, page.table(head, rows), note=note)


def _shares(shown: Shown, pointed: Pointed) -> Figure:
    from matplotlib.colors import LinearSegmentedColormap

    tags = shown.about.tags[:MOST_TAGS]
    count = len(tags)
    figure, ((axes,),) = panels(1, height_in=min(1.6 + 0.34 * count, 9.0))
    colours = LinearSegmentedColormap.from_list("shares", ["#ffffff", PALE, ORANGE, VERMILION])
    axes.imshow(pointed.share[:count, :count], cmap=colours, vmin=0.0, vmax=1.0, aspect="auto")
    for i in range(count):
        for j in range(count):
            if count <= MOST_TAGS // 2 and pointed.share[i, j] >= 0.05:
                axes.annotate(
                    f"{100 * pointed.share[i, j]:.0f}", (j, i), ha="center", va="center", fontsize=8, color=GREY
                )
    axes.set_xticks(range(count), tags, rotation=40, ha="right")
    axes.set_yticks(range(count), tags)
    axes.set_ylabel("faulty tag")
    axes.set_xlabel("% of the contributions")
    axes.grid(False)
    return figure


def distrust(shown: Shown, pointed: Pointed) -> list[str]:
    """In words: where this detector should not be trusted."""
    about, made = shown.about, shown.made
    said = [f"Outside the modes {', '.join(about.modes)}: it was not made for them and is silent there."]
    if about.settle_s:
        said.append(f"In the first {about.settle_s:g} s after such a mode began: it says nothing then.")
    asked = about.threshold["budget_alarms_per_day"]
    if made.threshold.alarms_per_day > asked:
        hours = made.threshold.rows * about.period_s / 3600.0
        said.append(
            f"Its false alarms: {asked:g} a day were asked for, but {hours:.2f} h of healthy rows cannot show less than"
            f" {made.threshold.alarms_per_day:.3g} a day. Record longer."
        )
    if about.holdout["over_percent"] > 0:
        said.append(f"Rows held out last were over the limit in {about.holdout['over_percent']:.1f} % of the time.")
    said += [f"{tag}: {text}" for tag, text in zip(about.tags, _of_tags(shown, pointed), strict=True) if text]
    said += [f"{text}: left out, it says nothing about it." for text in shown.dropped]
    value = np.vstack(shown.runs)
    spans = zip(about.tags, value.min(axis=0), value.max(axis=0), about.units, strict=True)
    seen = ", ".join(f"{tag} {low:.4g} to {high:.4g} {unit}".strip() for tag, low, high, unit in spans)
    return [*said, f"Outside what was recorded a new product or recipe looks like a fault: {seen}."]


def _of_tags(shown: Shown, pointed: Pointed) -> list[str]:
    """What is wrong with each tag, or nothing."""
    on_its_way = _trends(shown)
    found = []
    for tag, (step, sd) in enumerate(zip(shown.step, shown.made.detector.scale, strict=True)):
        texts = []
        if on_its_way[tag]:
            texts.append("it was on its way somewhere while it was recorded, and is granted to go on")
        if step > HARDLY_SD * sd:
            texts.append(f"hardly watched, a step of {step / sd:.1f} times its spread just alarms")
        if pointed.first[tag] < POINTS:
            texts.append(f"a fault of it is blamed on another tag in {100 * (1 - pointed.first[tag]):.0f} % of windows")
        found.append("; ".join(texts))
    return found


def _trends(shown: Shown) -> list[bool]:
    """Whether any feature of a tag was granted more because of a trend."""
    made = shown.made.detector
    granted = np.zeros(len(made.mean), np.bool_)
    for part in made.parts:
        feature = np.vstack([folding.features((run - made.mean) / made.scale, part.folding) for run in shown.runs])
        allowed = ellipsoid.allowance(feature) > np.square(feature.std(axis=0))
        granted |= allowed.reshape(len(made.mean), -1).any(axis=1)
    return [bool(each) for each in granted]
