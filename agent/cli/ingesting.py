"""`edgetwin ingest`: the receiving end, and what an operator asks of it."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.arguments import Json
from agent.cli.telling import as_json, fail

if TYPE_CHECKING:
    from agent.ingest.missing import Gap, Report
    from agent.ingest.options import Options

app = typer.Typer(
    help="Receive what gateways publish into PostgreSQL: each record once, acknowledged after its commit.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

Database = Annotated[
    str,
    typer.Option(
        "--database",
        help="postgresql://user@host/name; its password is in ~/.pgpass or PGPASSFILE. Beyond this machine encrypted "
        "(sslmode=verify-full) unless it says otherwise.",
    ),
]
Broker = Annotated[str, typer.Option(help="mqtts://user@host:8883, or mqtt:// on this machine.")]
PasswordFile = Annotated[Path | None, typer.Option(help="A file with the broker's password and no more.")]
CaFile = Annotated[Path | None, typer.Option(help="Who vouches for the broker; else the system's list.")]
CertFile = Annotated[Path | None, typer.Option(help="Our certificate, where the broker asks for one.")]
KeyFile = Annotated[Path | None, typer.Option(help="The key of our certificate.")]
Version = Annotated[str, typer.Option("--mqtt", help="Version of MQTT: 5 or 3.1.1.")]
Gateway = Annotated[str, typer.Option(help="Only of this gateway.")]
ClientId = Annotated[
    str,
    typer.Option(
        help="The broker keeps what comes for it meanwhile: each receiver needs its own, and keeps it. "
        "By the name of this machine if left out."
    ),
]


@app.callback()
def ingest(
    context: typer.Context,
    broker: Broker = "",
    database: Database = "",
    prefix: Annotated[str, typer.Option(help="What the gateways' topics begin with; + is any word.")] = "edgetwin/+",
    group: Annotated[
        str, typer.Option(help="Receivers of one group share the records (MQTT 5); empty: each gets all.")
    ] = "edgetwin-ingest",
    client_id: ClientId = "",
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
    cert_file: CertFile = None,
    key_file: KeyFile = None,
    mqtt: Version = "5",
    log: str = "info",
) -> None:
    """Receive until stopped. Tables are made in the schema `edgetwin`."""
    if context.invoked_subcommand is not None:
        return
    _installed()
    from agent.ingest import options

    credentials = options.Credentials(password_file, ca_file, cert_file, key_file)
    try:
        if not broker or not database:
            raise options.OptionError(f"--{'database' if broker else 'broker'} is missing, see edgetwin ingest --help")
        _run(
            options.Options(
                options.broker(broker, client_id, mqtt, credentials),
                options.database(database),
                options.prefix(prefix),
                options.group_of(group),
            ),
            log,
        )
    except options.OptionError as error:
        fail(str(error), 2)


@app.command()
def gaps(
    database: Database,
    gateway: Gateway = "",
    json: Json = False,
) -> None:
    """Say which records have not come: sequence numbers below the last one. Exit 1 if any are missing that a gateway
    may still have."""
    _installed()
    import psycopg

    from agent.ingest import missing, options

    try:
        found = missing.report(options.database(database), gateway)
    except options.OptionError as error:
        fail(str(error), 2)
    except (psycopg.Error, OSError) as error:
        fail(f"database: {' '.join(str(error).split())}", 3)
    _show_json(found) if json else _show(found)
    raise typer.Exit(any(gap.gone is None for gap in found.gaps))


@app.command()
def resend(
    broker: Broker,
    database: Database,
    gateway: Gateway = "",
    client_id: ClientId = "",
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
    cert_file: CertFile = None,
    key_file: KeyFile = None,
    mqtt: Version = "5",
) -> None:
    """Ask the gateways to send again what has not come; a running ingest receives it. Exit 1 if one cannot or does not
    answer. What a gateway does not have any more is not asked for again."""
    _installed()
    import anyio
    import psycopg

    from agent.ingest import options

    credentials = options.Credentials(password_file, ca_file, cert_file, key_file)
    try:
        asked = options.Options(options.broker(broker, client_id, mqtt, credentials), options.database(database))
        good = anyio.run(_resend, asked, gateway)
    except options.OptionError as error:
        fail(str(error), 2)
    except (psycopg.Error, OSError) as error:
        fail(" ".join(str(error).split()), 3)
    raise typer.Exit(0 if good else 1)


async def _resend(options: Options, gateway: str) -> bool:
    from agent.ingest import asking, missing

    gaps = [gap for gap in missing.report(options.database, gateway).gaps if gap.gone is None]
    told: list[asking.Told] = []

    def tell(one: asking.Told) -> None:
        typer.echo(f"{_name(one.gap)}: {one.text}")
        asking.note(options.database, one)
        told.append(one)

    if not gaps:
        typer.echo("nothing is missing that a gateway may still have")
        return True
    await asking.resend(options, asking.prefixes(options.database), gaps, tell)
    return all(one.ok for one in told)


def _installed() -> None:
    if importlib.util.find_spec("psycopg") is None:
        fail("the receiving end needs psycopg: pip install 'edgetwin[ingest]'")


def _run(options: Options, level: str) -> None:
    import anyio

    from agent.cli.daemon import log_to_stderr
    from agent.ingest import flow

    levels = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
    if level not in levels:
        fail(f"--log {level}: expected one of {', '.join(levels)}", 2)
    log_to_stderr(levels[level])
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    anyio.run(flow.run, options)


def _show(found: Report) -> None:
    for one in found.arrivals:
        missing = f"{one.missing} missing" if one.missing else "nothing missing"
        typer.echo(f"{one.gateway} {one.class_} epoch {one.epoch}: up to {one.last}, {missing}")
    if not found.arrivals:
        typer.echo("nothing has come yet")
    for gap in found.gaps:
        gone = "; its gateway does not have it any more" if gap.gone else ""
        typer.echo(f"missing: {_name(gap)}, since {gap.noticed:%Y-%m-%d %H:%M:%S%z}{gone}")
    if found.nameless:
        typer.echo(f"{found.nameless} summaries wait for the names of their columns")
    if found.rejected:
        typer.echo(f"{found.rejected} messages could not be read: see the table edgetwin.rejected")


def _name(gap: Gap) -> str:
    numbers = f"{gap.first}" if gap.first == gap.last else f"{gap.first} to {gap.last}"
    return f"{gap.gateway} {gap.class_} epoch {gap.epoch} seq {numbers}"


def _show_json(found: Report) -> None:
    as_json(
        {
            "streams": [
                {"gateway": a.gateway, "class": a.class_, "epoch": a.epoch, "last": a.last, "missing": a.missing}
                for a in found.arrivals
            ],
            "gaps": [
                {"gateway": g.gateway, "class": g.class_, "epoch": g.epoch, "first": g.first, "last": g.last,
                 "noticed": g.noticed.isoformat(), "gone": g.gone is not None}
                for g in found.gaps
            ],
            "nameless": found.nameless,
            "rejected": found.rejected,
        }
    )  # fmt: skip
