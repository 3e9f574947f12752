"""`edgetwin model` and `edgetwin whatif`: look at a twin, run it over a recording, try a change on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.arguments import File, Interlocks, Json, MaybeFile, Socket, StateDir, Where

app = typer.Typer(
    help="Look at a model, run it over a recording, trust it.", no_args_is_help=True, rich_markup_mode=None
)
top = typer.Typer(rich_markup_mode=None)
ModelName = Annotated[str, typer.Argument(metavar="ASSET/MODEL", show_default=False)]
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
def score(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The detector's file (ONNX).", show_default=False)],
    recording: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="CSV: time, a column a tag; others are ignored.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="The CSV to write: a row for each row of DATA.")],
    tags: Annotated[str, typer.Option(help="TAG=COLUMN,... where a column has another name than its tag.")] = "",
    where: Where = None,
    twin: Annotated[Path | None, typer.Option(help="The twin's file, for a detector that reads its residuals.")] = None,
) -> None:
    """Run a detector over a recording, by the daemon's own code: time, score, limit, alarm (0 or 1), and each tag's
    part in the score; empty where there is no score (window not full, a value missing, not in --where)."""
    from agent.cli import scoring, telling

    scoring.run(model, recording, out, telling.names(tags), telling.where(where or []) or {}, twin)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(metavar="RUL", help="What fit rul made (.onnx).", show_default=False)],
    table: Annotated[Path, typer.Argument(help="CSV: unit, time, then one column a tag.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The CSV to write: unit, time, p5, p50, p95, more_than, note.")],
    unit: Annotated[str, typer.Option(help="Column of the unit, where it is not named as when fitted.")] = "",
    time: Annotated[str, typer.Option(help="Column of time, where it is not named as when fitted.")] = "",
) -> None:
    """Say the remaining life of each unit after each row, by the daemon's own code: a 90 % interval, in the unit of the
    column of time. Beyond the cap, p95 is inf and more_than is the cap; without an estimate, note says why."""
    from agent.cli import predicting

    predicting.run(model, table, out, unit, time)


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


@app.command()
def attach(
    twin: TwinFile,
    surrogate: Annotated[Path, typer.Argument(metavar="SURROGATE", help="The graph (ONNX).", show_default=False)],
    inputs: Annotated[str, typer.Option(help="Of the twin, in the graph's order: tags, health (pump.wear).")],
    outputs: Annotated[str, typer.Option(help="Tags whose values the graph gives, in its order.")],
    ranges: Annotated[
        list[str] | None,
        typer.Option("--range", help="Of its training: pump/speed=20..80; as the twin's file has it if left out."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write this file instead of TWIN.")] = None,
) -> None:
    """Let an ONNX surrogate (f4[N, inputs] to f4[N, outputs], in the twin's units) give some of a twin's outputs.
    Beyond the range of its training it is held at the edge, and the twin says so."""
    from agent.cli import attaching, telling

    attaching.run(twin, surrogate, telling.names(inputs), telling.names(outputs), ranges or [], out)


@app.command()
def compare(
    file: MaybeFile = None,
    model: Annotated[
        str | None, typer.Argument(metavar="ASSET/MODEL", help="Only this model.", show_default=False)
    ] = None,
    socket: Socket = None,
    state_dir: StateDir = None,
    json: Json = False,
) -> None:
    """Print the models of the running daemon that have a shadow, the old and the new one side by side."""
    from agent.cli import deploying

    deploying.compare(file, model, socket, state_dir, json)


@app.command("rollback", help="Let the old model speak again.")
@app.command(
    "promote",
    help="Let the new model beside MODEL take its place; the old one runs on in its shadow, ready to come back.",
)
def promote_or_rollback(
    context: typer.Context,
    file: File,
    model: ModelName,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
    socket: Socket = None,
    state_dir: StateDir = None,
) -> None:
    """Which of a model and its shadow speaks: by the name it was called by."""
    from agent.cli import deploying

    deploying.ask(context.info_name or "", model, reason, file, socket, state_dir)


ModelPath = Annotated[Path, typer.Argument(metavar="FILE", help="The model's file.", show_default=False)]


@app.command()
def sign(
    file: ModelPath,
    key: Annotated[
        Path | None, typer.Option(help="An ed25519 private key (PEM); this gateway's own if left out.")
    ] = None,
    expires: Annotated[str, typer.Option(help="Not to be installed from this day on: 2027-01-31 (UTC).")] = "",
    state_dir: StateDir = None,
) -> None:
    """Say with a key that a model may run where that key is trusted: writes FILE.sig."""
    from agent.cli import signing

    signing.sign(file, key, expires, state_dir)


@app.command()
def verify(file: ModelPath, state_dir: StateDir = None) -> None:
    """Say whether a model may be loaded here, who answers for it, and what runs it. Exit 1 if it may not."""
    from agent.cli import signing

    signing.verify(file, state_dir)


@app.command()
def trust(
    key: Annotated[Path, typer.Argument(metavar="KEY.pub", help="An ed25519 public key (PEM).", show_default=False)],
    name: Annotated[str, typer.Option(help="What to call it; the file's name if left out.")] = "",
    state_dir: StateDir = None,
) -> None:
    """Let models be installed here that are signed by this key."""
    from agent.cli import signing

    signing.trust(key, name, state_dir)


@app.command()
def distrust(
    key: Annotated[str, typer.Argument(metavar="NAME", help="Name or id, as keys prints it.", show_default=False)],
    state_dir: StateDir = None,
) -> None:
    """Trust a key no longer: what it signed is refused at the next start."""
    from agent.cli import signing

    signing.distrust(key, state_dir)


@app.command()
def keys(state_dir: StateDir = None, json: Json = False) -> None:
    """Print the public keys whose models may be installed here, our own first."""
    from agent.cli import signing

    signing.keys_known(state_dir, json)


@top.command()
def whatif(
    file: Annotated[
        Path, typer.Argument(help="A configuration (state of the daemon) or a twin file.", show_default=False)
    ],
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="What changes: pump/speed=80@+10m, a ramp @+10m..+20m."),
    ] = None,
    horizon: Annotated[str, typer.Option(help="How far ahead: 90s, 10m, 4h.")] = "1h",
    limits: Annotated[
        list[str] | None, typer.Option("--limit", help="Where a signal should stay: upper/level<0.5.")
    ] = None,
    costs: Annotated[list[str] | None, typer.Option("--cost", help="An integral over time: energy=pump/power.")] = None,
    loops: Annotated[
        list[str] | None,
        typer.Option("--loop", help="A PI loop of the PLC: 'lower/level->pump/speed gain=110 reset=32s setpoint=TAG'."),
    ] = None,
    interlocks: Interlocks = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="CSV: the state of a twin file at its end; gains of loops without.")
    ] = None,
    where: Where = None,
    asset: Annotated[str | None, typer.Option(help="The asset, where several have a twin.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture: .html, .png or .svg.")] = None,
    particles: Annotated[int, typer.Option(help="How many possible machines run.", min=2, max=100000)] = 400,
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 1,
    state_dir: StateDir = None,
    json: Json = False,
) -> None:
    """Try a change on the twin before it is made on the machine: what happens, beside what happens without it."""
    from agent.cli import whatif as command

    asked = command.Asked(
        sets or [], horizon, limits or [], costs or [], loops or [], interlocks or [], where or [], particles, seed
    )
    command.run(file, asked, asset, source, plot, json, state_dir)
