"""Every command with its options, a page; each imports its own module when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli import fleet, ingesting, machines, maintenance, models, storing
from agent.cli.arguments import (
    Begin,
    End,
    Exclude,
    File,
    Fitted,
    Interlocks,
    Json,
    Margin,
    MaybeFile,
    Settings,
    Socket,
    StateDir,
    Where,
)  # fmt: skip

app = typer.Typer(
    name="edgetwin",
    help="A digital twin beside the machine: polls PLCs, estimates what is not measured, finds departures, tells SCADA "
    "and the cloud.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Look at a configuration.", no_args_is_help=True, rich_markup_mode=None)
fit_app = typer.Typer(help="Make models from a recording.", no_args_is_help=True, rich_markup_mode=None)
users_app = typer.Typer(help="Users of the OPC UA server.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(config_app, name="config")
app.add_typer(fit_app, name="fit")
app.add_typer(users_app, name="users")
app.add_typer(fleet.app, name="fleet")
app.add_typer(maintenance.app, name="maintenance")
app.add_typer(models.app, name="model")
app.add_typer(ingesting.app, name="ingest")
app.add_typer(models.top)
app.add_typer(storing.app, name="store")
app.add_typer(machines.app)
app.add_typer(machines.certs_app, name="certs")


@app.command()
def run(file: File, state_dir: StateDir = None, settings: Settings = None, log: str = "info") -> None:
    """Run the daemon: read, estimate, tell, until stopped."""
    from agent.cli import daemon

    daemon.run(file, state_dir, settings or [], log)


@app.command()
def check(
    file: File,
    settings: Settings = None,
    state_dir: StateDir = None,
    gateway: Annotated[
        str, typer.Option(help="Also whether it can be a version of the fleet for this gateway (its id).")
    ] = "",
) -> None:
    """Say all that is wrong with a configuration, each as file:line:col. Exit 1 if anything is."""
    from agent.cli import configuration

    configuration.check(file, settings or [], state_dir, gateway)


@config_app.command("show")
def config_show(
    file: File,
    resolved: Annotated[bool, typer.Option("--resolved", help="Every value with where it comes from.")] = False,
    settings: Settings = None,
) -> None:
    """Print a configuration, as written or with every value's origin."""
    from agent.cli import configuration

    configuration.show(file, resolved, settings or [])


@config_app.command("options")
def config_options(
    topic: Annotated[str | None, typer.Argument(help="modbus, opcua, mqtt, tags, ...; all names if left out.")] = None,
    json: Json = False,
) -> None:
    """Print every option of a source, a sink, a part of the file or a tag list: values, default, meaning."""
    from agent.cli import configuration

    configuration.options(topic, json)


@app.command()
def status(file: MaybeFile = None, socket: Socket = None, state_dir: StateDir = None, json: Json = False) -> None:
    """Say how the running daemon is. Exit 0 if well, 1 if something is wrong, 3 if none runs."""
    from agent.cli import status as command

    command.run(file, socket, state_dir, json)


@app.command()
def read(
    file: File,
    tags: Annotated[list[str], typer.Argument(help="Tags as asset/group/name.", show_default=False)],
    state_dir: StateDir = None,
    settings: Settings = None,
    json: Json = False,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Wait so long for a value, in s.")] = 5.0,
) -> None:
    """Read tags now: from the daemon if one runs, else from the machine itself. Exit 1 if one is Bad."""
    from agent.cli import reading

    reading.run(file, tags, state_dir, settings or [], json, timeout_s)


@app.command()
def watch(file: MaybeFile = None, socket: Socket = None, state_dir: StateDir = None) -> None:
    """Watch the running daemon: measured and expected, residuals, score, case, events, who has received what."""
    from agent.cli.watch import program

    program.run(file, socket, state_dir)


@app.command()
def ack(
    condition: Annotated[str, typer.Argument(help="The condition's id, as status prints it.")],
    comment: str = "",
    file: MaybeFile = None,
    socket: Socket = None,
    state_dir: StateDir = None,
) -> None:
    """Acknowledge a condition in the running daemon."""
    from agent.cli import asking

    asking.run("ack", condition, {"comment": comment} if comment else {}, file, socket, state_dir)


