"""Where a gateway of the fleet stands: a value, and the changes of it as pure functions.

    accepted -> staged -> validating -> applying -> (restart) -> confirmed
                   |           |            |
                   +- refused -+            +-> rolled_back (restart)

In force is the trial if there is one, else what a local override brought, else the running version, else ("") the file
that the daemon was started with. Each change leaves a note; notes become audit rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from agent.control.deploy.manifest import CONFIGURATION, MODEL, Manifest

ABOUT = 16
MOST_STARTS = 3  # that did not last, until what ran before takes over again


@dataclass(frozen=True, slots=True)
class Override:
    """A local change that somebody answers for, until a time. Times are UTC; `folder`: what runs because of it, if it
    is a configuration; `promoted`: requests (promote rig/anomaly) to be taken back at its end."""

    by: str
    reason: str
    since: str
    until: str
    folder: str = ""
    promoted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deployment:
    """desired: the greatest version accepted so far, `digest` of its manifest; waiting: for its files. about: first
    digits of the manifest of which state and reason speak. Folders (of `versions`): candidate is
    staged, trial runs and is not confirmed, running was confirmed, previous ran before it; "" is none, or the file that
    the daemon was started with. starts: of what is in force, that did not last, in `boot`. well, ill: what was and what
    was not well before the trial. local_sha256: of the file that the daemon was started with, when last looked at.
    """

    desired: int = 0
    digest: str = ""
    waiting: bool = False
    about: str = ""
    state: str = "local"
    reason: str = ""
    candidate: str = ""
    trial: str = ""
    running: str = ""
    previous: str = ""
    starts: int = 0
    boot: str = ""
    well: tuple[str, ...] = ()
    ill: tuple[str, ...] = ()
    local_sha256: str = ""
    override: Override | None = None
    notes: tuple[str, ...] = ()

    @property
    def in_force(self) -> str:
        """The folder of what is to run, "" for the file that the daemon was started with."""
        return self.trial or (self.override.folder if self.override else "") or self.running

    @property
    def folders(self) -> frozenset[str]:
        """All that is still needed."""
        of_override = self.override.folder if self.override else ""
        return frozenset({self.candidate, self.trial, self.running, self.previous, of_override} - {""})


def folder_of(manifest: Manifest, digest: str) -> str:
    """The name of a version's folder."""
    return f"v{manifest.version}-{digest[:ABOUT]}"


def _about(folder: str) -> str:
    """The first digits of a folder's manifest."""
    return folder.rpartition("-")[2]


def version_of(folder: str) -> int | None:
    """The version in a folder; None for what came from nowhere but here."""
    number = folder.partition("-")[0].removeprefix("v")
    return int(number) if folder.startswith("v") and number.isdigit() else None


def why_not(now: Deployment, manifest: Manifest, digest: str, gateway: str) -> str:
    """Why a manifest that is signed as it should be is not for us; "" where it is."""
    if gateway != manifest.gateway:
        return f"it is for gateway {manifest.gateway}, this one is {gateway}"
    if manifest.version == now.desired and digest != now.digest:
        return f"version {manifest.version} was something else before; a change needs a greater number"
    if manifest.version < now.desired:
        return f"version {manifest.version} is older than {now.desired}; an old content needs a new number too"
    return ""


def step_of(before: Manifest | None, after: Manifest) -> str:
    """What a version changes: configuration, models, nothing, or both, which is not done in one step. The first has
    nothing before it."""
    if before is None:
        return "first"
    changed = [before.hashes(kinds) != after.hashes(kinds) for kinds in (CONFIGURATION, MODEL)]
    return {(False, False): "nothing", (True, False): "configuration", (False, True): "models"}.get(
        (changed[0], changed[1]), "both"
    )


def accepted(now: Deployment, manifest: Manifest, digest: str, who: str) -> Deployment:
    """It is wanted from now on; its files may still be on their way."""
    after = replace(now, desired=manifest.version, digest=digest, candidate="", state="staged", reason="")
    after = replace(after, about=digest[:ABOUT], waiting=True)
    return noted(after, f"version {manifest.version} accepted, signed by {who}")


def staged(now: Deployment, folder: str) -> Deployment:
    """All its files lie on the disk."""
    after = replace(now, candidate=folder, waiting=False, state="staged", reason="", about=_about(folder))
    return noted(after, f"{folder} staged")


def validating(now: Deployment) -> Deployment:
    """It is being checked, in a process of its own."""
    return replace(now, state="validating", reason="", about=_about(now.candidate))


