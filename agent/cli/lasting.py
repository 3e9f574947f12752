"""`edgetwin store plan`: how long the buffer lasts, by class, and what is written to flash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agent.cli import journals
from agent.cli.configuration import planned
from agent.cli.telling import as_json
from agent.cli.telling import settings as chosen
from agent.core.nouns import Role
from agent.store import rates
from agent.store.rates import Rates, Recorded
from agent.store.record import CLASSES

if TYPE_CHECKING:
    from agent.config.plan import Plan
    from agent.engine.asset import Asset

# Less of a journal says little: the first hour has starts and stops in it.
LEAST_S = 3600.0
EVENTS_A_DAY = 200.0
THEN = {
    "raw": "given up first",
    "summary": "given up when no raw history is left",
    "event": "given up when no summary is left, audit entries last",
}


def run(file: Path, state_dir: Path | None, settings: Sequence[str], json: bool) -> None:
    """Print a line a class."""
    plan = planned(file, state_dir, chosen(settings))
    path, cap = plan.journal.path, plan.journal.cap_bytes
    known = journals.read(path, rates.measured) if path.exists() else None
    if known is None or known.over_s < LEAST_S:
        known = rates.estimated([_recorded(asset) for asset in plan.assets], plan.journal.raw, EVENTS_A_DAY)
    kept, flash = rates.lasting_days(known, cap), rates.flash_a_day(known, _commits_a_day(plan))
    if json:
        as_json({"cap_bytes": cap, "measured_over_s": known.over_s, "bytes_a_day": dict(known.a_day),
                 "days": kept, "flash_bytes_a_day": flash})  # fmt: skip
        return
    typer.echo("\n".join([_head(path, cap, known), *_lines(known, kept), _flash(flash, plan)]))


def _head(path: Path, cap: int, known: Rates) -> str:
    how = f"measured over {_span(known.over_s / rates.DAY_S)} of {path}" if known.over_s else (
        f"estimated, right to a factor of two: {path} holds less than an hour" if path.exists() else
        f"estimated, right to a factor of two: there is no {path} yet"
    )  # fmt: skip
    return f"cap {_size(cap)}; {how}"


def _lines(known: Rates, kept: dict[str, float]) -> list[str]:
    head = f"  {'class':8} {'a day':>10}  {'lasts':>10}"
    return [head] + [
        f"  {class_:8} {_size(known.a_day.get(class_, 0.0)):>10}  {_span(kept[class_]):>10}  {THEN[class_]}"
        for class_ in CLASSES
    ]


def _flash(flash: float, plan: Plan) -> str:
    return f"written to flash: about {_size(flash)} a day (raw history each {plan.journal.flush_s:g} s)"


def _recorded(asset: Asset) -> Recorded:
    samples_hz = sum(1.0 / max(tag.scan_s, 1e-3) for tag in asset.tags)
    given = sum(point.role not in (Role.MEASURED, Role.MODE) for point in asset.points)
    return Recorded(samples_hz, given / asset.period_s, len(asset.tags), rates.DAY_S / asset.summary_s)


def _commits_a_day(plan: Plan) -> float:
    windows_s = [asset.summary_s for asset in plan.assets]
    return rates.DAY_S / min([plan.journal.flush_s, *windows_s]) + EVENTS_A_DAY


def _size(n: float) -> str:
    return f"{n / 1e9:.2g} GB" if n >= 1e9 else f"{n / 1e6:.3g} MB" if n >= 1e5 else f"{n / 1e3:.2g} kB"


def _span(days: float) -> str:
    if days < 2:
        return f"{days * 24:.1f} h"
    if days < 100:
        return f"{days:.1f} d"
    return f"{days / 30.44:.0f} months" if days < 1500 else f"{days / 365.25:.0f} years" if days < 1e6 else "ever"
