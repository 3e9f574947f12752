"""`edgetwin run`: the daemon in the foreground, as systemd wants it."""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from agent.cli.configuration import loaded
from agent.cli.telling import fail
from agent.cli.telling import settings as chosen
from agent.runtime import clock

if TYPE_CHECKING:
    from agent.config.plan import Plan

log = logging.getLogger(__name__)


def run(file: Path, state_dir: Path | None, settings: Sequence[str], level: str) -> None:
    """Load the file, hold the state directory, run until stopped."""
    levels = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
    if level not in levels:
        fail(f"--log {level}: expected one of {', '.join(levels)}", 2)
    log_to_stderr(levels[level])
    plan, hashes = _planned(file, state_dir, settings)
    with _alone(plan.state_dir):
        _note(plan.state_dir, hashes)
        from agent import app

        gc.collect()  # what was read of the files: the daemon takes its place
        options = {"use_uvloop": _has_uvloop()}
        anyio.run(app.run, plan, backend="asyncio", backend_options=options)


def _planned(file: Path, state_dir: Path | None, settings: Sequence[str]) -> tuple[Plan, set[str]]:
    """What a file says is to run, and the hashes of its model files; what would be better about it is logged. A model
    that cannot be used is absent: the rest runs."""
    from agent.config.advice import advice
    from agent.config.plan import plan

    found = loaded(file, state_dir, chosen(settings), lenient=True)
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
