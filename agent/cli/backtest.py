"""`edgetwin backtest`: the journal's ticks, or a recording, through the engine again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from agent.cli import alarming
from agent.cli.configuration import planned
from agent.cli.telling import as_json, fail
from agent.cli.telling import settings as chosen
from agent.engine import trial
from agent.engine.replay import Outcome, play
from agent.store.read import Reader
from agent.store.schema import StoreError

KINDS = ("state", "tick", "snapshot")
SLACK_NS = 60_000_000_000
MAGIC = b"SQLite format 3\0"


def run(
    file: Path, journal: Path | None, state_dir: Path | None, settings: Sequence[str], json: bool, asset: str | None
) -> None:
    """Play each asset of a journal, say what came of it; exit 1 where anything differs from the live run."""
    plan = planned(file, state_dir, chosen(settings), strict=True)
    assets = [a for a in plan.assets if asset in (None, a.id)]
    if not assets:
        fail(f"no asset {asset}, there are {', '.join(a.id for a in plan.assets)}")
    path = journal or plan.journal.path
    try:
        reader = Reader.open(path)
    except (StoreError, OSError) as error:
        fail(f"{path}: {error}")
    try:
        outcomes = [play(a, _messages(reader, a.id)) for a in assets]
    finally:
        reader.close()
    if json:
        as_json({"journal": str(path), "assets": [_tree(o) for o in outcomes]})
    else:
        for outcome in outcomes:
            typer.echo("\n".join(_lines(outcome)))
    raise typer.Exit(1 if any(o.different for o in outcomes) or not any(o.ticks for o in outcomes) else 0)


def journal_at(path: Path | None) -> Path | None:
    """The journal that a folder holds, or that a path is; None where it is no journal."""
    if path is None:
        return None
    if path.is_dir():
        return path / "journal.db"
    try:
        with path.open("rb") as file:
            return path if file.read(len(MAGIC)) == MAGIC else None
    except OSError:
        return None


def _messages(reader: Reader, asset: str) -> Iterator[tuple[str, bytes, int]]:
    for message in reader.messages(asset, KINDS):
        yield message.kind, message.body, message.wall_ns - message.t_ns


def _tree(outcome: Outcome) -> dict[str, object]:
    found = trial.compared(outcome.now, outcome.live, SLACK_NS)
    told = {name: value for name, value in asdict(outcome).items() if name not in ("live", "now")}
    return {**told, **alarming.tree(found, alarming.utc)}


def _lines(outcome: Outcome) -> Iterator[str]:
    yield f"{outcome.asset}: {outcome.ticks} ticks, {outcome.same} the same to the bit, {outcome.different} different"
    if outcome.skipped:
        yield f"  {outcome.skipped} ticks skipped: a hole in the record before them"
    if outcome.different:
        yield f"  alerts raised: {outcome.alerts_live} then, {outcome.alerts_now} now"
        yield from (f"  {text}" for text in outcome.differences)
        found = trial.compared(outcome.now, outcome.live, SLACK_NS)
        yield from (f"  {text}" for text in alarming.lines(found, "the journal", alarming.utc))
