"""What a daemon under `managed: fleet` runs at a start: counted before anything of it is read, so that one that takes
the daemon down with it gives way after a few starts."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from agent.control.deploy import state as states
from agent.control.deploy.shelf import Shelf
from agent.control.deploy.state import Deployment

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """What is to run: a file, and where it comes from."""

    file: Path
    now: Deployment


def begun(shelf: Shelf, local: Path, boot: str) -> Start:
    """The next thing to try. A version that is not whole any more gives way at once; the local file is never judged
    here, and a disk that does not keep the count does not keep the daemon from starting."""
    return _whole(shelf, local, _kept(shelf, states.begun(_looked_at(shelf.state_or_new(), local), boot)))


def gone_on(shelf: Shelf, start: Start, local: Path, why: str) -> Start:
    """It cannot be run: what ran before it is next."""
    return _whole(shelf, local, _kept(shelf, states.fallen_back(start.now, why)))


def _whole(shelf: Shelf, local: Path, now: Deployment) -> Start:
    while now.in_force:
        try:
            return Start(shelf.configuration(now.in_force), now)
        except (OSError, ValueError) as error:
            now = _kept(shelf, states.fallen_back(now, str(error)))
    return Start(local, now)


def ended(shelf: Shelf, now: Deployment) -> None:
    """Somebody stopped it: that does not count as a start that did not last."""
    if now.starts:
        _kept(shelf, states.lasted(now))


def _kept(shelf: Shelf, now: Deployment) -> Deployment:
    try:
        shelf.make()
        shelf.keep(now)
    except OSError as error:
        log.error("fleet: %s cannot be written: %s", shelf.folder, error.strerror)
    return now


def fingerprint(local: Path) -> str:
    """SHA-256 of the file that the daemon was started with, "" where it cannot be read."""
    try:
        return hashlib.sha256(local.read_bytes()).hexdigest()
    except OSError:
        return ""


def _looked_at(now: Deployment, local: Path) -> Deployment:
    """With the first look at the local file, that later ones are held against."""
    return now if now.local_sha256 else replace(now, local_sha256=fingerprint(local))
