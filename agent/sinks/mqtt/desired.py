"""From the cloud: which version this gateway of a fleet is to run. Every answer stands, retained, in `reported`.

in    <prefix>/desired                          a bundle, its files with it where they are small
      <prefix>/desired/file/<sha256>/<number>   a piece of a file (64 KiB): asked for once a key that is trusted here
                                                has signed for that file
out   <prefix>/reported                         {desired, running, state, reason, missing, models, drift, ...}

All of them are retained: whoever was away finds them.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from agent.control.deploy.manifest import File
from agent.control.deploy.shelf import Shelf
from agent.core.nouns import Request
from agent.runtime import clock
from agent.runtime.pki import making
from agent.runtime.reported import Reported
from agent.runtime.together import together
from agent.sinks.mqtt import Ask, Config
from agent.sinks.mqtt.form import prefix_of
from agent.sinks.mqtt.link import Link

if TYPE_CHECKING:
    from agent.runtime.taps import Taps

log = logging.getLogger(__name__)

LARGEST_MESSAGE = 1_000_000  # of a bundle; what is beyond is not read, and no bundle then
AGAIN_NS = 600 * 10**9  # what was refused, and comes again with each connection, is judged again after so long
NAME = "cloud.bundle"


async def run(config: Config, taps: Taps, ask: Ask, link: Link) -> None:
    """Listen and report as long as this connection lives; where the gateway manages itself, there is nothing to do."""
    if taps.fleet is None:
        await anyio.sleep_forever()
        return
    prefix, offers = prefix_of(config, taps.gateway), _Offers(taps.fleet, ask, f"cloud:{taps.gateway}")
    await link.subscribe(f"{prefix}/desired", offers.take)
    fleet = taps.fleet
    await together(
        offers.run,
        lambda: _reporting(fleet, link, f"{prefix}/reported"),
        lambda: _fetching(fleet, link, prefix, offers),
    )


async def _reporting(fleet: Reported, link: Link, topic: str) -> None:
    async for tree in fleet.latest():
        await link.publish(topic, json.dumps(tree).encode(), retain=True)


class _Offers:
    """The newest bundle that came, until it is handed in."""

    def __init__(self, fleet: Reported, ask: Ask, user: str) -> None:
        self._fleet, self._ask, self._user = fleet, ask, user
        self._payload = b""
        self._news = anyio.Event()

    def take(self, topic: str, payload: bytes) -> None:
        """A newer one takes the place of one that was not looked at yet; an empty one takes nothing back."""
        if payload:
            self._payload = payload[:LARGEST_MESSAGE]
            self._news.set()

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            await self.hand_in()

    async def hand_in(self, again: bool = False) -> None:
        """Put it where the gate finds it, and ask. What was decided, and comes with each connection, is left alone."""
        payload = self._payload
        digest, until_ns = hashlib.sha256(payload).hexdigest(), self._fleet.offered[1]
        if not payload or (digest == self._fleet.offered[0] and clock.now_ns() < until_ns and not again):
            return
        await to_thread.run_sync(making.put, self._fleet.incoming / NAME, payload, 0o640)
        answer = await self._ask(Request(f"desired-{digest[:16]}", "apply", NAME, self._user))
        self._fleet.offered = (digest, clock.now_ns() + (AGAIN_NS if not answer.ok else 2**62))


async def _fetching(fleet: Reported, link: Link, prefix: str, offers: _Offers) -> None:
    """The files that the newest manifest still misses; another list of them ends the wait for those before."""
    wanted: Sequence[Mapping[str, Any]] = ()
    scope = anyio.CancelScope()
    async with anyio.create_task_group() as group:
        async for tree in fleet.latest():
            if tree["missing"] == wanted:
                continue
            wanted = tree["missing"]
            scope.cancel()
            scope = anyio.CancelScope()
            if wanted:
                files = [File(each["path"], each["sha256"], each["size"]) for each in wanted]
                group.start_soon(_fetch, scope, Shelf(fleet.incoming.parent), link, prefix, files, offers)


async def _fetch(
    scope: anyio.CancelScope, shelf: Shelf, link: Link, prefix: str, files: Sequence[File], offers: _Offers
) -> None:
    with scope:
        for file in files:
            pieces = _Pieces(file)
            await link.subscribe(f"{prefix}/desired/file/{file.sha256}/+", pieces.take)
            while not await pieces.stored(shelf):
                pass
        await offers.hand_in(again=True)


class _Pieces:
    """What has come of one file: never more in memory than its pieces."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._waiting: deque[tuple[int, bytes]] = deque(maxlen=max(1, file.chunks))
        self._had: set[int] = set()
        self._news = anyio.Event()

    def take(self, topic: str, payload: bytes) -> None:
        number = topic.rpartition("/")[2]
        if payload and number.isdecimal() and len(number) < 8 and int(number) not in self._had:
            self._waiting.append((int(number), payload))
            self._news.set()

    async def stored(self, shelf: Shelf) -> bool:
        """Store what waits; whether the file is whole. A piece that is none, or a file that is another one, is told."""
        if len(self._had) < self._file.chunks:
            await self._news.wait()
        self._news = anyio.Event()
        try:
            while self._waiting:
                number, content = self._waiting.popleft()
                await to_thread.run_sync(shelf.put_chunk, self._file, number, content)
                self._had.add(number)
            if len(self._had) == self._file.chunks:
                await to_thread.run_sync(shelf.put_together, self._file)
                return True
        except ValueError as error:
            log.warning("desired: %s", error)
            self._had.clear()
        return False
