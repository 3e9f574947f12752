"""`edgetwin fleet key`, `pack` and `show`: the side that makes versions."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agent.cli.telling import as_json, fail
from agent.runtime import clock

if TYPE_CHECKING:
    from agent.control.deploy.manifest import Bundle, File, Manifest

TIMES = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d")
USUAL = "edgetwin.yaml"


def key(out: Path) -> None:
    """Write a private key and its public one."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from agent.runtime.admission import keys
    from agent.runtime.pki import making

    public = out.with_name(out.name + ".pub") if out.suffix == ".pub" else out.with_suffix(".pub")
    if out.exists() or public.exists():
        fail(f"{out if out.exists() else public} is there already: a key is made once")
    made = Ed25519PrivateKey.generate()
    pem = made.private_bytes(keys.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        making.put(out, pem, 0o600)
        making.put(public, made.public_key().public_bytes(keys.PEM, keys.SPKI), 0o644)
    except OSError as error:
        fail(f"{out}: {error.strerror}")
    typer.echo(f"key {keys.key_id(made.public_key())}: {out} (keep it), {public} (for gateways: edgetwin fleet trust)")


def pack(
    folder: Path,
    key: Path,
    gateway: str,
    version: int,
    out: Path,
    main: str,
    not_before: str,
    expires: str,
    adopt: bool,
    check: bool,
) -> None:
    """Write a bundle; what is left out of the folder is told."""
    from agent.control.deploy import manifest as manifests
    from agent.control.deploy.manifest import Manifest
    from agent.runtime.admission import keys

    begins, ends = moment(not_before, "--not-before"), moment(expires, "--expires")
    found, contents = collected(folder, main)
    if check:
        _check(folder / main_of(folder, main), gateway)
    manifest = Manifest(version, gateway, main_of(folder, main), found, now(), begins, adopt)
    try:
        manifests.read(manifests.written(manifest))
        bundle = manifests.signed(manifest, contents, keys.private(key), ends or None)
        out.write_bytes(manifests.packed(bundle))
    except (OSError, ValueError) as error:
        fail(str(error))
    size = sum(file.size for file in found)
    typer.echo(
        f"{out}: version {version} for {gateway}, {len(found)} files, {size} bytes, manifest {bundle.digest[:16]}"
    )


def collected(folder: Path, main: str) -> tuple[tuple[File, ...], list[bytes]]:
    """The files of a folder that a version can have, and their content; what it cannot have is told."""
    from agent.control.deploy import manifest as manifests
    from agent.control.deploy.manifest import File

    if not folder.is_dir():
        fail(f"{folder}: expected a folder with a configuration and all files that it names")
    main_of(folder, main)
    files, contents = [], []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.suffix not in manifests.CONFIGURATION | manifests.MODEL or path.is_symlink():
            typer.echo(f"{path}: left out, a version has {' '.join(manifests.kinds())}", err=True)
            continue
        try:
            content = path.read_bytes()
        except OSError as error:
            fail(f"{path}: {error.strerror}")
        files.append(File(name, hashlib.sha256(content).hexdigest(), len(content)))
        contents.append(content)
    return tuple(files), contents


def main_of(folder: Path, main: str) -> str:
    """The configuration in a folder: as given, else edgetwin.yaml, else the only one there."""
    found = sorted(path.name for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
    if main and main not in found:
        fail(f"--main {main}: not in {folder}, expected one of {', '.join(found) or 'its YAML files: it has none'}", 2)
    if main or USUAL in found:
        return main or USUAL
    if len(found) != 1:
        fail(f"{folder} has {len(found)} configurations ({', '.join(found)}): name one with --main", 2)
    return found[0]


def _check(file: Path, gateway: str) -> None:
    """As the gateway will; models that nobody here answers for are only told: there they may be known."""
    from agent.cli import configuration
    from agent.config import versions

    found = configuration.loaded(file, None, {}, lenient=True)
    wrong = versions.problems(found, gateway)
    if wrong:
        configuration.refuse(file, wrong)
    for asset in found.assets:
        for name, why in asset.refused.items():
            typer.echo(f"{asset.asset.id}: model {name} would be absent here: {why}", err=True)


def opened(path: Path) -> tuple[Bundle, Manifest]:
    """A bundle and its manifest, believed by nobody yet; ends with a line where it is none."""
    from agent.control.deploy import manifest as manifests

    try:
        with path.open("rb") as file:
            content = file.read(manifests.LARGEST_BUNDLE + 1)
        bundle = manifests.opened(content)
        return bundle, manifests.read(bundle.text)
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    except ValueError as error:
        fail(f"{path}: {error}")


def show(path: Path, json: bool) -> None:
    """Print a manifest."""
    from json import loads

    bundle, manifest = opened(path)
    mark = loads(bundle.signature)
    if json:
        as_json({"manifest": loads(bundle.text), "digest": bundle.digest, "key": mark.get("key")})
        return
    ends = f", not to be installed from {mark['expires']}" if mark.get("expires") else ""
    begins = f", not before {manifest.not_before}" if manifest.not_before else ""
    adopts = ", ends a local override" if manifest.adopts else ""
    typer.echo(f"version {manifest.version} for {manifest.gateway}: {manifest.configuration}{begins}{ends}{adopts}")
    typer.echo(f"made {manifest.made}, signed by key {mark.get('key')}, manifest {bundle.digest[:16]}")
    for file in manifest.files:
        there = "" if file.sha256 in bundle.files else "  not in this bundle"
        typer.echo(f"  {file.path:40} {file.size:9} {file.sha256[:16]}{there}")


def now(later: timedelta = timedelta()) -> str:
    """The time in UTC, or a later one, as it stands in a manifest."""
    return f"{datetime.fromtimestamp(clock.wall_ns() // 10**9, UTC) + later:{TIMES[0]}}"


def moment(text: str, option: str) -> str:
    """A time in UTC as it stands in a manifest, "" for none."""
    for form in TIMES if text else ():
        try:
            return f"{datetime.strptime(text, form):{TIMES[0]}}"
        except ValueError:
            continue
    return text and fail(f"{option} {text}: expected a time in UTC as 2027-01-31T02:00Z", 2)
