"""What nobody could be told at its time, told later as historical: from the raw history, by cursor.

Of each device, what the journal has from before its birth on this connection was lived through without a listener; what
is younger was told as it happened. So a block is told, or found to be told, and then acknowledged; and since data are
QoS 0, not before the broker has answered something that was asked after it. What a broken connection swallowed is
therefore told again on the next one: twice sometimes, never not.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from agent.core import wire
from agent.core.nouns import Snapshot
from agent.runtime import clock, meters
from agent.sinks.mqtt import Config
from agent.sinks.mqtt.bucket import full, taken
from agent.sinks.mqtt.sparkplug import changes
from agent.sinks.mqtt.sparkplug.bdseq import Kept
from agent.sinks.mqtt.sparkplug.changes import Reading, Told
from agent.sinks.mqtt.sparkplug.metrics import Aliases, Device
from agent.store import blocks
from agent.store.record import BLOCK, RAW, Record

if TYPE_CHECKING:
    from agent.runtime.taps import Taps
    from agent.sinks.mqtt.sparkplug.node import Node

log = logging.getLogger(__name__)

MOST_AT_ONCE = 500  # metrics of a message
FOREVER = 1 << 63


@dataclass(slots=True)
class History:
    """Carries from one connection to the next up to where raw history has a layout of before: none of that is told."""

    config: Config
    taps: Taps
    kept: Kept
    passed: Callable[[], Awaitable[None]]  # called once there is none left
    _told: dict[str, Told] = field(default_factory=dict)

    async def run(self, node: Node) -> None:
        """Until the journal drains and all is told (with `history: off` at once for ever)."""
        said = self.config.sparkplug
        if said is None or said.history == "off":
            await anyio.sleep_forever()
            return
        self._told.clear()
        rate = said.history_values_per_s
        bucket = full(rate, rate, clock.now_ns())
        cursor = self.taps.journal(self.config.id, (RAW,))
        async for records in cursor:
            done = []
            for record in records:
                await self._look(record)
                messages = await to_thread.run_sync(_unpacked, record) if self._wanted(record, node) else []
                readings = list(self._untold(record, messages, node))
                if readings and record.asset not in node.told:
                    continue  # there is no device to tell of: with the next connection
                for at in range(0, len(readings), MOST_AT_ONCE):
                    portion = readings[at : at + MOST_AT_ONCE]
                    await node.history(record.asset, portion)
                    meters.current().add(f"{self.config.id}/historical", len(portion))
                    bucket, wait_s = taken(bucket, len(portion), clock.now_ns())
                    await anyio.sleep(wait_s)
                done.append(record)
            await node.link.there_and_back()
            await cursor.acknowledge(done)
            meters.current().add(f"{self.config.id}/acknowledged", len(done))

    async def _look(self, record: Record) -> None:
        """Whether records have the layout of now."""
        kept, here = self.kept, clock.boot_id()
        if kept.boot and ((record.boot == kept.boot and record.t_ns >= kept.t_ns) or record.boot == here != kept.boot):
            self.kept = Kept(kept.bdseq, kept.layout)
            await self.passed()

    def _wanted(self, record: Record, node: Node) -> bool:
        """Whether there may be anything in it to tell."""
        born_ns = node.born_ns.get(record.asset)
        if record.boot == clock.boot_id() and born_ns is not None and record.t_ns >= born_ns:
            return False
        known = record.asset in node.naming.devices and record.clock != "unknown" and not self.kept.boot
        if not known:
            self._pass_over(record.n)
        return known and record.kind == BLOCK

    def _untold(self, record: Record, messages: Sequence[bytes], node: Node) -> Iterator[Reading]:
        """What of the snapshots of a block is from before the device was born, and differs from the one before."""
        born_ns = node.born_ns.get(record.asset, FOREVER) if record.boot == clock.boot_id() else FOREVER
        device = node.naming.devices.get(record.asset)
        for message in messages:
            try:
                snapshot = wire.decode(Snapshot, message)
            except wire.WireError as error:
                log.warning("%s: raw history %d of %s: %s", self.config.id, record.seq, record.asset, error)
                self._pass_over(1)
                continue
            if snapshot.t_ns >= born_ns:
                return
            if device is None or snapshot.epoch != device.epoch or len(snapshot.value) != len(device.metrics):
                self._pass_over(1)
            elif snapshot.last or not changes.heard(device, snapshot):
                self._told.pop(record.asset, None)
            else:
                yield from self._news(record, device, snapshot, node.naming.aliases)

    def _news(self, record: Record, device: Device, snapshot: Snapshot, aliases: Aliases) -> list[Reading]:
        def wall(t_ns: int) -> int:
            return (record.wall_ns + t_ns - record.t_ns) // 1_000_000

        told = self._told.get(record.asset)
        if told is None or not changes.same_metrics(told, snapshot):
            self._told[record.asset], readings = changes.everything(device, snapshot, aliases, wall)
        else:
            self._told[record.asset], readings = changes.differing(device, told, snapshot, aliases, wall)
        return readings

    def _pass_over(self, count: int) -> None:
        meters.current().add(f"{self.config.id}/untold", count)


def _unpacked(record: Record) -> list[bytes]:
    """The snapshots of a block as messages; none where it cannot be read."""
    try:
        return [message for kind, _, message in blocks.unpack(record.body) if kind == "snapshot"]
    except ValueError as error:
        log.warning("raw history %d of %s cannot be read: %s", record.seq, record.asset, error)
        return []
