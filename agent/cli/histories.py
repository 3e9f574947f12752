"""What a fit is made from: a CSV, or the recorder's history of a configuration, written as a CSV beside the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agent.cli.configuration import planned
from agent.cli.telling import fail
from agent.cli.when import wall_ns
from agent.cli.wording import WordingError, seconds
from agent.core.nouns import Mode

if TYPE_CHECKING:
    from agent.config.plan import Plan
    from agent.engine.asset import Asset

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a history: which asset, from when to when, how much around trouble is left out."""

    asset: str = ""
    begin: str = ""
    end: str = ""
    margin: str = "5m"
    state_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A recording: where holds in the rows to use, the units of its columns as far as they are known, and the state
    folder of the daemon that it is from."""

    path: Path
    where: Mapping[str, float]
    units: Mapping[str, str] = field(default_factory=dict)
    state_dir: Path | None = None


def source(recording: Path, out: Path, asked: Asked, where: Mapping[str, float], points: Sequence[str]) -> Source:
    """The CSV itself; of a configuration the history of its asset, in `<model>.history.csv`, while it was running
    unless `where` says another mode. points: of models, to be columns too."""
    if recording.suffix not in SUFFIXES:
        if asked.begin or asked.end:
            fail(
                f"--from and --to are for the history of a configuration, {recording} is a CSV: see --rows, --exclude",
                2,
            )
        return Source(recording, where)
    from agent.fit import history
    from agent.fit.table import FitError
    from agent.store.read import Reader
    from agent.store.schema import StoreError

    plan = planned(recording, asked.state_dir, {})
    asset = _asset(plan, asked.asset)
    wanted = history.Wanted(
        wall_ns("--from", asked.begin, 0),
        wall_ns("--to", asked.end, 1 << 62),
        _span_s(asked.margin),
        tuple(points),
    )
    path = out.with_suffix(".history.csv")
    try:
        reader = Reader.open(plan.journal.path)
        try:
            outcome = history.write(reader, asset, wanted, path)
        finally:
            reader.close()
    except (StoreError, OSError) as error:
        fail(f"{plan.journal.path}: {error}")
    except FitError as error:
        fail(str(error))
    typer.echo("\n".join([f"{path}: history of {asset.id}", *outcome.lines(asset.period_s)]), err=True)
    units = {name: tag.unit for name, tag in zip(asset.names, asset.tags, strict=True)}
    return Source(path, {history.MODE: float(Mode.RUNNING), **where}, units, plan.state_dir)


def _asset(plan: Plan, name: str) -> Asset:
    machines = [asset for asset in plan.assets if asset.id != "gateway"]
    found = [asset for asset in machines if name in ("", asset.id)]
    have = ", ".join(asset.id for asset in machines)
    if not found:
        fail(f"no asset {name}, there are {have}")
    if len(found) > 1:
        fail(f"several assets, choose one with --asset: {have}", 2)
    return found[0]


def _span_s(text: str) -> float:
    try:
        return seconds(text)
    except WordingError as error:
        fail(f"--margin: {error}", 2)
