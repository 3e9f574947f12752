"""From the journal to the broker: what happens now, and beside it what is stored, at a bounded rate.

    journal --new-----> one slot each ------------------> publish -> acknowledge (or wait until it is confirmed)
            --stored--> half of the slots, token bucket ->

Events come before summaries in both. No more messages are on their way than there are slots, and what is stored never
has more than half of them: what is new waits for a few messages at most.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from agent.runtime import clock, meters
from agent.runtime.journal import Cursor, Record, StoreError
from agent.runtime.together import together
from agent.sinks.mqtt import Config, bucket
from agent.sinks.mqtt.confirming import MOST, Unconfirmed
from agent.sinks.mqtt.form import Form, Out, Said, prefix_of
from agent.sinks.mqtt.link import Link

if TYPE_CHECKING:
    from agent.runtime.taps import Taps

log = logging.getLogger(__name__)

CLASSES = ("event", "summary")  # in this order where both wait
BURST_S = 1.0
LOOK_S = 0.5


class Sending:
    """The sending of one connection."""

    def __init__(self, config: Config, taps: Taps, said_as: Form, unconfirmed: Unconfirmed | None, link: Link) -> None:
        """`unconfirmed`: where somebody else than the broker acknowledges."""
        self._config, self._taps, self._form, self._unconfirmed, self._link = config, taps, said_as, unconfirmed, link
        self._slots = anyio.Semaphore(config.max_in_flight)
        self._slots_of_stored = anyio.Semaphore(max(1, config.max_in_flight // 2))
        rate = config.backlog_bytes_per_s
        self._bucket = bucket.full(rate, BURST_S * rate, clock.now_ns())
        self._told: dict[str, bytes] = {}  # by topic, what was said last of what others rest on
        self._changed = anyio.Event()  # of what is unconfirmed

    async def run(self) -> None:
        """Until the journal drains and everything is acknowledged."""
        stored, new = self._taps.halves(self._config.id, CLASSES)
        if self._unconfirmed is None:
            await together(partial(self._send_new, new), partial(self._send_stored, stored))
            return
        await self._link.subscribe(f"{prefix_of(self._config, self._taps.gateway)}/stored", self._take_stored)
        with anyio.CancelScope() as scope:
            await together(partial(self._all_confirmed, stored, new, scope), self._send_again)

    async def _all_confirmed(self, stored: Cursor, new: Cursor, scope: anyio.CancelScope) -> None:
        await together(partial(self._send_new, new), partial(self._send_stored, stored))
        while self._unconfirmed:
            await self._changed.wait()
        scope.cancel()

    async def _send_new(self, cursor: Cursor) -> None:
        async with anyio.create_task_group() as group:
            async for records in cursor:
                for record in records:
                    await self._send(group, cursor, record)

    async def _send_stored(self, cursor: Cursor) -> None:
        async with anyio.create_task_group() as group:
            async for records in cursor:
                for record in records:
                    await self._slots_of_stored.acquire()
                    await self._paced(await self._send(group, cursor, record, self._slots_of_stored))

    async def _send(
        self, group: TaskGroup, cursor: Cursor, record: Record, slots: anyio.Semaphore | None = None
    ) -> int:
        """Bring a record on its way as soon as there is room for it; gives its bytes."""
        if self._unconfirmed is not None:
            if self._unconfirmed.knows(record, cursor):
                _release(slots)
                return 0
            while self._unconfirmed.full(MOST if slots is None else MOST // 2):
                await self._changed.wait()
        await self._slots.acquire()
        said = self._said(record)
        await self._tell(said.before)
        group.start_soon(self._publish, cursor, record, said.outs, slots)
        return sum(len(out.payload) for out in said.outs)

    def _said(self, record: Record) -> Said:
        """As the broker takes it: one record that is too large must not hold up all that follow."""
        said = self._form.record(record)
        if self._form.shorter is None or all(len(o.topic) + len(o.payload) <= self._link.largest for o in said.outs):
            return said
        meters.current().add(f"{self._config.id}/too_large")
        return self._form.shorter(record, self._link.largest)

    async def _tell(self, before: tuple[Out, ...]) -> None:
        for out in before:
            if self._told.get(out.topic) != out.payload:
                await say(self._link, (out,))
                self._told[out.topic] = out.payload

    async def _publish(
        self, cursor: Cursor, record: Record, outs: tuple[Out, ...], slots: anyio.Semaphore | None
    ) -> None:
        counters, done = meters.current(), False
        if self._unconfirmed is not None:
            self._unconfirmed.publishing(record, cursor, clock.now_ns())
        try:
            counters.add(f"{self._config.id}/published", len(outs))
            await say(self._link, outs)
            done = True
        finally:
            _release(self._slots, slots)
            if self._unconfirmed is not None and not done:
                self._unconfirmed.failed(record)
        if self._unconfirmed is None:
            cursor.acknowledge([record])
            counters.add(f"{self._config.id}/acknowledged")

    async def _paced(self, size: float) -> None:
        if self._config.backlog_messages_per_s is not None:
            size = max(size, self._bucket.rate / self._config.backlog_messages_per_s)
        self._bucket, wait_s = bucket.taken(self._bucket, size, clock.now_ns())
        if wait_s:
            await anyio.sleep(wait_s)

    def _take_stored(self, topic: str, payload: bytes) -> None:
        if self._unconfirmed is None:
            return
        try:
            confirmed = self._unconfirmed.confirmed(payload)
        except ValueError as error:
            log.warning("%s: %s: %s", self._config.id, topic, error)
            return
        for sent in confirmed:
            sent.cursor.acknowledge([sent.record])
        meters.current().add(f"{self._config.id}/acknowledged", len(confirmed))
        self._wake()

    async def _send_again(self) -> None:
        """What is not confirmed in time; read anew, for its time may be known better by now."""
        while self._unconfirmed is not None:
            meters.current().set(f"{self._config.id}/unconfirmed", len(self._unconfirmed))
            for stub in self._unconfirmed.overdue(clock.now_ns()):
                record = await self._read(stub)
                if record is not None:
                    await self._publish_again(record)
            await anyio.sleep(LOOK_S)

    async def _read(self, stub: Record) -> Record | None:
        try:
            record = await self._taps.records.read(lambda reader: reader.find(stub.class_, stub.epoch, stub.seq))
        except StoreError as error:
            log.warning("%s: cannot read what was not confirmed: %s", self._config.id, error)
            return None
        sent = self._unconfirmed.gone(stub) if record is None and self._unconfirmed is not None else None
        if sent is not None:  # given up by retention, which has left a gap record
            sent.cursor.acknowledge([stub])
            self._wake()
        return record

    async def _publish_again(self, record: Record) -> None:
        said = self._said(record)
        await self._tell(said.before)
        meters.current().add(f"{self._config.id}/published", len(said.outs))
        await say(self._link, said.outs)
        await self._paced(sum(len(out.payload) for out in said.outs))

    def _wake(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


def _release(*slots: anyio.Semaphore | None) -> None:
    for semaphore in slots:
        if semaphore is not None:
            semaphore.release()


async def say(link: Link, outs: Iterable[Out]) -> None:
    """Publish messages one after the other."""
    for out in outs:
        await link.publish(out.topic, out.payload, out.retain)