@app.command()
def shelve(
    condition: Annotated[str, typer.Argument(help="The condition's id, as status prints it.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    for_s: Annotated[float, typer.Option("--for", help="So long, in s; it ends by itself.")] = 3600.0,
    file: MaybeFile = None,
    socket: Socket = None,
    state_dir: StateDir = None,
) -> None:
    """Shelve a condition for a while, with a reason."""
    from agent.cli import asking

    asking.run("shelve", condition, {"reason": reason, "for_s": f"{for_s:g}"}, file, socket, state_dir)


@app.command()
def close(
    case: Annotated[str, typer.Argument(help="The case's id, as status prints it.")],
    cause: Annotated[str, typer.Option(help="real, false, planned or unknown: a label for later training.")],
    file: MaybeFile = None,
    socket: Socket = None,
    state_dir: StateDir = None,
) -> None:
    """Close the open case of an asset with its cause."""
    from agent.cli import asking

    asking.run("close", case, {"cause": cause}, file, socket, state_dir)


@app.command()
def backtest(
    file: File,
    recording: Annotated[
        Path | None,
        typer.Argument(help="A CSV as fit reads it, or the folder of a journal; the own journal if left out."),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="For a CSV: the models to compare with, a configuration or a model file.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option(help="For a CSV: the mode of the asset, where no column tells it.")
    ] = None,
    state_dir: StateDir = None,
    settings: Settings = None,
    json: Json = False,
    asset: Annotated[str | None, typer.Option(help="Only this asset.")] = None,
) -> None:
    """Play what was recorded through the engine again, and say which alarms are gained and lost. A journal is held
    against what was raised live: with the models that ran then, the outcome is the same to the bit; exit 1 if it is
    not. A CSV is played with the models of FILE, and held against those of --against."""
    from agent.cli import backtest as command
    from agent.cli import retrying

    journal = command.journal_at(recording)
    if recording is not None and journal is None:
        retrying.run(file, recording, against, mode, state_dir, settings or [], json, asset)
    else:
        command.run(file, journal, state_dir, settings or [], json, asset)


@fit_app.command("twin")
def fit_twin(
    recording: Fitted,
    out: Annotated[Path, typer.Option(help="The model file to write (.json).")],
    inputs: Annotated[str, typer.Option(help="Tags that drive the machine, separated by commas.")],
    outputs: Annotated[str, typer.Option(help="Measured tags that follow, separated by commas.")],
    virtual: Annotated[str, typer.Option(help="Columns to estimate later, when they are not measured.")] = "",
    where: Where = None,
    settle_s: Annotated[float, typer.Option("--settle", help="Drop so many s after each start.")] = 10.0,
    units: Annotated[Path | None, typer.Option(help="Tag list (CSV) that gives the units.")] = None,
    period_s: Annotated[float | None, typer.Option("--period", help="Period of the model, in s.")] = None,
    kind: Annotated[str, typer.Option(help="auto, linear, or physics:FILE with the machine's components.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the random starts of a nonlinear model.")] = 0,
    asset: Annotated[str, typer.Option(help="The asset that it is a recording of; kept in the file.")] = "",
    reason: Annotated[str, typer.Option(help="Why it is made now, such as commissioning; kept in the file.")] = "",
    exclude: Exclude = None,
    begin: Begin = "",
    end: End = "",
    margin: Margin = "5m",
    state_dir: StateDir = None,
) -> None:
    """Make a twin from a recording of the healthy machine: candidates, every block's score, and why this one."""
    from agent.cli import fitting, histories

    fitting.twin(
        recording,
        out,
        inputs,
        outputs,
        virtual,
        where or [],
        settle_s,
        units,
        period_s,
        kind,
        seed,
        asset,
        reason,
        exclude,
        histories.Asked(asset, begin, end, margin, state_dir),
    )


@fit_app.command("detector")
def fit_detector(
    recording: Fitted,
    out: Annotated[Path, typer.Option(help="The model file to write (.onnx).")],
    tags: Annotated[str, typer.Option(help="Tags to use, separated by commas; all numeric ones if left out.")] = "",
    where: Where = None,
    rows: Annotated[str, typer.Option(help="Only these rows of the file, as 0:400.")] = "",
    settle_s: Annotated[float, typer.Option("--settle", help="Drop so many s after each start.")] = 10.0,
    units: Annotated[Path | None, typer.Option(help="Tag list (CSV) that gives the units.")] = None,
    budget_per_day: Annotated[float, typer.Option("--budget", help="False alarms allowed a day.")] = 1.0,
    window: Annotated[int, typer.Option(help="Rows that the model looks back on.")] = 30,
    period_s: Annotated[float | None, typer.Option("--period", help="Period of the model, in s.")] = None,
    exclude: Exclude = None,
    kind: Annotated[str, typer.Option(help="auto, mahalanobis, pca or similarity.")] = "auto",
    calibrate: Annotated[
        Path | None, typer.Option(help="Another healthy CSV, to choose and to set the limit by.")
    ] = None,
    twin: Annotated[
        Path | None, typer.Option(help="A twin's file: its residuals are columns too, as upper/level.residual.")
    ] = None,
    asset: Annotated[str, typer.Option(help="Of a configuration: whose history, where it has several.")] = "",
    begin: Begin = "",
    end: End = "",
    margin: Margin = "5m",
    state_dir: StateDir = None,
) -> None:
    """Learn what healthy looks like from a recording, as one ONNX file: what was tried, its limit, its hold-out."""
    from agent.cli import fitting, histories

    fitting.detector(
        recording,
        out,
        tags,
        where or [],
        rows,
        settle_s,
        units,
        budget_per_day,
        window,
        period_s,
        exclude,
        kind,
        calibrate,
        twin,
        histories.Asked(asset, begin, end, margin, state_dir),
    )


@fit_app.command("rul")
def fit_rul(
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="CSV: unit, time, then one column a tag (group/name).")],
    unit: Annotated[str, typer.Option(help="Column that names the unit; each runs until it fails.")],
    time: Annotated[str, typer.Option(help="Column of time: cycles, a unit of time, or ISO 8601 stamps.")],
    out: Annotated[Path, typer.Option(help="The model file to write (.onnx).")],
    tags: Annotated[str, typer.Option(help="Tags to use, separated by commas; all numeric ones if left out.")] = "",
    settings: Annotated[
        str, typer.Option(help="Tags that tell the operating regime, or none; recognised if left out.")
    ] = "",
    censored: Annotated[str, typer.Option(help="Units that had not failed at their last row.")] = "",
    cap: Annotated[
        float | None, typer.Option(help="Longest life told; beyond it, more than. Left out: 0.6 of the median life.")
    ] = None,
    age: Annotated[
        str, typer.Option(help="Use age and first rows of a unit: yes, no, or auto (cross-validation decides).")
    ] = "auto",
    window: Annotated[int, typer.Option(help="Rows that the model looks back on.")] = 30,
    time_unit: Annotated[str, typer.Option(help="Of the column of time: cycles, s, min, h, d.")] = "",
    units: Annotated[Path | None, typer.Option(help="Tag list (CSV) that gives the units.")] = None,
    report: Annotated[Path | None, typer.Option(help="The page to write; beside the model if left out.")] = None,
    seed: Annotated[int, typer.Option(help="Of starting weights and folds.")] = 0,
) -> None:
    """Learn remaining life from units that ran to failure, as one ONNX file with a calibrated 90 % band."""
    from agent.cli import fitting

    fitting.rul(runs, out, unit, time, tags, settings, censored, cap, age, window, time_unit, units, report, seed)


