"""`edgetwin certs`: the certificates of the OPC UA client, ours and those of servers.

No daemon is needed, and none is asked: it looks into the folders at each connect, and every quarter of a minute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agent.cli.configuration import planned
from agent.cli.telling import as_json, fail

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from agent.drivers.opcua.config import Config


def list_all(file: Path, source: str | None, state_dir: Path | None, json: bool) -> None:
    """Print every certificate, ours first."""
    from agent.drivers.opcua.secure import trust
    from agent.runtime.pki import certificates
    from agent.runtime.pki.folders import ISSUER, REJECTED, TRUSTED, Folders

    configs = _configs(file, source, state_dir)
    found = []
    for path in dict.fromkeys(trust.files(config)[0] for config in configs):
        if path.exists():
            found.append(_row("own", path, certificates.load(path.read_bytes())))
    for root in dict.fromkeys(config.pki_dir for config in configs):
        kept = [one for store in (TRUSTED, ISSUER, REJECTED) for one in Folders(root).kept(store)]
        found += [_row(one.store, one.path, one.certificate) for one in kept]
    if json:
        as_json(found)
        return
    for row in found:
        _print(row)
    if not found:
        typer.echo("no certificates yet: ours is made when edgetwin first connects, or by certs show")


def show(source: str, file: Path, state_dir: Path | None, json: bool) -> None:
    """Print our certificate for one source, made if there is none."""
    from agent.drivers.opcua.secure import trust

    (config,) = _configs(file, source, state_dir)
    try:
        own = trust.ours(config)
    except OSError as error:
        fail(str(error))
    certificate, key = trust.files(config)
    row = _row("own", certificate, own.certificate) | {"key": str(key)}
    if json:
        as_json(row)
    else:
        _print(row)


def trust(wanted: str, file: Path, issuer: bool, source: str | None, state_dir: Path | None) -> None:
    """Move a certificate or a revocation list to those that are trusted (or complete chains)."""
    from agent.runtime.pki.folders import ISSUER, TRUSTED

    _move(wanted, ISSUER if issuer else TRUSTED, _configs(file, source, state_dir))


def reject(wanted: str, file: Path, source: str | None, state_dir: Path | None) -> None:
    """Move a certificate to the rejected."""
    from agent.runtime.pki.folders import REJECTED

    _move(wanted, REJECTED, _configs(file, source, state_dir))


def renew(file: Path, source: str | None, state_dir: Path | None) -> None:
    """Make our own certificates anew; those that the configuration names are not ours to make."""
    from agent.drivers.opcua.secure import trust
    from agent.runtime.pki.folders import Folders

    configs = _configs(file, source, state_dir)
    for config in configs:
        if config.certificate is not None:
            typer.echo(f"{config.id}: {config.certificate} is yours: put the new one in its place, with its key")
    for root, config in {c.pki_dir: c for c in configs if c.certificate is None}.items():
        try:
            made = Folders(root).renew(trust.subject(), config.key_bits)
        except OSError as error:
            fail(str(error))
        _print(_row("own", Folders(root).own_certificate, made.certificate))
        typer.echo("servers have to trust it; a running edgetwin connects anew with it within a minute")


def _configs(file: Path, source: str | None, state_dir: Path | None) -> list[Config]:
    """The OPC UA sources of a configuration, or the one asked for."""
    sources = {s.id: s.config for s in planned(file, state_dir, {}).sources if s.type == "opcua"}
    if source is not None and source not in sources:
        fail(f"{file} has no OPC UA source {source}, it has {', '.join(sources) or 'none'}")
    if not sources:
        fail(f"{file} has no OPC UA source")
    return [config for name, config in sources.items() if source in (None, name)]  # type: ignore[misc]


def _move(wanted: str, to: str, configs: Sequence[Config]) -> None:
    from agent.runtime.pki.folders import Folders

    for root in dict.fromkeys(config.pki_dir for config in configs):
        try:
            moved = Folders(root).move(wanted, to)
        except (OSError, ValueError) as error:
            fail(str(error))
        for path in moved:
            typer.echo(f"{to}: {path}")


def _row(store: str, path: Path, certificate: Certificate) -> dict[str, str | float]:
    from agent.drivers.opcua.secure.trust import days_left
    from agent.runtime.pki import certificates

    return {
        "store": store,
        "name": certificates.common_name(certificate),
        "uri": ", ".join(certificates.uris(certificate)),
        "sha256": certificates.sha256(certificate),
        "sha1": certificates.sha1(certificate),
        "until": f"{certificate.not_valid_after_utc:%Y-%m-%d}",
        "days": round(days_left(certificate), 1),
        "file": str(path),
    }


def _print(row: Mapping[str, str | float]) -> None:
    typer.echo(f"{row['store']}: {row['name']}")
    for name, value in row.items():
        if name not in ("store", "name", "days"):
            end = f" ({row['days']:.0f} days)" if name == "until" else ""
            typer.echo(f"  {name:7} {value}{end}")
