"""Finds the daemon's feed, and takes one full state from it."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from agent.cli.telling import fail
from agent.core.nouns import Answer, Catalogue, Event, Request, Snapshot
from agent.runtime import clock
from agent.sinks.feed.client import Feed, connect

DEFAULT = Path("/var/lib/edgetwin/feed.sock")
T = TypeVar("T")


def socket_of(file: Path | None, socket: Path | None, state_dir: Path | None) -> Path:
    """The feed socket: as given, else as the configuration file says, else the usual place."""
    if socket is not None:
        return socket
    if file is not None:
        from agent.cli.configuration import planned

        return planned(file, state_dir, {}).feed_socket
    return state_dir / "feed.sock" if state_dir is not None else DEFAULT


def sync(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine; a daemon that is not there ends the command with exit 3."""
    try:
        return asyncio.run(main())
    except ConnectionError as error:
        fail(f"{error}. Start one with: edgetwin run FILE", 3)


async def full_state(path: Path, timeout_s: float = 5.0) -> tuple[Catalogue, dict[str, Snapshot]]:
    """The catalogue and the newest snapshot of each asset; those that do not come within the time are left out."""
    catalogue: Catalogue | None = None
    snapshots: dict[str, Snapshot] = {}
    async with connect(path) as feed:
        try:
            async with asyncio.timeout(timeout_s):
                async for noun in feed:
                    if isinstance(noun, Catalogue):
                        catalogue = noun
                    else:
                        snapshots[noun.asset] = noun
                    if catalogue and len(snapshots) == len(catalogue.parts):
                        break
        except TimeoutError:
            pass
    if catalogue is None:
        raise ConnectionError(f"the daemon on {path} gives no catalogue")
    return catalogue, snapshots


async def ask(path: Path, do: str, target: str, args: dict[str, str]) -> Answer:
    """Ask the daemon for something as this user."""
    async with connect(path) as feed:
        return await _asked(feed, do, target, args)


async def done(
    path: Path,
    do: str,
    asset: str,
    args: dict[str, str],
    is_outcome: Callable[[Event], bool],
    timeout_s: float = 10.0,
    target: str = "",
) -> tuple[Answer, Event | None]:
    """Ask for something of an asset (of `target` in it), and wait for the event that says what the engine made of it
    (None: none came)."""
    async with connect(path) as feed:
        asked_ns = clock.now_ns()
        answer = await _asked(feed, do, target or asset, args)
        if not answer.ok:
            return answer, None
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                async for noun in feed:
                    if isinstance(noun, Snapshot) and noun.asset == asset and noun.t_ns > asked_ns:
                        for event in filter(is_outcome, noun.events):
                            return answer, event
        return answer, None


async def _asked(feed: Feed, do: str, target: str, args: dict[str, str]) -> Answer:
    request = Request(f"cli-{id(feed):x}", do, target, getpass.getuser(), args)
    async with asyncio.timeout(5.0):
        return await feed.ask(request)
