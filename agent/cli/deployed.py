"""What the daemon of a gateway under `managed: fleet` is to run: the version in force, read as any configuration."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agent.runtime import clock

if TYPE_CHECKING:
    from agent.config.load import Loaded
    from agent.control.deploy.fleet import Fleet
    from agent.control.deploy.orders import Place

log = logging.getLogger(__name__)


def place_of(file: Path, state_dir: Path | None, settings: Mapping[str, str]) -> Place | None:
    """The place of a gateway that the fleet manages; None where its file says that it manages itself."""
    from agent.config.load import gateway_of
    from agent.control.deploy.orders import Place
    from agent.control.deploy.shelf import Shelf

    found = gateway_of(file, state_dir, settings)
    if found is None or found[0].managed != "fleet":
        return None
    return Place(found[0].id, Shelf(found[1] / "fleet"), file.absolute())


def loaded(place: Place, settings: Mapping[str, str]) -> tuple[Loaded, Fleet]:
    """The configuration in force, and who watches over it. One that cannot be read gives way to what ran before it; for
    the machine's own file, the last of them, problems end the command. `settings` are of that file alone."""
    from agent.cli import configuration
    from agent.config.load import load
    from agent.config.problems import ConfigErrors
    from agent.control.deploy import starting
    from agent.control.deploy.fleet import Fleet

    state_dir = place.shelf.folder.parent
    start = starting.begun(place.shelf, place.local, clock.boot_id())
    if start.now.in_force and starting.fingerprint(place.local) != start.now.local_sha256:
        log.warning("fleet: %s was edited, and is not in force: see edgetwin fleet override", place.local)
    while start.now.in_force:
        try:
            found = load(start.file, state_dir, lenient=True)
        except ConfigErrors as errors:
            log.error("fleet: %s: %s", start.now.in_force, errors.problems[0])
            start = starting.gone_on(place.shelf, start, place.local, str(errors.problems[0]))
        else:
            log.info("fleet: %s is in force", start.now.in_force)
            return found, Fleet(place, start.now, found.file.gateway.confirm_s)
    found = configuration.loaded(place.local, state_dir, settings, lenient=True)
    return found, Fleet(place, start.now, found.file.gateway.confirm_s)


def ended(place: Place, fleet: Fleet) -> None:
    """It was stopped in order."""
    from agent.control.deploy import starting

    starting.ended(place.shelf, fleet.now)
