"""`edgetwin model`: look at a twin file, and run it over a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.arguments import Json, StateDir

app = typer.Typer(
    help="Look at a twin, run it over a recording, trust it.", no_args_is_help=True, rich_markup_mode=None
)
TwinFile = Annotated[Path, typer.Argument(metavar="TWIN", help="The twin's file (JSON).", show_default=False)]


@app.command()
def show(twin: TwinFile, json: Json = False) -> None:
    """Say what a twin is: kind, signals, how fast it moves, how good it is, where it should not be trusted."""
    from agent.cli import showing

    showing.run(twin, json)


@app.command()
def simulate(
    twin: TwinFile,
    recording: Annotated[Path, typer.Argument(help="CSV: time, then one column a tag.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The CSV to write: time, then one column an output.")],
    free_run: Annotated[bool, typer.Option("--free-run", help="From the inputs alone.")] = False,
    init_samples: Annotated[int, typer.Option(min=0, help="Rows that may set the start of a free run.")] = 5,
) -> None:
    """Run a twin over a recording: what it expects of each row one step ahead, or in a free run from the inputs."""
    from agent.cli import simulating

    simulating.run(twin, recording, out, free_run, init_samples)


@app.command()
def approve(
    twin: TwinFile,
    by: Annotated[str, typer.Option(help="Your name; it is written into the file.")],
    anyway: Annotated[str, typer.Option(help="Why, where coverage or alert budget are not met.")] = "",
    seen: Annotated[Path | None, typer.Option(help="A configuration: count what its daemon saw since the fit.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Trust a twin: its alerts are no longer provisional. Refused, with the numbers, where coverage or alert budget are
    not met."""
    from agent.cli import approving

    approving.run(twin, by, anyway, seen, state_dir)
