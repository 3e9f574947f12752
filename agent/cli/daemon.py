"""`edgetwin run`: the daemon in the foreground, as systemd wants it."""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from agent.cli import deployed
from agent.cli.configuration import loaded
from agent.cli.telling import fail
from agent.cli.telling import settings as chosen
from agent.runtime import clock, systemd

if TYPE_CHECKING:
    from agent.config.load import Loaded
    from agent.config.plan import Plan
    from agent.control.deploy.fleet import Fleet
    from agent.control.deploy.orders import Place

log = logging.getLogger(__name__)


def run(file: Path, state_dir: Path | None, settings: Sequence[str], level: str) -> None:
    """Load the file, hold the state directory, run until stopped."""
    levels = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
    if level not in levels:
        fail(f"--log {level}: expected one of {', '.join(levels)}", 2)
    log_to_stderr(levels[level])
    place = deployed.place_of(file, state_dir, chosen(settings))
    if place is None:
        plan, hashes = _planned(loaded(file, state_dir, chosen(settings), lenient=True))
        with _alone(plan.state_dir):
            _run(plan, hashes)
    else:
        _run_deployed(place, chosen(settings))


def _run_deployed(place: Place, settings: Mapping[str, str]) -> None:
    """Run what the fleet says; where that becomes something else, this process begins anew with it: the same pid, so
    that it works under systemd, in a container and by hand alike."""
    with _alone(place.shelf.folder.parent):
        found, fleet = deployed.loaded(place, settings)
        plan, hashes = _planned(found)
        del found
        _run(plan, hashes, fleet)
    if fleet.again:
        systemd.notify("WATCHDOG=1")
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    deployed.ended(place, fleet)


def _run(plan: Plan, hashes: set[str], fleet: Fleet | None = None) -> None:
    _note(plan.state_dir, hashes)
    from agent import app

    gc.collect()  # what was read of the files: the daemon takes its place
    options = {"use_uvloop": _has_uvloop()}
    anyio.run(partial(app.run, plan, fleet=fleet), backend="asyncio", backend_options=options)


def _planned(found: Loaded) -> tuple[Plan, set[str]]:
    """What a configuration says is to run, and the hashes of its model files; what would be better about it is logged.
    A model that cannot be used is absent: the rest runs."""
    from agent.config.advice import advice
    from agent.config.plan import plan

    for told in advice(found):
        log.warning("%s", told)
    for asset in found.assets:
        for name, why in asset.refused.items():
            log.error("%s: model %s is absent: %s", asset.asset.id, name, why)
    return plan(found), {model.file_sha256 for asset in found.assets for model in asset.models}


def _note(state_dir: Path, hashes: set[str]) -> None:
    """These run here now: what expires later may go on, and come back."""
    from agent.runtime.admission import memory

    now = datetime.fromtimestamp(clock.wall_ns() // 10**9, UTC)
    memory.remember_ran(state_dir, hashes, f"{now:%Y-%m-%dT%H:%M:%SZ}")


def log_to_stderr(level: int) -> None:
    """One line an entry; journald adds the time, a terminal gets it from us."""
    stamp = "" if os.environ.get("JOURNAL_STREAM") else "%(asctime)s "
    logging.basicConfig(level=level, stream=sys.stderr, format=stamp + "%(levelname)s %(name)s: %(message)s")
    for library in ("asyncua", "pymodbus", "mqtt"):
        logging.getLogger(library).setLevel(max(level, logging.ERROR))


@contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    """Hold the state directory against a second daemon."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
        lock = os.open(state_dir / "lock", os.O_CREAT | os.O_RDWR, 0o640)
    except OSError as error:
        fail(f"state directory {state_dir}: {error.strerror}. Choose another with --state-dir DIR")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fail(f"another edgetwin runs with the state directory {state_dir}")
    try:
        yield
    finally:
        os.close(lock)


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return False
    return True
