"""`edgetwin fit`: models from recordings. Needs the extra: pip install 'edgetwin[fit]'."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from agent.cli import signing
from agent.cli.telling import fail, names
from agent.cli.telling import where as conditions
from agent.runtime import clock
from agent.twin import baseline
from agent.twin.twin import load


def twin(
    recording: Path,
    out: Path,
    inputs: str,
    outputs: str,
    virtual: str,
    where: Sequence[str],
    settle_s: float,
    units: Path | None,
    period_s: float | None,
    kind: str,
    seed: int,
    asset: str,
    reason: str,
    exclude: Path | None,
) -> None:
    """Identify, report, write."""
    now = datetime.fromtimestamp(clock.wall_ns() // 10**9, UTC)
    _fit(
        "twin",
        recording,
        inputs=names(inputs),
        outputs=names(outputs),
        virtual=names(virtual),
        where=conditions(where),
        out=out,
        settle_s=settle_s,
        units=_units(units),
        period_s=period_s,
        kind=kind,
        seed=seed,
        say=lambda text: typer.echo(text, err=True),
        about={"asset": asset, "reason": reason, "made_utc": f"{now:%Y-%m-%dT%H:%M:%SZ}"},
        exclude=exclude,
    )
    typer.echo(baseline.text(load(out.read_bytes()).baseline))


def detector(
    recording: Path,
    out: Path,
    tags: str,
    where: Sequence[str],
    rows: str,
    settle_s: float,
    units: Path | None,
    budget_per_day: float,
    window: int,
    period_s: float | None,
    exclude: Path | None,
    kind: str,
    calibrate: Path | None,
    twin: Path | None,
) -> None:
    """Fit, report, write."""
    _fit(
        "detector",
        recording,
        out=out,
        tags=names(tags) or None,
        where=conditions(where),
        rows=_slice(rows),
        settle_s=settle_s,
        units=_units(units),
        budget_alarms_per_day=budget_per_day,
        period_s=period_s,
        window=window,
        exclude=exclude,
        kind=kind,
        calibrate=calibrate,
        twin=twin,
    )


def rul(
    runs: Path,
    out: Path,
    unit: str,
    time: str,
    tags: str,
    settings: str,
    censored: str,
    cap: float | None,
    age: str,
    window: int,
    time_unit: str,
    units: Path | None,
    report: Path | None,
    seed: int,
) -> None:
    """Fit, report, write the model and its page."""
    ages = {"auto": None, "yes": True, "no": False}
    if age not in ages:
        fail(f"--age {age}: expected yes, no or auto", 2)
    if time_unit not in ("", "cycles", "ms", "s", "min", "h", "d"):
        fail(f"--time-unit {time_unit}: expected cycles, s, min, h or d", 2)
    told = () if settings == "none" else names(settings) or None
    _fit(
        "rul",
        runs,
        out=out,
        unit=unit,
        time=time,
        tags=names(tags) or None,
        settings=told,
        censored=names(censored),
        cap=cap,
        from_new=ages[age],
        window=window,
        time_unit=time_unit,
        units=_units(units),
        page=report or out.with_suffix(".html"),
        seed=seed,
    )
    signing.made_here(out)


def _fit(model: str, recording: Path, **options: Any) -> None:
    """Run `agent.fit.<model>.fit` and print its report; what it refuses is one line and exit 1."""
    try:
        module = importlib.import_module(f"agent.fit.{model}")
        from agent.fit.recording import FitError
    except ImportError as error:
        fail(f"{error}. Install what fitting needs: pip install 'edgetwin[fit]'")
    if "about" in options:
        options["about"] = module.About(**options["about"])
    try:
        report = module.fit(recording, **options)
    except (FitError, OSError) as error:
        fail(str(error))
    typer.echo("\n".join(report.lines()))


def _slice(text: str) -> slice | None:
    if not text:
        return None
    start, colon, stop = text.partition(":")
    try:
        return slice(int(start or 0), int(stop) if stop else None) if colon else slice(int(start))
    except ValueError:
        fail(f"--rows {text}: expected FROM:TO, as 0:400", 2)


def _units(path: Path | None) -> dict[str, str]:
    """Unit by `group/tag` from a tag list, read as the configuration reads it."""
    if path is None:
        return {}
    from agent.config import files, tags
    from agent.config.problems import Mark, Problem

    problems = list[Problem]()
    text = files.text(str(path), Mark(str(path)), problems)
    tree, wrong = tags.parse(str(path), text or "")
    for problem in problems or wrong:
        typer.echo(str(problem), err=True)
    if problems or wrong:
        fail(f"{path}: no tag list to take units from")
    return {name: row.get("unit") or "" for name, row in tree.value.items()}
