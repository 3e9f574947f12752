"""The report of a fit: one HTML file with pictures, for the person who decides whether a twin is good enough.

    material.py   what a fit hands over: any kind of twin can fill it
    runs.py       measured and free run, residuals
    choices.py    order choice, step responses, parameters
    seen.py       where the twin has seen the machine, and where it should not be trusted
    outcome.py    the picture of a what-if
    style.py      how pictures look; page.py: the HTML around them

matplotlib is imported inside the functions that draw: pip install 'edgetwin[fit]'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agent.fit.report import choices, page, runs, seen, style
from agent.fit.report.material import Candidate, Material, Parameter, Run, estimated
from agent.twin import response
from agent.twin.kind import Health

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HELD_OUT = "Free runs from the inputs alone, over rows that the fit has not seen."
BETWEEN = "Value and 95 % interval, between the physical bounds."

__all__ = ["Candidate", "Material", "Parameter", "Run", "html", "write"]


def write(path: Path, material: Material) -> None:
    """Write the report of a fit to `path`."""
    path.write_text(html(material), encoding="utf-8")


def html(material: Material) -> str:
    """The report as text: the same material gives the same bytes."""
    with style.look():
        return page.page(f"Twin of {material.recording}", _parts(material))


def _parts(material: Material) -> list[str]:
    return [
        page.heading(f"Twin of {material.recording}", material.why),
        page.cards(_at_a_glance(material)),
        page.section("Held-out rows", _scores(material), note=HELD_OUT),
        _measured(material),
        _residuals(material),
        _choice(material),
        _parameters(material),
        _dynamics(material),
        _distrust(material),
    ]


def _drawn(figure: Figure, text: str) -> str:
    return page.picture(style.svg(figure), text)


def _at_a_glance(material: Material) -> list[tuple[str, str]]:
    plant = material.twin.plant
    rows = sum(len(run.time_s) for run in material.runs)
    errors = [score[1] for score in scores(material)]
    found = [(plant.kind_name, "kind of twin"), (str(plant.n), "states"), (f"{plant.period_s:g} s", "period")]
    found.append((f"{len(material.u)}", "rows learned from"))
    if errors:
        found.append((f"{np.mean(errors):.3g}", "NRMSE of free runs, mean over outputs"))
    return [*found, (str(rows), "rows held out")] if rows else found


def scores(material: Material) -> list[tuple[float, float, float]]:
    """Of each measured output over the held-out rows: RMSE and its share of the standard deviation, of free runs; the
    standard deviation of residuals (NaN: not given)."""
    if not material.runs:
        return []
    p = len(material.twin.plant.outputs)
    y = np.concatenate([run.y for run in material.runs])
    error = y - np.concatenate([run.free[:, :p] for run in material.runs])
    rmse = np.sqrt(np.nanmean(error**2, axis=0))
    left = np.nanstd(np.concatenate(material.residuals), axis=0) if material.residuals else np.full(p, math.nan)
    return [(float(a), float(a / b), float(c)) for a, b, c in zip(rmse, np.nanstd(y, axis=0), left, strict=True)]


def _scores(material: Material) -> str:
    rows = [
        [channel.tag, channel.unit, f"{rmse:.4g}", f"{nrmse:.3f}", "" if math.isnan(left) else f"{left:.4g}"]
        for channel, (rmse, nrmse, left) in zip(material.twin.plant.outputs, scores(material), strict=False)
    ]
    return page.table(["output", "unit", "RMSE", "NRMSE", "residual, sd"], rows)


def _measured(material: Material) -> str:
    if not material.runs:
        return ""
    whole = _drawn(runs.free_runs(material), "Measured outputs and free runs over the held-out rows")
    near = _drawn(runs.close_look(material), "The same around the largest error")
    largest = page.words("The rows around the largest error:")
    return page.section("Measured and free run", whole, largest, near)


def _residuals(material: Material) -> str:
    if not material.residuals:
        return ""
    note = (
        "Measured less expected, as the daemon will publish it. Residuals of a reduced model are correlated: what is "
        "outside the grey band is structure that it does not have."
    )
    drawn = _drawn(runs.residuals(material), "Residuals over time, their autocorrelation and distribution")
    return page.section("Residuals", drawn, note=note)


def _choice(material: Material) -> str:
    if not material.candidates:
        return ""
    note = "Each dot is a fold: a free run over a contiguous block that the candidate has not seen."
    names = [*(c.name for c in material.candidates), *material.rivals]
    folds = [*(c.folds for c in material.candidates), *material.rivals.values()]
    most = max(len(f) for f in folds)
    rows = [
        [name + (" (chosen)" if name == material.chosen else ""), f"{choices.geometric_mean(f):.3f}", *_cells(f, most)]
        for name, f in zip(names, folds, strict=True)
    ]
    head = ["candidate", "mean", *(f"fold {i + 1}" for i in range(most))]
    drawn = _drawn(choices.order_choice(material), "Error of every candidate on every fold")
    return page.section("Choice of the model", page.words(material.why), drawn, page.table(head, rows), note=note)


def _cells(folds: np.ndarray[tuple[int], np.dtype[np.float64]], most: int) -> list[str]:
    known = ["" if math.isnan(x) else f"{x:.3f}" for x in folds.tolist()]
    return known + [""] * (most - len(known))


def _parameters(material: Material) -> str:
    known = material.parameters or estimated(material.twin)
    healths = material.twin.plant.health
    if not known and not healths:
        return ""
    unsure = [p.name for p in known if not p.identified]
    said = f"The data say no more than the bounds of: {', '.join(unsure)}." if unsure else ""
    drawn = _drawn(choices.parameters(known), "Parameters with intervals between their bounds") if known else ""
    return page.section("Parameters", page.words(said), drawn, _healths(healths), note=BETWEEN if known else "")


def _healths(healths: Sequence[Health]) -> str:
    rows = []
    for one in healths:
        low, high = response.when_new(one)
        failed = "" if math.isnan(one.failed) else f"{one.failed:.4g}"
        rows.append([one.name, one.component, one.unit, f"{one.nominal:.4g}", f"{low:.4g} to {high:.4g}", failed])
    return page.table(["health", "component", "unit", "new", "95 % when new", "worn out at"], rows)


def _dynamics(material: Material) -> str:
    plant = material.twin.plant
    at = response.operating(plant)
    answers = response.responses(plant, at)
    where = ", ".join(f"{c.tag} {x:.4g} {c.unit}".rstrip() for c, x in zip(plant.inputs, at.u, strict=True))
    said = f"From {where}, each input stepped by its standard deviation in the recording."
    if not at.settled:
        said += " The twin does not come to rest there: what is shown is less its own drift."
    rows = [[f"{m.magnitude:.5f}", seconds(m.time_s), seconds(m.period_s)] for m in response.modes(plant, at)]
    drawn = _drawn(choices.step_responses(material, answers), "Step responses of every output to every input")
    head = ["eigenvalue", "time constant", "oscillates each"]
    return page.section("Step responses", page.words(said), drawn, page.table(head, rows))


def seconds(value: float) -> str:
    """A time constant as people say it."""
    if math.isinf(value):
        return "none"
    size_s, name = style.clock(value)
    return f"{value / size_s:.3g} {name}"


def _distrust(material: Material) -> str:
    twin = material.twin
    shares = [[n, f"{100 * share:.1f} %", "yes" if n in twin.modes else "no"] for n, share in material.modes.items()]
    parts = [page.listed(seen.distrust(material)), page.table(["mode", "of the recording", "twin holds"], shares)]
    if len(material.u):
        if twin.plant.inputs:
            parts.append(_drawn(seen.coverage(material), "Share of rows over the range of each input"))
        parts.append(page.words("Rows of the recording by pairs of signals, with the outline of the domain:"))
        parts.append(_drawn(seen.domain(material), "Pairs of signals with the outline of the domain"))
    return page.section("Where it should not be trusted", *parts)
