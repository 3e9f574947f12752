"""`edgetwin store gaps`: what is missing in a journal, when and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import typer

from agent.cli import journals
from agent.cli.alarming import utc
from agent.cli.telling import as_json
from agent.cli.when import wall_ns
from agent.cli.wording import shown
from agent.store import holes
from agent.store.holes import Hole

FOREVER_NS = 1 << 62


def run(file: Path, begin: str, end: str, state_dir: Path | None, json: bool) -> None:
    """Print one line a hole, the oldest first."""
    start_ns, end_ns = wall_ns("--from", begin, 0), wall_ns("--to", end, FOREVER_NS)
    path, _ = journals.found(file, state_dir)
    known = journals.read(path, lambda reader: holes.holes(reader, journals.assets(reader)))
    found = [hole for hole in known if (hole.end_ns or FOREVER_NS) > start_ns and hole.start_ns < end_ns]
    if json:
        as_json({"journal": str(path), "gaps": [_tree(hole) for hole in found]})
    elif not found:
        typer.echo(f"{path}: nothing is missing")
    else:
        typer.echo("\n".join(_lines(found)))


def _lines(found: list[Hole]) -> Iterator[str]:
    yield f"{'from':20}  {'to':20}  {'for':>8}  what"
    for hole in found:
        begun = utc(hole.start_ns) if hole.start_ns else "unknown"
        ended = utc(hole.end_ns) if hole.end_ns else "now" if hole.kind == "silent" else "unknown"
        lasted = shown((hole.end_ns - hole.start_ns) * 1e-9) if hole.start_ns and hole.end_ns else ""
        yield f"{begun:20}  {ended:20}  {lasted:>8}  {hole.of}: {hole.text}"


def _tree(hole: Hole) -> dict[str, object]:
    times = {"start": utc(hole.start_ns) if hole.start_ns else None, "end": utc(hole.end_ns) if hole.end_ns else None}
    return asdict(hole) | times
