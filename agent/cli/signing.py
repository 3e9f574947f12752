"""`edgetwin model sign`, `verify`, `trust`, `distrust`, `keys`: who answers for a model file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agent.cli.telling import as_json, fail
from agent.runtime import clock

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def sign(file: Path, key: Path | None, expires: str, state_dir: Path | None) -> None:
    """Write FILE.sig."""
    from agent.runtime.admission import keys

    until = _day(expires)
    content = _content(file)
    try:
        private = keys.private(key) if key else keys.own(state_dir or keys.usual())
        told = _write(file, content, private, until)
    except (OSError, ValueError) as error:
        fail(str(error))
    typer.echo(told)


def made_here(file: Path) -> None:
    """Sign what was just fitted with the key of this machine; where that is not possible, say how it can be done."""
    from agent.runtime.admission import keys

    try:
        told = _write(file, file.read_bytes(), keys.own(keys.usual()), None)
    except (OSError, ValueError) as error:
        told = f"not signed: {error}; before it can run: edgetwin model sign {file} --state-dir DIR"
    typer.echo(told)


def verify(file: Path, state_dir: Path | None) -> None:
    """Print who answers for a file and what runs it; exit 1 where nobody may load it here."""
    from agent.config import files
    from agent.config.problems import Mark, Problem
    from agent.runtime.admission import judging, keys, signature, trial

    content, wrong = _content(file), list[Problem]()
    beside = signature.beside(file)
    sig = files.octets(beside, Mark(str(file)), wrong, signature.LARGEST) if beside.exists() else None
    if wrong:
        fail(str(wrong[0]))
    place = state_dir or keys.usual()
    try:
        who = judging.judged(content, sig, place)
    except ValueError as error:
        if not (sig is None and content.lstrip().startswith(b"{")):
            fail(f"{file}: {str(error).replace('FILE', str(file))}")
        who = "a twin is data and need not be signed"
    typer.echo(f"{file}: {who}")
    if file.suffix == ".onnx":
        verdict = trial.tried(_kind(content), content, place)
        if verdict.why:
            fail(f"{file}: {verdict.why}")
        typer.echo(f"{file}: its first run in a process of its own went well, by {verdict.by}")


def trust(key: Path, name: str, state_dir: Path | None) -> None:
    """Trust a public key."""
    from agent.runtime.admission import keys

    try:
        made = keys.trust(state_dir or keys.usual(), key, name)
    except (OSError, ValueError) as error:
        fail(str(error))
    typer.echo(f"trusted: {made.name} {made.id} ({made.path})")


def distrust(wanted: str, state_dir: Path | None) -> None:
    """Trust one no longer."""
    from agent.runtime.admission import keys

    try:
        gone = keys.distrust(state_dir or keys.usual(), wanted)
    except (OSError, ValueError) as error:
        fail(str(error))
    typer.echo(f"no longer trusted: {gone.name} {gone.id}")


def keys_known(state_dir: Path | None, json: bool) -> None:
    """Print whose models may run here."""
    from agent.runtime.admission import keys

    found = [
        {"name": each.name, "id": each.id, "file": str(each.path)} for each in keys.trusted(state_dir or keys.usual())
    ]
    if json:
        as_json(found)
        return
    for row in found:
        typer.echo(f"{row['name']:12} {row['id']}  {row['file']}")
    if not found:
        typer.echo("no keys yet: ours is made by the first `edgetwin model sign` or `fit detector`")


def _write(file: Path, content: bytes, private: Ed25519PrivateKey, until: str | None) -> str:
    """Write the signature of a file; what is to be said about it. OSError."""
    from agent.runtime.admission import keys, signature
    from agent.runtime.pki import making

    now = datetime.fromtimestamp(clock.wall_ns() // 10**9, UTC).strftime(FORMAT)
    making.put(signature.beside(file), signature.signed(content, private, now, until), 0o644)
    ends = f" until {until}" if until else ""
    return f"signed: {signature.beside(file)}, by key {keys.key_id(private.public_key())}{ends}"


def _content(file: Path) -> bytes:
    """The bytes of a model file; ends with a line where there are none to be had."""
    from agent.config import files
    from agent.config.problems import Mark, Problem

    wrong = list[Problem]()
    content = files.octets(file, Mark(str(file)), wrong)
    if content is None:
        fail(str(wrong[0]))
    return content


def _kind(content: bytes) -> str:
    """The type of an ONNX file, as its metadata says; detect.onnx where they do not, which will say what is missing."""
    import json

    from agent.core.graph import limits

    try:
        found = json.loads(limits.admitted(content).metadata["edgetwin.kind"])
    except (KeyError, ValueError):
        return "detect.onnx"
    return found if found in ("detect.onnx", "detect.rul") else "detect.onnx"


def _day(text: str) -> str | None:
    """The end of validity as it stands in a signature."""
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").strftime(FORMAT)
    except ValueError:
        fail(f"--expires {text}: expected a day as 2027-01-31", 2)
