"""Commands for somebody who stands before a machine: does it answer, what does it offer, may we talk to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.arguments import File, Json, Settings, Source, StateDir, Wanted

app = typer.Typer(rich_markup_mode=None)
certs_app = typer.Typer(
    help="Certificates of the OPC UA client: ours, and those of servers.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def probe(
    file: File,
    source: Annotated[str, typer.Argument(help="The source's id.", show_default=False)],
    tags: Annotated[list[str] | None, typer.Argument(help="Tags of it as group/name.", show_default=False)] = None,
    address: Annotated[list[str] | None, typer.Option("--address", help="As input:30. Can be given again.")] = None,
    state_dir: StateDir = None,
    settings: Settings = None,
) -> None:
    """Ask a source's device whether it answers, and what it is. For Modbus tags or addresses: what lies there in every
    byte order side by side. Exit 1 if it does not answer."""
    from agent.cli import probing

    probing.run(file, source, tags or [], address or [], state_dir, settings or [])


@app.command()
def trace(
    file: File,
    source: Annotated[str, typer.Argument(help="The source's id.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="The recording; what was read lies beside it as .json.")],
    for_s: Annotated[float, typer.Option("--for", help="So long, in s.")] = 10.0,
    state_dir: StateDir = None,
    settings: Settings = None,
) -> None:
    """Record what goes over a Modbus bus while all tags of a source are read: for a report, or for a test
    (`python -m hil.replay --trace` serves it again)."""
    from agent.cli import tracing

    tracing.run(file, source, out, for_s, state_dir, settings or [])


@app.command()
def browse(
    file: File,
    source: Annotated[str, typer.Argument(help="The source's id.", show_default=False)],
    node: Annotated[str, typer.Argument(help="Where to begin, as an address; all if left out.")] = "",
    depth: Annotated[int, typer.Option(help="So many levels down.")] = 8,
    most: Annotated[int, typer.Option(help="Stop after so many values.")] = 10_000,
    csv: Annotated[bool, typer.Option("--csv", help="Print rows for a tag list.")] = False,
    record: Annotated[Path | None, typer.Option("--record", help="Write it and its changes here, for a test.")] = None,
    for_s: Annotated[float, typer.Option("--for", help="Record changes so long, in s.")] = 10.0,
    state_dir: StateDir = None,
    settings: Settings = None,
) -> None:
    """List what an OPC UA server offers: address, type, value, unit and access of every variable. With --record the
    server as it was then can be served again: python -m hil.opcua_device."""
    from agent.cli import browsing

    if record is not None:
        browsing.record(file, source, node, depth, most, record, for_s, state_dir, settings or [])
    else:
        browsing.run(file, source, node, depth, most, csv, state_dir, settings or [])


@certs_app.command("list")
def certs_list(file: File, source: Source = None, state_dir: StateDir = None, json: Json = False) -> None:
    """List our certificates, and those of servers: trusted, issuer, rejected."""
    from agent.cli import certs

    certs.list_all(file, source, state_dir, json)


@certs_app.command("show")
def certs_show(
    file: File,
    source: Annotated[str, typer.Argument(help="The id of an OPC UA source.", show_default=False)],
    state_dir: StateDir = None,
    json: Json = False,
) -> None:
    """Show our certificate for a server: file, ApplicationUri, thumbprints, end. It is made if there is none."""
    from agent.cli import certs

    certs.show(source, file, state_dir, json)


@certs_app.command("trust")
def certs_trust(
    certificate: Wanted,
    file: File,
    issuer: Annotated[bool, typer.Option("--issuer", help="An authority that only completes a chain.")] = False,
    source: Source = None,
    state_dir: StateDir = None,
) -> None:
    """Trust a server, an authority or a revocation list. A running daemon takes it at its next try."""
    from agent.cli import certs

    certs.trust(certificate, file, issuer, source, state_dir)


@certs_app.command("reject")
def certs_reject(certificate: Wanted, file: File, source: Source = None, state_dir: StateDir = None) -> None:
    """Trust a certificate no more. A running daemon leaves that server within a minute."""
    from agent.cli import certs

    certs.reject(certificate, file, source, state_dir)


@certs_app.command("renew")
def certs_renew(file: File, source: Source = None, state_dir: StateDir = None) -> None:
    """Make our certificate and key anew, under the same ApplicationUri. Servers have to trust it then."""
    from agent.cli import certs

    certs.renew(file, source, state_dir)
