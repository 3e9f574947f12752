"""What may be asked of a gateway of the fleet, decided: a version offered, a local change, its end.

Each function reads and writes the disk and is called in a thread. It gives where the gateway stands after it;
ValueError says why it is refused.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from agent.control.deploy import manifest as manifests
from agent.control.deploy import starting
from agent.control.deploy import state as states
from agent.control.deploy.manifest import LARGEST_BUNDLE, TIME, Bundle, File, Manifest
from agent.control.deploy.shelf import Shelf
from agent.control.deploy.state import Deployment, Override
from agent.runtime.admission import keys
from agent.runtime.pki import making

LONGEST_OVERRIDE = datetime.timedelta(days=30)
UNDO = {"promote": "rollback", "rollback": "promote"}


class Refused(ValueError):  # noqa: N818
    """An offer that is not for us. digest: of its manifest, "" where it has none."""

    def __init__(self, why: str, digest: str = "") -> None:
        """Say why."""
        super().__init__(why)
        self.digest = digest


@dataclass(frozen=True, slots=True)
class Place:
    """The gateway that is asked: its id, its shelf, and the file that its daemon was started with."""

    gateway: str
    shelf: Shelf
    local: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where the gateway stands now, what is said to whoever asked, and the files that it still waits for."""

    now: Deployment
    text: str
    missing: tuple[File, ...] = ()
    ok: bool = True


def offer(place: Place, now: Deployment, name: str) -> Outcome:
    """A bundle that lies in `incoming`. Refused says why it is not for us, OSError that the disk does not have it."""
    bundle = _opened(place.shelf, name)
    try:
        manifest, who = manifests.verified(bundle, keys.trusted_in(place.shelf.trusted), making.wall())
    except ValueError as error:
        raise Refused(str(error), bundle.digest) from None
    why = states.why_not(now, manifest, bundle.digest, place.gateway)
    if why:
        raise Refused(why, bundle.digest)
    if bundle.digest == now.digest and not now.waiting:
        return Outcome(now, f"version {manifest.version} is known already: {now.state} {now.reason}".rstrip())
    if bundle.digest != now.digest:
        now = _accepted(place, now, manifest, bundle.digest, who)
    return _staged(place.shelf, now, manifest, bundle)


def _accepted(place: Place, now: Deployment, manifest: Manifest, digest: str, who: str) -> Deployment:
    after = states.accepted(now, manifest, digest, who)
    if not manifest.adopts:
        return after
    after = replace(after, local_sha256=starting.fingerprint(place.local))
    return states.override_over(after, f"version {manifest.version} adopts it") if not after.trial else after


def _staged(shelf: Shelf, now: Deployment, manifest: Manifest, bundle: Bundle) -> Outcome:
    """Put on the shelf, or waiting for files; or refused, now that it is known what it would change."""
    missing = tuple(shelf.missing(manifest, bundle.files))
    if missing:
        text = f"waiting for {len(missing)} of {len(manifest.files)} files"
        return Outcome(replace(now, reason=text), f"version {manifest.version} accepted, {text}", missing)
    try:
        both = _both(shelf.manifest(now.running) if now.running else None, manifest)
        if both:
            raise ValueError(both)
        after = states.staged(now, shelf.stage(manifest, bundle))
    except ValueError as error:
        after = states.refused(now, str(error))
        return Outcome(after, f"version {manifest.version} refused: {error}", ok=False)
    return Outcome(after, f"version {manifest.version} accepted and staged")


def _both(before: Manifest | None, after: Manifest) -> str:
    """Why a version is too much for one step; "" where it is not. What fails is then known: the one that changed."""
    if states.step_of(before, after) != "both":
        return ""
    assert before is not None
    named = [
        ", ".join(sorted({path for path, _ in before.hashes(kinds) ^ after.hashes(kinds)}))
        for kinds in (manifests.CONFIGURATION, manifests.MODEL)
    ]
    return f"it changes configuration ({named[0]}) and models ({named[1]}) in one step; send one of them first"


def override(place: Place, now: Deployment, by: str, args: Mapping[str, str]) -> Outcome:
    """A local change that `by` answers for. args: reason, until (UTC), bundle (in `incoming`, unsigned) if it is a
    configuration. Refused."""
    if now.override is not None:
        raise Refused(f"{now.override.by} overrides it already until {now.override.until}: end that first")
    if now.trial or now.candidate:
        raise Refused(f"{now.trial or now.candidate} is on its way: wait until it is confirmed or not")
    made = Override(by, _reason(args), f"{making.wall():{TIME}}", _until(args))
    if "bundle" not in args:
        return Outcome(states.overridden(now, made), f"local changes are allowed until {made.until}")
    bundle = _opened(place.shelf, args["bundle"])
    try:
        folder = place.shelf.stage(manifests.read(bundle.text), bundle, "local")
    except (KeyError, ValueError) as error:
        raise Refused(str(error)) from None
    return Outcome(states.overridden(now, made, folder), f"{folder} staged; it runs until {made.until}")


def release(now: Deployment, by: str) -> Outcome:
    """The end of a local change before its time: its time is now. Refused where there is none."""
    if now.override is None:
        raise Refused("nothing is overridden")
    if now.trial:
        raise Refused(f"{now.trial} is being tried: wait until it is confirmed or not")
    ended = replace(now, override=replace(now.override, until=f"{making.wall():{TIME}}"))
    return Outcome(states.noted(ended, f"local override ended by {by}"), "the override ends")


def expired(now: Deployment) -> bool:
    """Whether the time of an override is over."""
    return now.override is not None and now.override.until <= f"{making.wall():{TIME}}"


def _reason(args: Mapping[str, str]) -> str:
    reason = args.get("reason", "").strip()
    if not reason:
        raise Refused("a local change needs a reason")
    return reason


def _until(args: Mapping[str, str]) -> str:
    text, wall = args.get("until", ""), making.wall()
    try:
        end = datetime.datetime.strptime(text, TIME).replace(tzinfo=datetime.UTC)
    except ValueError:
        raise Refused(f"until {text!r}: a local change needs an end, as 2027-01-31T18:00:00Z") from None
    if not wall < end <= wall + LONGEST_OVERRIDE:
        raise Refused(f"until {text}: expected a time after {wall:{TIME}}, within {LONGEST_OVERRIDE.days} days")
    return text


def _opened(shelf: Shelf, name: str) -> Bundle:
    """A bundle in `incoming`; the file is gone after it."""
    path = shelf.incoming / name
    if Path(name).name != name or name.startswith("."):
        raise Refused(f"{name!r} is no name of a file in {shelf.incoming}")
    try:
        if path.stat().st_size > LARGEST_BUNDLE:
            raise Refused(f"{name} has {path.stat().st_size} bytes, expected at most {LARGEST_BUNDLE}")
        return manifests.opened(path.read_bytes())
    except FileNotFoundError:
        raise Refused(f"there is no {name} in {shelf.incoming}") from None
    except Refused:
        raise
    except ValueError as error:
        raise Refused(str(error)) from None
    finally:
        path.unlink(missing_ok=True)
