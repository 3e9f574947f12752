"""The loops of the sink: connect, say hello, publish what the journal holds, and mark it sent once acknowledged."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio

from agent.core.nouns import Catalogue
from agent.runtime import clock, meters
from agent.runtime.journal import Cursor, Record
from agent.runtime.supervise import Backoff
from agent.runtime.together import together
from agent.sinks.mqtt import Config, payload
from agent.sinks.mqtt.link import Link, connected
from agent.sinks.mqtt.payload import Message

if TYPE_CHECKING:
    from agent.runtime.taps import Taps

log = logging.getLogger(__name__)

CLASSES = ("event", "summary")  # in this order where both wait
TURN_S = 1.0
GOODBYE_S = 2.0
BACKOFF = Backoff(first_s=0.5, longest_s=20.0)  # spread to 30 s at most
STEADY_S = 30.0


async def run(config: Config, taps: Taps) -> None:
    """See `agent.sinks.mqtt.run`."""
    counters = meters.current()
    for name in ("published", "acknowledged", "errors", "reconnects"):
        counters.add(f"{config.id}/{name}", 0)
    async with anyio.create_task_group() as group:
        # Before any connection: what waits is counted, and retention knows that somebody wants it.
        group.start_soon(_turn, config.id, taps.journal(config.id, CLASSES))
        await _reconnecting(config, taps)
        group.cancel_scope.cancel()


async def _turn(name: str, cursor: Cursor) -> None:
    while True:
        meters.current().turn(name)
        meters.current().set(f"{name}/pending", cursor.pending)
        await anyio.sleep(TURN_S)


async def _reconnecting(config: Config, taps: Taps) -> None:
    """One session after another, until one ends because everything is sent."""
    counters, failures = meters.current(), 0
    counters.set(f"{config.id}/connected", 0)
    while True:
        started_ns = clock.now_ns()
        try:
            await _Session(config, taps).run()
        except OSError as error:
            failures = 1 if clock.now_ns() - started_ns > STEADY_S * 1e9 else failures + 1
            counters.add(f"{config.id}/errors")
            log.log(logging.WARNING if failures == 1 else logging.DEBUG, "%s: %s", config.id, error)
            await anyio.sleep(BACKOFF.wait_s(failures))
            counters.add(f"{config.id}/reconnects")
        else:
            return
        finally:
            counters.set(f"{config.id}/connected", 0)


class _Session:
    """One connection and the cursor that goes with it: what it leaves unacknowledged, the next one sends again."""

    def __init__(self, config: Config, taps: Taps) -> None:
        self._config, self._taps = config, taps
        self._prefix = config.prefix or f"edgetwin/{taps.gateway}"
        self._slots = anyio.Semaphore(config.max_in_flight)
        self._watching = anyio.CancelScope()
        self._born = anyio.Event()
        self._named: dict[str, str] = {}  # by asset, the key of the names told last

    async def run(self) -> None:
        status = f"{self._prefix}/status"
        client_id = self._config.client_id or self._taps.gateway
        async with connected(self._config, client_id, status, payload.OFFLINE) as link:
            meters.current().set(f"{self._config.id}/connected", 1)
            log.info("%s: connected to %s:%d", self._config.id, *self._config.where)
            await link.publish(status, payload.ONLINE, retain=True)
            try:
                await together(lambda: self._beside(link), lambda: self._send_all(link))
            finally:
                await _goodbye(link, status)

    async def _beside(self, link: Link) -> None:
        """What goes on until everything is sent."""
        with self._watching:
            await together(link.watch, lambda: self._births(link))

    async def _births(self, link: Link) -> None:
        """A birth for the catalogue, and for each that follows it."""
        async for noun in self._taps.latest():
            if isinstance(noun, Catalogue):
                await link.publish(f"{self._prefix}/birth", payload.birth(noun), retain=True)
                self._born.set()

    async def _send_all(self, link: Link) -> None:
        """Everything of the journal in its order, so many at once, until it drains. What is what comes first: birth."""
        await self._born.wait()
        cursor = self._taps.journal(self._config.id, CLASSES)
        async with anyio.create_task_group() as group:
            async for records in cursor:
                for record in records:
                    await self._slots.acquire()
                    config = self._config
                    said = payload.message(self._taps.gateway, record, config.figures, config.layout)
                    await self._name(link, record.asset, said)
                    group.start_soon(self._send, link, cursor, record, said.content)
        self._watching.cancel()

    async def _name(self, link: Link, asset: str, said: Message) -> None:
        """Before the first columns of an asset, and where their tags are others than before: which stands where."""
        if said.key and self._named.get(asset) != said.key:
            names = payload.names_of(self._taps.gateway, asset, said)
            await link.publish(f"{self._prefix}/names/{asset}", names, retain=True)
            self._named[asset] = said.key

    async def _send(self, link: Link, cursor: Cursor, record: Record, content: bytes) -> None:
        counters = meters.current()
        try:
            topic = f"{self._prefix}/{record.class_}/{record.asset}"
            counters.add(f"{self._config.id}/published")
            await link.publish(topic, content)
        finally:
            self._slots.release()
        await cursor.acknowledge([record])
        counters.add(f"{self._config.id}/acknowledged")


async def _goodbye(link: Link, status: str) -> None:
    """Say so before going of our own will: a broker does not send the will of a client that leaves properly."""
    with anyio.move_on_after(GOODBYE_S, shield=True):
        try:
            await link.publish(status, payload.OFFLINE, retain=True)
        except OSError as error:
            log.debug("no goodbye: %s", error)
