"""`edgetwin fleet apply`, `status`, `override`, `trust` ...: the side of the gateway."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agent.cli import deployed, feeding, packing, sending
from agent.cli.telling import as_json, fail
from agent.runtime import clock

if TYPE_CHECKING:
    from agent.control.deploy.manifest import Bundle
    from agent.control.deploy.orders import Place

EVERY_S = 0.5


def _place(file: Path, state_dir: Path | None) -> Place:
    place = deployed.place_of(file, state_dir, {})
    if place is None:
        fail(f"{file} does not say managed: fleet (under gateway:), or cannot be read: edgetwin check {file}")
    return place


def apply(path: Path, file: Path, state_dir: Path | None, wait_s: float) -> None:
    """Put a bundle where the daemon finds it, ask, print what becomes of it."""
    place = _place(file, state_dir)
    bundle, name = _newest(path, place.gateway) if path.is_dir() else (packing.opened(path)[0], path)
    _put(place, bundle, "usb")
    _ask(place, "apply", f"usb-{bundle.digest[:16]}.bundle", {}, f"{name} waits for the daemon's next start")
    if wait_s > 0:
        _follow(place, bundle.digest[:16], wait_s)


def _newest(folder: Path, gateway: str) -> tuple[Bundle, Path]:
    """The bundle of the greatest version for a gateway in a folder."""
    found = [(packing.opened(path), path) for path in sorted(folder.glob("*.bundle"))]
    ours = [(manifest.version, bundle, path) for (bundle, manifest), path in found if manifest.gateway == gateway]
    if not ours:
        fail(f"{folder} has no bundle for gateway {gateway}, it has {len(found)} (*.bundle) in all")
    _, bundle, path = max(ours, key=lambda each: each[0])
    return bundle, path


def _put(place: Place, bundle: Bundle, prefix: str) -> str:
    from agent.control.deploy import manifest as manifests
    from agent.runtime.pki import making

    name = f"{prefix}-{bundle.digest[:16]}.bundle"
    try:
        place.shelf.make()
        making.put(place.shelf.incoming / name, manifests.packed(bundle), 0o640)
    except OSError as error:
        fail(f"{place.shelf.incoming}: {error.strerror}. Only the daemon's user and root may write there")
    return name


def _ask(place: Place, do: str, target: str, args: dict[str, str], absent: str) -> None:
    """Ask the daemon; ends where the answer is no, or no daemon runs."""
    import asyncio

    try:
        answer = asyncio.run(feeding.ask(_socket(place), do, target, args))
    except ConnectionError as error:
        fail(f"{error}; {absent}", 3)
    except TimeoutError:
        fail("the daemon did not answer in time; see edgetwin fleet status", 3)
    if not answer.ok:
        fail(answer.text)
    typer.echo(answer.text)


def _socket(place: Place) -> Path:
    from agent.config.load import load
    from agent.config.problems import ConfigErrors

    usual = place.shelf.folder.parent / "feed.sock"
    try:
        return load(place.local, place.shelf.folder.parent, lenient=True).places.feed
    except ConfigErrors:
        return usual


def _follow(place: Place, manifest: str, wait_s: float) -> None:
    states: list[str] = []
    told, end_ns = sending.said(states), clock.now_ns() + wait_s * 1e9
    while clock.now_ns() < end_ns:
        report = place.shelf.report()
        if report is not None and report["manifest"] == manifest and told(report):
            break
        time.sleep(EVERY_S)
    sending.end(states, "see edgetwin fleet status")


def status(file: Path, state_dir: Path | None, json: bool) -> None:
    """Print the newest report; exit 0 where it runs what it should."""
    from agent.control.deploy import report as reports

    place = _place(file, state_dir)
    try:
        now = place.shelf.state()
        found = (reports.models(place, now), reports.drift(place, now))
        tree = place.shelf.report() or reports.report(place.gateway, now, None, (), *found)
    except (OSError, ValueError) as error:
        fail(f"{place.shelf.folder}: {error}")
    if json:
        as_json(tree)
    else:
        typer.echo("\n".join(_lines(tree)))
    as_desired = tree["desired"] == tree["running"] and tree["state"] in ("confirmed", "local")
    raise typer.Exit(0 if as_desired and not tree["drift"] else 1)


def _lines(tree: Mapping[str, Any]) -> list[str]:
    running = f"version {tree['running']}" if tree["running"] is not None else "a file of this machine"
    desired = f"version {tree['desired']}" if tree["desired"] is not None else "nothing yet"
    good = f", before it version {tree['last_good']}" if tree["last_good"] is not None else ""
    said = [f"gateway {tree['gateway']}: desired {desired}, running {running}{good}"]
    said.append(" ".join(filter(None, (f"state {tree['state']}", tree["reason"]))))
    said += [f"missing {file['path']} ({file['size']} bytes)" for file in tree["missing"]]
    for name, sha in tree["models"].items():
        said.append(f"model {name} {sha}")
    for each in tree["drift"]:
        if each["what"] == "override":
            what = each["configuration"] or ", ".join(each["promoted"]) or "nothing changed so far"
            said.append(f"drift: override by {each['by']} until {each['until']}: {each['reason']} ({what})")
        else:
            said.append(f"drift: {each['file']} was edited")
    return said


def override(
    file: Path,
    reason: str,
    until: str,
    folder: Path | None,
    main: str,
    end: bool,
    state_dir: Path | None,
    wait_s: float,
) -> None:
    """Begin or end a local change."""
    place = _place(file, state_dir)
    if end:
        _ask(place, "end_override", place.gateway, {}, "nothing was changed")
        return
    if not reason.strip() or not until:
        fail("a local change needs --reason and --until", 2)
    args, bundle = {"reason": reason, "until": _until(until)}, None
    if folder is not None:
        bundle = _local(folder, main, place.gateway)
        args["bundle"] = _put(place, bundle, "local")
    _ask(place, "override", place.gateway, args, "nothing was changed")
    if bundle is not None and wait_s > 0:
        _follow(place, bundle.digest[:16], wait_s)


def _until(text: str) -> str:
    """A span from now, or a time in UTC."""
    from agent.cli.wording import WordingError, seconds

    try:
        span = timedelta(seconds=seconds(text))
    except WordingError:
        return packing.moment(text, "--until")
    return packing.now(span)


def _local(folder: Path, main: str, gateway: str) -> Bundle:
    """A version of this machine's own: signed by nobody, somebody answers for it."""
    from agent.control.deploy import manifest as manifests
    from agent.control.deploy.manifest import Bundle, Manifest

    files, contents = packing.collected(folder, main)
    text = manifests.written(Manifest(1, gateway, packing.main_of(folder, main), files, packing.now()))
    return Bundle(text, b"{}", {file.sha256: content for file, content in zip(files, contents, strict=True)})