@fit_app.command("loop")
def fit_loop(
    recording: Annotated[Path, typer.Argument(help="CSV: time, then one column a tag (group/name).")],
    twin: Annotated[Path, typer.Option(help="The twin's file; its section control is written.")],
    loops: Annotated[list[str], typer.Option("--loop", help="'lower/level->pump/speed setpoint=TAG'; gain= if known.")],
    interlocks: Interlocks = None,
    where: Where = None,
    settle_s: Annotated[float, typer.Option("--settle", help="Drop so many s after each start.")] = 30.0,
) -> None:
    """Find a PI loop of the PLC in a recording and keep it with the twin, for what-if."""
    from agent.cli import looping

    looping.run(recording, twin, loops, interlocks or [], where or [], settle_s)


@users_app.command("add")
def users_add(
    name: Annotated[str, typer.Argument(help="The user's name.")],
    users_file: Annotated[Path, typer.Option("--file", help="The file of salted hashes.")],
    role: Annotated[str, typer.Option(help="viewer, operator or engineer.")] = "viewer",
    password_file: Annotated[Path | None, typer.Option(help="Read the password here instead of asking.")] = None,
) -> None:
    """Add a user of the OPC UA server, or change a password."""
    from agent.cli import users

    users.add(name, users_file, role, password_file)


@app.command()
def demo(
    headless: Annotated[bool, typer.Option("--headless", help="No screen; print counts for every hop.")] = False,
    for_s: Annotated[float | None, typer.Option("--for", help="Stop after so many seconds.")] = None,
    json: Json = False,
    state_dir: StateDir = None,
    fault: Annotated[str, typer.Option(help="What happens: leak, wear, drift, friction or none.")] = "leak",
    fault_at_s: Annotated[float, typer.Option("--fault-at", help="When, in s after the start.")] = 60.0,
    ports: Annotated[str, typer.Option(help="fixed: the usual ports; free: any free ones.")] = "fixed",
    seed: Annotated[int, typer.Option(help="Of the plant's noise, products and recipes.")] = 11,
) -> None:
    """Show it all on this machine: a plant, two PLCs, the twin, a leak after a minute, SCADA and the cloud."""
    from agent.cli.demo import program

    program.run(headless, for_s, json, state_dir, fault, fault_at_s, ports, seed)
