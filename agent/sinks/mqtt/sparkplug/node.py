"""What was told on one connection, and how the next message is numbered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

import anyio
from anyio import to_thread

from agent.control.gate import GATEWAY
from agent.core.nouns import Catalogue, Snapshot
from agent.runtime import clock, meters
from agent.sinks.mqtt import Config
from agent.sinks.mqtt.link import Link
from agent.sinks.mqtt.sparkplug import changes, metrics, payload
from agent.sinks.mqtt.sparkplug.changes import Reading, Told
from agent.sinks.mqtt.sparkplug.metrics import Aliases, Device

NUMBERS = 256  # tck-id-payloads-sequence-num-incrementing
SLOWLY = 500  # so many metrics of a birth take the loop 10 ms: a thread makes it


def offset_ns() -> int:
    """UTC less the boot clock, as far as the clock knows now."""
    return clock.wall_ns() - clock.now_ns()


def now_ms() -> int:
    """UTC."""
    return clock.wall_ns() // changes.MS_NS


@dataclass(slots=True)
class Naming:
    """What things are called on the wire, on every connection: topics, metrics, aliases."""

    group: str
    node: str
    gateway: str
    devices: Mapping[str, Device]
    aliases: Aliases

    @classmethod
    def of(cls, config: Config, gateway: str, catalogue: Catalogue) -> Naming:
        """The names of this sink for a catalogue."""
        said = config.sparkplug
        assert said is not None  # the configuration sees to it
        devices, aliases = metrics.devices(catalogue), Aliases(len(catalogue.points) + 1)
        return cls(said.group_id, said.edge_node_id or gateway, gateway, devices, aliases)

    def take(self, catalogue: Catalogue) -> None:
        """Another catalogue: its points have other aliases, and so have conditions."""
        self.devices, self.aliases = metrics.devices(catalogue), Aliases(len(catalogue.points) + 1)

    def topic(self, verb: str, device: str = "") -> str:
        """Of a message of the node, or of one of its devices; NCMD, DDATA and so on are verbs."""
        return "/".join(filter(None, ("spBv1.0", self.group, verb, self.node, device)))

    def named(self, alias: int) -> str:
        """A metric by its alias, with its device."""
        points = ((m.alias, f"{name}/{m.name}") for name, device in self.devices.items() for m in device.metrics)
        given = ((number, name) for name, number in self.aliases.given.items())
        return next((name for number, name in chain(given, points) if number == alias), f"alias {alias}")


@dataclass(slots=True)
class Node:
    """One connection's births, data and deaths. Whoever sends holds `turn`: numbers must leave in their order.

    `told`: by asset, what the host knows of those alive; `born_ns`: since when it is told what happens to each.
    """

    config: Config
    naming: Naming
    link: Link
    bdseq: int
    turn: anyio.Lock = field(default_factory=anyio.Lock)
    told: dict[str, Told] = field(default_factory=dict)
    born_ns: dict[str, int] = field(default_factory=dict)
    sent_ns: dict[str, int] = field(default_factory=dict)
    born_at_ns: int = 0
    _next: int = 0

    async def births(self, newest: Mapping[str, Snapshot]) -> None:
        """NBIRTH, then DBIRTH of each device that is there."""
        naming, own = self.naming, newest.get(GATEWAY)
        self._next, self.born_at_ns = 0, clock.now_ns()
        alive = {a: s for a, s in newest.items() if a in naming.devices and changes.heard(naming.devices[a], s)}
        self.told = {asset: told for asset, told in self.told.items() if asset in alive}
        readings = self._everything(GATEWAY, own) if own is not None else []
        at_ms = now_ms()
        make = partial(payload.node_birth, self.bdseq, payload.controls(at_ms), readings, at_ms)
        await self._send("NBIRTH", "", lambda _: make(), len(readings))
        meters.current().add(f"{self.config.id}/births")
        for asset, snapshot in alive.items():
            if asset != GATEWAY:
                await self.device_birth(snapshot)

    async def device_birth(self, snapshot: Snapshot) -> None:
        """DBIRTH."""
        readings = self._everything(snapshot.asset, snapshot)
        at_ms = now_ms()
        await self._send("DBIRTH", snapshot.asset, lambda n: payload.device_birth(n, readings, at_ms), len(readings))

    async def device_death(self, asset: str) -> None:
        """DDEATH: nothing is heard of it."""
        self.told.pop(asset, None)
        at_ms = now_ms()
        await self._send("DDEATH", asset, lambda n: payload.device_death(n, at_ms))

    async def news(self, snapshot: Snapshot) -> None:
        """DDATA or NDATA, where a host has to be told anything to know this snapshot."""
        asset, naming = snapshot.asset, self.naming
        device = naming.devices[asset]
        told, readings = changes.differing(device, self.told[asset], snapshot, naming.aliases, offset_ns())
        self.told[asset] = told
        if readings:
            self.sent_ns[asset] = snapshot.t_ns
            await self._data(asset, readings)

    async def history(self, asset: str, readings: Sequence[Reading]) -> None:
        """Readings of long ago, of metrics that are born; waits for its turn."""
        async with self.turn:
            await self._data(asset, readings, historical=True)

    async def _data(self, asset: str, readings: Sequence[Reading], historical: bool = False) -> None:
        verb, device = ("NDATA", "") if asset == GATEWAY else ("DDATA", asset)
        at_ms = now_ms()
        await self._send(verb, device, lambda n: payload.data(n, readings, at_ms, historical), len(readings))

    async def death(self) -> None:
        """NDEATH, before going of our own will: the host need not wait for the broker to miss us."""
        said = payload.death(self.bdseq, now_ms())
        await self.link.publish(self.naming.topic("NDEATH"), said)

    def _everything(self, asset: str, snapshot: Snapshot) -> list[Reading]:
        naming = self.naming
        told, readings = changes.everything(naming.devices[asset], snapshot, naming.aliases, offset_ns())
        self.told[asset] = told
        self.born_ns.setdefault(asset, snapshot.t_ns)
        return readings

    async def _send(self, verb: str, device: str, make: Callable[[int], bytes], metrics_in_it: int = 0) -> None:
        """A number is used once its message is handed over; if that fails, so does the connection."""
        slow = metrics_in_it > SLOWLY and verb in ("NBIRTH", "DBIRTH")
        said = await to_thread.run_sync(make, self._next) if slow else make(self._next)
        self._next = (self._next + 1) % NUMBERS
        await self.link.publish_once(self.naming.topic(verb, device), said)
        meters.current().add(f"{self.config.id}/published")
