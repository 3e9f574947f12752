"""`edgetwin backtest`: the journal's ticks through the engine again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from agent.cli.configuration import planned
from agent.cli.telling import as_json, fail
from agent.cli.telling import settings as chosen
from agent.engine.replay import Outcome, play
from agent.store.read import Reader
from agent.store.schema import StoreError

KINDS = ("state", "tick", "snapshot")


def run(file: Path, state_dir: Path | None, settings: Sequence[str], json: bool, asset: str | None) -> None:
    """Play each asset, say what came of it; exit 1 where anything differs from the live run."""
    plan = planned(file, state_dir, chosen(settings))
    assets = [a for a in plan.assets if asset in (None, a.id)]
    if not assets:
        fail(f"no asset {asset}, there are {', '.join(a.id for a in plan.assets)}")
    try:
        reader = Reader.open(plan.journal.path)
    except (StoreError, OSError) as error:
        fail(f"{plan.journal.path}: {error}")
    try:
        outcomes = [play(a, _messages(reader, a.id)) for a in assets]
    finally:
        reader.close()
    if json:
        as_json({"journal": str(plan.journal.path), "assets": [asdict(o) for o in outcomes]})
    else:
        for outcome in outcomes:
            typer.echo("\n".join(_lines(outcome)))
    raise typer.Exit(1 if any(o.different for o in outcomes) or not any(o.ticks for o in outcomes) else 0)


def _messages(reader: Reader, asset: str) -> Iterator[tuple[str, bytes]]:
    for message in reader.messages(asset, KINDS):
        yield message.kind, message.body


def _lines(outcome: Outcome) -> list[str]:
    lines = [
        f"{outcome.asset}: {outcome.ticks} ticks, {outcome.same} the same to the bit, {outcome.different} different"
    ]
    if outcome.skipped:
        lines.append(f"  {outcome.skipped} ticks skipped: a hole in the record before them")
    if outcome.different:
        lines.append(f"  alerts raised: {outcome.alerts_live} then, {outcome.alerts_now} now")
        lines += [f"  {text}" for text in outcome.differences]
    return lines
