"""One connection: subscribe, wait for the primary host, be born, tell what changes, die."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from agent.control.gate import GATEWAY
from agent.core.nouns import Catalogue, Snapshot
from agent.runtime import clock, meters
from agent.runtime.together import together
from agent.sinks.mqtt import Ask, Config
from agent.sinks.mqtt.link import Link
from agent.sinks.mqtt.sparkplug import changes, commands
from agent.sinks.mqtt.sparkplug.history import History
from agent.sinks.mqtt.sparkplug.host import Primary, State
from agent.sinks.mqtt.sparkplug.node import Naming, Node

if TYPE_CHECKING:
    from agent.runtime.taps import Taps

log = logging.getLogger(__name__)

FIRST_NS = 5_000_000_000  # so long births wait for a snapshot of every asset
GOODBYE_S = 2.0
MOST_WAITING = 64  # messages with commands


class Session:
    """What happens on one connection, until it is lost (an OSError), the host goes (HostAway) or the daemon drains."""

    def __init__(
        self, config: Config, taps: Taps, ask: Ask, naming: Naming, link: Link, bdseq: int, host_ms: int
    ) -> None:
        """`bdseq` is that of the will; `host_ms` the newest time stamp of the primary host on this broker, -1: none."""
        assert config.sparkplug is not None  # the configuration sees to it
        self._config, self._said, self._taps, self._ask, self._link = config, config.sparkplug, taps, ask, link
        self._node = Node(config, naming, link, bdseq)
        self._due_ns = 0  # births, whoever is missing
        self._born = anyio.Event()
        self._again = anyio.Event()
        self.host = Primary(self._said.primary_host or "", State(False, host_ms))
        self._orders, self._inbox = anyio.create_memory_object_stream[tuple[str, bytes]](MOST_WAITING)
        self._refused = 0

    async def run(self) -> None:
        """See the class."""
        with self._orders, self._inbox, anyio.CancelScope() as connection:

            async def live() -> None:
                await self._subscribe()
                await self.host.there(self._said.host_wait_s if len(self._config.places) > 1 else None)
                async with self._dying():
                    await self._live()
                connection.cancel()

            await together(self._link.watch, live)

    async def _live(self) -> None:
        """From birth to death; ends when the daemon drains and all history is told."""
        with anyio.CancelScope() as life:

            async def history() -> None:
                await self._born.wait()
                await History(self._config, self._taps, self._node).run()
                life.cancel()

            await together(self.host.gone, self._follow, self._be_born_again, self._obey, history)

    @asynccontextmanager
    async def _dying(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if self._node.born_at_ns:
                with anyio.move_on_after(GOODBYE_S, shield=True):
                    try:
                        await self._node.death()
                    except OSError as error:
                        log.debug("%s: no goodbye: %s", self._config.id, error)

    async def _subscribe(self) -> None:
        """Before anything is published; to commands for devices too, so that they are refused and not just unheard."""
        topic = self._node.naming.topic
        if self.host.name:
            await self._link.subscribe(f"spBv1.0/STATE/{self.host.name}", self.host.take)
        await self._link.subscribe(topic("NCMD"), self._ordered)
        await self._link.subscribe(topic("DCMD", "+"), self._ordered)

    async def _follow(self) -> None:
        """Births once there is something to tell of every asset, then what changes."""
        node = self._node
        async for noun in self._taps.latest():
            async with node.turn:
                if isinstance(noun, Catalogue):
                    self._catalogue(noun)
                elif noun.asset in node.naming.devices and noun.epoch == node.naming.devices[noun.asset].epoch:
                    await self._snapshot(noun)

    def _catalogue(self, catalogue: Catalogue) -> None:
        """What was born before is not any more what is told of."""
        if any(device.epoch != catalogue.epoch for device in self._node.naming.devices.values()):
            self._node.naming.take(catalogue)
        self._node.told.clear()
        self._due_ns = clock.now_ns() + FIRST_NS

    async def _snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.last:
            return  # what it says of a stop, our death says too
        if not self._due_ns:
            await self._device(snapshot)
        elif len(self._newest()) == len(self._node.naming.devices) or clock.now_ns() > self._due_ns:
            self._due_ns = 0
            await self._node.births(self._newest())
            self._born.set()

    def _newest(self) -> dict[str, Snapshot]:
        """Of each asset that has one."""
        devices = self._node.naming.devices
        newest = self._taps.hub.newest.items()
        return {a: s for a, s in newest if a in devices and s.epoch == devices[a].epoch and not s.last}

    async def _device(self, snapshot: Snapshot) -> None:
        """Birth, news or death of one device."""
        node, asset = self._node, snapshot.asset
        there = asset == GATEWAY or changes.heard(node.naming.devices[asset], snapshot)
        told = node.told.get(asset)
        if told is None and there:
            await (node.births(self._newest()) if asset == GATEWAY else node.device_birth(snapshot))
        elif told is None:
            return
        elif not there:
            await node.device_death(asset)
        elif not changes.same_metrics(told, snapshot):
            await (node.births(self._newest()) if asset == GATEWAY else node.device_birth(snapshot))
        elif self._time_to_tell(snapshot):
            await node.news(snapshot)

    def _time_to_tell(self, snapshot: Snapshot) -> bool:
        said = self._said
        interval_s = said.node_interval_s if snapshot.asset == GATEWAY else said.interval_s
        return snapshot.t_ns - self._node.sent_ns.get(snapshot.asset, 0) >= interval_s * 1e9

    async def _be_born_again(self) -> None:
        """Each time a host asks, but not for each host that asks: from the question to the births no data is sent."""
        node = self._node
        while True:
            await self._again.wait()
            async with node.turn:
                since_s = (clock.now_ns() - node.born_at_ns) / 1e9
                await anyio.sleep(max(0.0, self._said.rebirth_debounce_s - since_s))
                self._again = anyio.Event()
                if not self._due_ns:
                    log.info("%s: born again, as a host asked for it", self._config.id)
                    await node.births(self._newest())

    def _ordered(self, topic: str, content: bytes) -> None:
        try:
            self._orders.send_nowait((topic, content))
        except anyio.WouldBlock:
            meters.current().add(f"{self._config.id}/refused")

    async def _obey(self) -> None:
        async for topic, content in self._inbox:
            own = topic == self._node.naming.topic("NCMD")
            try:
                asked = commands.read(content, own, self._node.naming.named)
            except ValueError as error:
                log.warning("%s: %s: %s", self._config.id, topic, error)
                meters.current().add(f"{self._config.id}/refused")
                continue
            if asked.rebirth:
                self._again.set()
            await self._refuse(asked, "" if own else topic.rpartition("/")[2])

    async def _refuse(self, asked: commands.Commands, device: str) -> None:
        """Whatever else is commanded: by way of the gate, which refuses and writes down."""
        for request in commands.requests(asked, device, self._taps.gateway, self._refused):
            answer = await self._ask(request)
            self._refused += 1
            meters.current().add(f"{self._config.id}/refused")
            log.log(logging.INFO, "%s: %s of %s: %s", self._config.id, request.do, request.target, answer.text)
