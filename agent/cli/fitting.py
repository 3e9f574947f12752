"""`edgetwin fit`: models from recordings. Needs the extra: pip install 'edgetwin[fit]'."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import typer

from agent.cli.telling import fail, names
from agent.cli.telling import where as conditions


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
) -> None:
    """Identify, report, write."""
    try:
        from agent.fit import twin as fit
        from agent.fit.recording import FitError
    except ImportError as error:
        fail(f"{error}. Install what fitting needs: pip install 'edgetwin[fit]'")
    try:
        report = fit.fit(
            recording,
            inputs=names(inputs),
            outputs=names(outputs),
            virtual=names(virtual),
            where=conditions(where),
            out=out,
            settle_s=settle_s,
            units=_units(units),
            period_s=period_s,
        )
    except (FitError, OSError) as error:
        fail(str(error))
    typer.echo("\n".join(report.lines()))


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
) -> None:
    """Fit, report, write."""
    try:
        from agent.fit import detector as fit
        from agent.fit.recording import FitError
    except ImportError as error:
        fail(f"{error}. Install what fitting needs: pip install 'edgetwin[fit]'")
    try:
        report = fit.fit(
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
        )
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
    """Unit by `group/tag` from a tag list."""
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    rows = csv.DictReader(text.splitlines(), delimiter=";" if ";" in text.partition("\n")[0] else ",")
    return {f"{row['group']}/{row['tag']}": row.get("unit") or "" for row in rows if row.get("tag")}
