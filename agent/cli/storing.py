"""`edgetwin store`: what the journal holds, what is missing in it, how long it lasts. Beside a running daemon too."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.arguments import Json, Settings, StateDir

app = typer.Typer(
    help="The journal: what is missing, whether it is sound, what it holds, how long it lasts.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Journal = Annotated[
    Path, typer.Argument(metavar="FILE", help="A configuration (YAML), or a journal itself.", show_default=False)
]
Since = Annotated[str, typer.Option("--from", help="From this time on: 2026-11-01T06:00Z, or -2h before now.")]
Until = Annotated[str, typer.Option("--to", help="Before this time.")]


class Shape(StrEnum):
    """How a table is laid out."""

    WIDE = "wide"
    LONG = "long"


@app.command()
def gaps(file: Journal, begin: Since = "", end: Until = "", state_dir: StateDir = None, json: Json = False) -> None:
    """List everything that is missing, with when and why: deleted under the cap, lost, damaged; devices that gave
    nothing; times when edgetwin did not run."""
    from agent.cli import missing

    missing.run(file, begin, end, state_dir, json)


@app.command()
def check(file: Journal, state_dir: StateDir = None, json: Json = False) -> None:
    """Read every record and say what is wrong: checksums, contents, sequence numbers that nobody accounts for. Changes
    nothing. Exit 1 if anything is wrong."""
    from agent.cli import verifying

    verifying.run(file, state_dir, json)


@app.command()
def export(
    file: Journal,
    out: Annotated[Path | None, typer.Option(help="*.csv or *.parquet; CSV to the terminal if left out.")] = None,
    begin: Since = "",
    end: Until = "",
    tags: Annotated[
        str,
        typer.Option(help="Points as asset/group/name, with * and ?; separated by commas. All measured if left out."),
    ] = "",
    asset: Annotated[str, typer.Option(help="Only of this asset.")] = "",
    shape: Annotated[Shape, typer.Option(help="wide: a column a tag; long: a row a value.")] = Shape.WIDE,
    quality: Annotated[bool, typer.Option("--quality/--no-quality", help="A column of quality beside each.")] = True,
    events: Annotated[bool, typer.Option("--events", help="Events instead of values.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Write values as they were published, one row a cycle, or events, as a table. Parquet needs edgetwin[export]."""
    from agent.cli import exporting, telling

    wanted = exporting.Wanted(begin, end, telling.names(tags), asset, shape == Shape.LONG, quality, events)
    exporting.run(file, out, wanted, state_dir)


@app.command()
def plan(
    file: Annotated[Path, typer.Argument(help="The configuration file (YAML).", show_default=False)],
    state_dir: StateDir = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Say how long the buffer lasts for each class of records, and what is written to flash in a day: measured from the
    journal if there is one, else estimated."""
    from agent.cli import lasting

    lasting.run(file, state_dir, settings or [], json)
