"""The raw history around each alarm: what every tag did before and after it, sent once it is all in the journal.

An event counts as done, in the journal's own acknowledgements of the destination `<id>/raw`, when its window is sent: a
window cut short by a stop, a power cut or a broken line is sent by the next run. Windows are sent one after the other,
one block at a time on its way, paced as the backlog is: what is new waits for one block at most.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

import anyio

from agent.core import wire
from agent.core.nouns import Event
from agent.runtime import clock, meters
from agent.runtime.journal import Record, StoreError
from agent.sinks.mqtt import Config, bucket, raw
from agent.sinks.mqtt.form import Form
from agent.sinks.mqtt.link import Link
from agent.sinks.mqtt.sending import BURST_S, say
from agent.store.read import Reader
from agent.store.record import EVENT

if TYPE_CHECKING:
    from agent.runtime.taps import Taps

log = logging.getLogger(__name__)

PATIENCE_S = 60.0
LOOK_S = 1.0
REMEMBERED = 1024  # blocks sent on this connection


class Around:
    """The windows of one connection."""

    def __init__(self, config: Config, taps: Taps, said_as: Form, link: Link) -> None:
        """Nothing is sent yet."""
        self._config, self._taps, self._form, self._link = config, taps, said_as, link
        self._sent: OrderedDict[int, None] = OrderedDict()
        rate = config.backlog_bytes_per_s
        self._bucket = bucket.full(rate, BURST_S * rate, clock.now_ns())

    async def run(self) -> None:
        """Until the journal drains, where windows are asked for."""
        wished = self._config.raw_around_event
        if wished is None or self._form.raw is None:
            return
        cursor = self._taps.journal(f"{self._config.id}/raw", (EVENT,))
        async for records in cursor:
            for record in records:
                if concerns(record, wished.categories):
                    await self._passed(record, wished.after_s)
                    span_ns = round(wished.before_s * 1e9), round(wished.after_s * 1e9)
                    await self.send(record.asset, record.wall_ns - span_ns[0], record.wall_ns + span_ns[1])
                cursor.acknowledge([record])

    async def send(self, asset: str, start_ns: int, end_ns: int) -> None:
        """Send the blocks of a window that this connection did not send lately."""
        try:
            async for block in raw.window(self._taps, asset, start_ns, end_ns):
                if block.record not in self._sent:
                    await self.publish(asset, block.content)
                    self._remember(block.record)
        except StoreError as error:
            log.warning("%s: no raw history of %s: %s", self._config.id, asset, error)

    async def publish(self, asset: str, content: bytes) -> None:
        """One block, at the pace of what is stored."""
        outs = () if self._form.raw is None else self._form.raw(asset, content)
        await say(self._link, outs)
        meters.current().add(f"{self._config.id}/raw_blocks")
        await self.pace(sum(len(out.payload) for out in outs))

    async def pace(self, size: int) -> None:
        """Wait until so many bytes more than were sent may follow."""
        self._bucket, wait_s = bucket.taken(self._bucket, size, clock.now_ns())
        await anyio.sleep(wait_s)

    def _remember(self, record: int) -> None:
        self._sent[record] = None
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)

    async def _passed(self, record: Record, after_s: float) -> None:
        """Wait until what comes after an event has come, or no more can, and is in the history."""
        due_ns = record.t_ns + round(after_s * 1e9)
        if record.boot != clock.boot_id():
            return
        while (left_ns := due_ns - clock.now_ns()) > 0 and not self._taps.records.draining:
            with anyio.move_on_after(min(left_ns * 1e-9, LOOK_S)):
                await self._taps.records.news.wait()
        await self.stored(record.asset, due_ns)

    async def stored(self, asset: str, until_ns: int) -> None:
        """Have the history written as far as that time of the boot clock: the journal keeps blocks open for a while."""
        try:
            newest = await self._taps.records.read(partial(_newest, asset))
        except StoreError:
            newest = None
        reaches = newest is not None and newest.boot == clock.boot_id() and newest.end_ns >= until_ns
        if not reaches and not self._taps.records.draining:
            with anyio.move_on_after(PATIENCE_S):  # of a disk that hangs
                await self._taps.records.flush()


def _newest(asset: str, reader: Reader) -> Record | None:
    records = reader.back(asset, 1 << 62).records
    return records[0] if records else None


def concerns(record: Record, categories: tuple[str, ...]) -> bool:
    """Whether the event of a record is the beginning of such a condition."""
    if record.kind != "event":
        return False
    try:
        event = wire.decode(Event, record.body)
    except wire.WireError:
        return False
    return event.change == "raised" and event.condition is not None and event.condition.category in categories