def trust(key: Path, file: Path, name: str, state_dir: Path | None) -> None:
    """Trust a public key."""
    from agent.runtime.admission import keys

    place = _place(file, state_dir)
    try:
        place.shelf.make()
        made = keys.trust_in(place.shelf.trusted, key, name)
    except (OSError, ValueError) as error:
        fail(str(error))
    typer.echo(f"trusted: {made.name} {made.id} ({made.path})")


def distrust(wanted: str, file: Path, state_dir: Path | None) -> None:
    """Trust one no longer."""
    from agent.runtime.admission import keys

    found = [k for k in keys.trusted_in(_place(file, state_dir).shelf.trusted) if wanted in (k.name, k.id)]
    if not found:
        fail(f"{wanted} is no name and no id of a trusted key; see `edgetwin fleet keys`")
    found[0].path.unlink()
    typer.echo(f"no longer trusted: {found[0].name} {found[0].id}")


def keys(file: Path, state_dir: Path | None, json: bool) -> None:
    """Print whose versions may run here."""
    from agent.runtime.admission import keys as known

    rows = [(k.name, k.id, str(k.path)) for k in known.trusted_in(_place(file, state_dir).shelf.trusted)]
    if json:
        as_json([{"name": name, "id": key_id, "file": path} for name, key_id, path in rows])
        return
    for name, key_id, path in rows:
        typer.echo(f"{name:12} {key_id}  {path}")
    if not rows:
        typer.echo(f"none: nobody can send a version. edgetwin fleet trust KEY.pub {file}")