def refused(now: Deployment, reason: str) -> Deployment:
    """It is not going to run. What runs, runs on."""
    what = now.candidate or f"version {now.desired}"
    return noted(replace(now, candidate="", waiting=False, state="refused", reason=reason), f"{what} refused: {reason}")


def applying(now: Deployment, well: frozenset[str], ill: frozenset[str]) -> Deployment:
    """The next start tries it. well, ill: how things are before."""
    after = replace(now, trial=now.candidate, candidate="", state="applying", reason="", starts=0)
    after = replace(after, well=tuple(sorted(well)), ill=tuple(sorted(ill)))
    return noted(after, f"{now.candidate} is tried, instead of {now.in_force or 'the local file'}")


def confirmed(now: Deployment) -> Deployment:
    """The trial does as well as what ran before: it stays. What a local override brought stays until that ends."""
    after = replace(now, trial="", starts=0, well=(), ill=(), about=_about(now.trial))
    if version_of(now.trial) is None and now.override is not None:
        after = replace(after, override=replace(now.override, folder=now.trial), state="confirmed", reason="")
    else:
        after = replace(after, running=now.trial, previous=now.running, state="confirmed", reason="")
    return noted(after, f"{now.trial} confirmed")


def begun(now: Deployment, boot: str) -> Deployment:
    """One start more of what is in force; after too many that did not last, what ran before takes over.

    Power cuts (another boot) count against a trial alone: what was confirmed once is not to blame for them.
    """
    starts = now.starts if now.trial or now.boot == boot else 0
    if starts >= MOST_STARTS and now.in_force:
        return begun(fallen_back(now, f"it was started {starts} times and did not last"), boot)
    return replace(now, starts=starts + 1, boot=boot)


def lasted(now: Deployment) -> Deployment:
    """What is in force has lasted, or was stopped by somebody: the count begins anew."""
    return replace(now, starts=0)


def fallen_back(now: Deployment, reason: str) -> Deployment:
    """What is in force gives way to what ran before it: trial, then override, then running."""
    gone = now.in_force
    after = replace(now, state="rolled_back", reason=f"{gone}: {reason}", about=_about(gone), starts=0)
    if now.trial:
        ours = version_of(now.trial) is None
        after = replace(after, trial="", well=(), ill=(), override=None if ours else now.override)
    elif now.override is not None and now.override.folder:
        after = replace(after, override=None)
    else:
        after = replace(after, running=now.previous, previous="")
    return noted(after, f"{gone} rolled back to {after.in_force or 'the local file'}: {reason}")


def overridden(now: Deployment, override: Override, folder: str = "") -> Deployment:
    """Somebody answers for a local change; `folder` is staged as the candidate, where it is a configuration."""
    text = f"local override by {override.by} until {override.until}: {override.reason}"
    after = replace(now, override=override)
    if folder:
        after = replace(after, candidate=folder, about=_about(folder), state="staged", reason="")
    return noted(after, text)


def override_over(now: Deployment, why: str) -> Deployment:
    """It ended: what came by it goes."""
    if now.override is None:
        return now
    ours = bool(now.candidate) and version_of(now.candidate) is None
    after = replace(now, override=None, candidate="" if ours else now.candidate, starts=0)
    if now.override.folder and not after.candidate:
        state = "confirmed" if now.running else "local"
        after = replace(after, state=state, reason="", about=_about(now.running))
    return noted(after, f"local override by {now.override.by} is over: {why}")


def noted(now: Deployment, text: str) -> Deployment:
    """With a note more."""
    return replace(now, notes=(*now.notes, text))


def written(now: Deployment) -> bytes:
    """As JSON."""
    return json.dumps(asdict(now), indent=1).encode() + b"\n"


def read(content: bytes) -> Deployment:
    """From JSON; what a later release knew besides is left out. ValueError where it is none of ours."""
    try:
        tree: dict[str, Any] = json.loads(content)
        known = {field.name for field in fields(Deployment)}
        kept: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in tree.items() if name in known
        }
        return Deployment(**{**kept, "override": _override(tree.get("override"))})
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"no state of a deployment: {error}") from None


def _override(tree: Mapping[str, Any] | None) -> Override | None:
    if tree is None:
        return None
    known = {field.name for field in fields(Override)}
    return Override(**{**{name: tree[name] for name in known & tree.keys()}, "promoted": tuple(tree["promoted"])})
