"""`edgetwin fleet`: versions for gateways under `managed: fleet`. Pack and send on one side, look and override on the
other; the same bundle goes over MQTT and on a USB stick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.arguments import File, Json, StateDir

app = typer.Typer(
    help="Versions for gateways that the fleet manages: signed, sent, tried, confirmed or taken back.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
BundleFile = Annotated[Path, typer.Argument(metavar="BUNDLE", help="What pack made.", show_default=False)]
Wait = Annotated[float, typer.Option("--wait", help="Wait so long for the outcome, in s; 0: do not wait.")]


@app.command()
def key(out: Annotated[Path, typer.Option(help="The private key to write (PEM); OUT.pub beside it.")]) -> None:
    """Make a key to sign versions with. Keep it away from the gateways; they get the .pub (fleet trust)."""
    from agent.cli import packing

    packing.key(out)


@app.command()
def pack(
    folder: Annotated[Path, typer.Argument(help="The configuration with all files that it names.", show_default=False)],
    key: Annotated[Path, typer.Option(help="The private key (PEM), as fleet key makes it.")],
    gateway: Annotated[str, typer.Option("--for", help="The gateway that it is for (its id).")],
    version: Annotated[
        int, typer.Option(min=1, help="Greater than any sent before, also where an old content returns.")
    ],
    out: Annotated[Path, typer.Option(help="The bundle to write.")],
    main: Annotated[str, typer.Option(help="The configuration in FOLDER, where it has several.")] = "",
    not_before: Annotated[str, typer.Option(help="It waits until then: 2027-01-31T02:00Z.")] = "",
    expires: Annotated[str, typer.Option(help="Not to be installed from then on: 2027-02-28T00:00Z.")] = "",
    adopt: Annotated[bool, typer.Option("--adopt", help="It ends a local override instead of waiting for it.")] = False,
    check: Annotated[bool, typer.Option(help="Check the configuration first.")] = True,
) -> None:
    """Make a signed version out of a folder: YAML, CSV, models (.json, .onnx) with their signatures (.sig)."""
    from agent.cli import packing

    packing.pack(folder, key, gateway, version, out, main, not_before, expires, adopt, check)


@app.command()
def show(bundle: BundleFile, json: Json = False) -> None:
    """Print what a bundle says of itself: for whom, which version, its files, the key that signed it."""
    from agent.cli import packing

    packing.show(bundle, json)


@app.command()
def send(
    bundle: BundleFile,
    broker: Annotated[str, typer.Option(help="HOST or HOST:PORT.")],
    prefix: Annotated[str, typer.Option(help="Of the gateway's topics; edgetwin/<gateway> if left out.")] = "",
    tls: Annotated[bool, typer.Option("--tls", help="Encrypt; needed unless the broker is on this machine.")] = False,
    ca: Annotated[Path | None, typer.Option(help="Who may vouch for the broker (PEM).")] = None,
    cert: Annotated[Path | None, typer.Option(help="Our certificate (PEM), where the broker asks for one.")] = None,
    cert_key: Annotated[Path | None, typer.Option(help="The key of our certificate (PEM).")] = None,
    user: Annotated[str | None, typer.Option(help="User name, where the broker asks for one.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="A file with the password and nothing else.")] = None,
    wait_s: Wait = 300.0,
) -> None:
    """Publish a bundle, retained, and print what its gateway makes of it. Exit 0 if confirmed, 1 if refused or rolled
    back, 4 if nothing came in time (it stays at the broker: a gateway that is away finds it)."""
    from agent.cli import sending

    sending.send(bundle, broker, prefix, tls, ca, cert, cert_key, user, password_file, wait_s)


@app.command()
def apply(
    bundle: Annotated[
        Path, typer.Argument(help="A bundle, or a folder (USB stick) with bundles: the newest for this gateway.")
    ],
    file: File,
    state_dir: StateDir = None,
    wait_s: Wait = 300.0,
) -> None:
    """Hand a bundle to the daemon of this machine. Exit as send."""
    from agent.cli import fleeting

    fleeting.apply(bundle, file, state_dir, wait_s)


@app.command()
def status(file: File, state_dir: StateDir = None, json: Json = False) -> None:
    """Print what this gateway reports: desired, running, state, drift. Exit 1 if it is not as desired."""
    from agent.cli import fleeting

    fleeting.status(file, state_dir, json)


@app.command()
def override(
    file: File,
    reason: Annotated[str, typer.Option(help="Why; it is kept and reported.")] = "",
    until: Annotated[str, typer.Option(help="When it ends by itself: 4h, or 2027-01-31T18:00Z.")] = "",
    folder: Annotated[
        Path | None, typer.Option(help="A configuration to run until then, with all files that it names.")
    ] = None,
    main: Annotated[str, typer.Option(help="The configuration in FOLDER, where it has several.")] = "",
    end: Annotated[bool, typer.Option("--end", help="End it now.")] = False,
    state_dir: StateDir = None,
    wait_s: Wait = 300.0,
) -> None:
    """Answer for a local change: run another configuration, or promote a model, for a while. It is reported as drift;
    at its end the version of the fleet runs again."""
    from agent.cli import fleeting

    fleeting.override(file, reason, until, folder, main, end, state_dir, wait_s)


@app.command()
def trust(
    key: Annotated[Path, typer.Argument(metavar="KEY.pub", help="An ed25519 public key (PEM).", show_default=False)],
    file: File,
    name: Annotated[str, typer.Option(help="What to call it; the file's name if left out.")] = "",
    state_dir: StateDir = None,
) -> None:
    """Let this gateway run versions that are signed by this key."""
    from agent.cli import fleeting

    fleeting.trust(key, file, name, state_dir)


@app.command()
def distrust(
    name: Annotated[str, typer.Argument(help="Name or id, as keys prints it.", show_default=False)],
    file: File,
    state_dir: StateDir = None,
) -> None:
    """Trust a key no longer; what it signed and runs already runs on."""
    from agent.cli import fleeting

    fleeting.distrust(name, file, state_dir)


@app.command()
def keys(file: File, state_dir: StateDir = None, json: Json = False) -> None:
    """Print the keys whose versions this gateway may run."""
    from agent.cli import fleeting

    fleeting.keys(file, state_dir, json)
