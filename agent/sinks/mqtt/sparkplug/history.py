"""What nobody could be told at its time, told later as historical: from the raw history, by cursor.

Of each device, what the journal has from before its birth on this connection was lived through without a listener; what
is younger was told as it happened. So a block is told, or found to be told, and then acknowledged; and since data are
QoS 0, not before the broker has answered something that was asked after it. What a broken connection swallowed is
therefore told again on the next one: twice sometimes, never not.

A block is told by the layout that its points had at its time: what is called and is as it is now, whatever else stood
there then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio
import numpy as np
import numpy.typing as npt
from anyio import to_thread

from agent.core import quality, wire
from agent.core.nouns import Point, Snapshot
from agent.runtime import clock, meters
from agent.runtime.journal import StoreError
from agent.sinks.mqtt import Config
from agent.sinks.mqtt.bucket import full, taken
from agent.sinks.mqtt.sparkplug import changes
from agent.sinks.mqtt.sparkplug.changes import Reading, Told
from agent.sinks.mqtt.sparkplug.metrics import Device
from agent.store import blocks
from agent.store.record import BLOCK, RAW, Record

if TYPE_CHECKING:
    from agent.runtime.journal import Cursor
    from agent.runtime.taps import Taps
    from agent.sinks.mqtt.sparkplug.node import Node
    from agent.store.read import Reader

log = logging.getLogger(__name__)

MOST_AT_ONCE = 500  # metrics of a message
FOREVER = 1 << 63
READ_AGAIN_S = 1.0

# The status of a point that was not there then; its value is not told.
NEVER = quality.BAD_CONFIGURATION_ERROR | 0xFFFF

Layouts = Sequence[tuple[int, Sequence[Point]]]


@dataclass(slots=True)
class History:
    """Of one connection. `told`: what was told of each device so far, oldest first."""

    config: Config
    taps: Taps
    node: Node
    told: dict[str, Told] = field(default_factory=dict)
    layouts: dict[str, Layouts] = field(default_factory=dict)

    async def run(self) -> None:
        """Until the journal drains and all is told; with `history: off` for ever."""
        said = self.config.sparkplug
        if said is None or said.history == "off":
            await anyio.sleep_forever()
            return
        rate = said.history_values_per_s
        bucket = full(rate, rate, clock.now_ns())
        cursor = self.taps.journal(self.config.id, (RAW,))
        async for records in cursor:
            done = []
            for record in records:
                readings = await self._readings(record, said.history_s)
                if readings and record.asset not in self.node.told:
                    continue  # there is no device to tell of: on the next connection
                for at in range(0, len(readings), MOST_AT_ONCE):
                    portion = readings[at : at + MOST_AT_ONCE]
                    await self.node.history(record.asset, portion)
                    meters.current().add(f"{self.config.id}/historical", len(portion))
                    bucket, wait_s = taken(bucket, len(portion), clock.now_ns())
                    await anyio.sleep(wait_s)
                done.append(record)
            await self._sure(cursor, done)

    async def _sure(self, cursor: Cursor, records: Sequence[Record]) -> None:
        """What was handed over has come to the broker: so these need not be told again."""
        await self.node.link.there_and_back()
        cursor.acknowledge(records)
        meters.current().add(f"{self.config.id}/acknowledged", len(records))

    async def _readings(self, record: Record, history_s: float) -> list[Reading]:
        """What of a record is still to be told."""
        born_ns = self._born_ns(record)
        if record.t_ns >= born_ns or record.kind != BLOCK:
            return []
        points = await self._points(record)
        old = clock.wall_ns() - record.wall_ns > history_s * 1e9
        if points is None or old or record.clock == "unknown":
            meters.current().add(f"{self.config.id}/untold", record.n)
            return []
        untold = partial(self._untold, record, points, born_ns)
        return await to_thread.run_sync(lambda: list(untold()))  # a minute of 1000 tags takes 50 ms

    def _born_ns(self, record: Record) -> int:
        """Since when, on the clock of the record, its device is told of as things happen."""
        here = record.boot == clock.boot_id()
        return self.node.born_ns.get(record.asset, FOREVER) if here else FOREVER

    async def _points(self, record: Record) -> Sequence[Point] | None:
        """Those of its snapshots, in their order; None where that is not known, or nothing is told of its asset."""
        if record.asset not in self.node.naming.devices:
            return None

        def ask(reader: Reader) -> Layouts:
            return reader.layouts(record.asset)

        while record.asset not in self.layouts:
            try:
                self.layouts[record.asset] = await self.taps.records.read(ask)
            except StoreError as error:  # of our disk: no reason to leave the host
                log.debug("%s: %s", self.config.id, error)
                await anyio.sleep(READ_AGAIN_S)
        layouts = reversed(self.layouts[record.asset])
        return next((points for first, points in layouts if first < record.id), None)

    def _untold(self, record: Record, points: Sequence[Point], born_ns: int) -> Iterator[Reading]:
        """What of the snapshots of a block is from before the device was born, and differs from the one before."""
        device = self.node.naming.devices[record.asset]
        rows, born = device.rows(points), self.node.told.get(record.asset)
        for message in _snapshots(record):
            try:
                snapshot = wire.decode(Snapshot, message)
            except wire.WireError as error:  # of another version
                log.debug("%s: raw history %d of %s: %s", self.config.id, record.seq, record.asset, error)
                meters.current().add(f"{self.config.id}/untold")
                continue
            if snapshot.t_ns >= born_ns:
                return
            if snapshot.last or not changes.heard(device, aligned := _aligned(snapshot, rows, born)):
                self.told.pop(record.asset, None)
            else:
                yield from (r for r in self._news(record, device, aligned) if r.status != NEVER)

    def _news(self, record: Record, device: Device, snapshot: Snapshot) -> list[Reading]:
        offset_ns = record.wall_ns - record.t_ns
        told, aliases = self.told.get(record.asset), self.node.naming.aliases
        if told is None or not changes.same_metrics(told, snapshot):
            self.told[record.asset], readings = changes.everything(device, snapshot, aliases, offset_ns)
        else:
            self.told[record.asset], readings = changes.differing(device, told, snapshot, aliases, offset_ns)
        return readings


def _aligned(snapshot: Snapshot, rows: npt.NDArray[np.intp], born: Told | None) -> Snapshot:
    """With the points of now: `rows` are theirs in the snapshot, -1 for those that it does not have. And with those of
    its conditions that were born: of others a host knows nothing."""
    there = rows >= 0
    return replace(
        snapshot,
        value=np.where(there, snapshot.value[rows], np.nan),
        status=np.where(there, snapshot.status[rows], NEVER).astype(np.uint32),
        time_ns=np.where(there, snapshot.time_ns[rows], 0),
        source_ns=np.where(there, snapshot.source_ns[rows], 0),
        conditions=tuple(c for c in snapshot.conditions if born is not None and c.id in born.conditions),
        texts={now: snapshot.texts[then] for now, then in enumerate(rows.tolist()) if then in snapshot.texts},
        arrays={now: snapshot.arrays[then] for now, then in enumerate(rows.tolist()) if then in snapshot.arrays},
    )


def _snapshots(record: Record) -> list[bytes]:
    """Those of a block; none where it cannot be read, which the journal counts as damage."""
    try:
        return [message for kind, _, message in blocks.unpack(record.body) if kind == "snapshot"]
    except ValueError as error:
        log.warning("raw history %d of %s cannot be read: %s", record.seq, record.asset, error)
        return []
