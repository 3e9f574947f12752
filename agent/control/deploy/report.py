"""What a gateway of the fleet says of itself: to the cloud (retained), and to `edgetwin fleet status`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.control.deploy import starting
from agent.control.deploy.manifest import MODEL, File
from agent.control.deploy.orders import Place, Refused
from agent.control.deploy.state import ABOUT, Deployment, version_of


def report(
    gateway: str,
    now: Deployment,
    refusal: Refused | None,
    missing: Sequence[File],
    models: Mapping[str, str],
    drift: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """A tree for JSON. state and reason are of the manifest whose first digits stand beside them; running is null while
    a file of the machine itself is in force. waiting: for files, of which those are missing that are known to be."""
    good = now.running if now.trial else now.previous
    return {
        "gateway": gateway,
        "managed": "fleet",
        "desired": now.desired or None,
        "running": version_of(now.in_force),
        "last_good": version_of(good),
        "state": "refused" if refusal else now.state,
        "reason": str(refusal) if refusal else now.reason,
        "manifest": refusal.digest[:ABOUT] if refusal else now.about,
        "waiting": now.waiting,
        "missing": [{"path": file.path, "sha256": file.sha256, "size": file.size} for file in missing],
        "models": dict(models),
        "drift": list(drift),
    }


def drift(place: Place, now: Deployment) -> list[dict[str, Any]]:
    """In what this gateway is not what the fleet made it: overrides, and files that somebody edited. Reads the disk."""
    found: list[dict[str, Any]] = []
    if now.override is not None:
        o = now.override
        found.append({"what": "override", "by": o.by, "reason": o.reason, "since": o.since, "until": o.until})
        found[0] |= {"configuration": o.folder, "promoted": list(o.promoted)}
    if now.in_force:
        found += [{"what": "edited", "file": f"{now.in_force}/{path}"} for path in place.shelf.edited(now.in_force)]
    if now.local_sha256 and starting.fingerprint(place.local) != now.local_sha256:
        found.append({"what": "edited", "file": str(place.local), "in_force": not now.in_force})
    return found


def models(place: Place, now: Deployment) -> dict[str, str]:
    """Path and first digits of SHA-256 of the models in force. Reads the disk."""
    try:
        files = place.shelf.manifest(now.in_force).files if now.in_force else ()
    except (OSError, ValueError):
        return {}
    return {f.path: f.sha256[:16] for f in files if f.path.endswith(tuple(MODEL - {".sig"}))}
