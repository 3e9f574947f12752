"""The loops of the sink: connect, say hello, publish what the journal holds, and mark it sent once acknowledged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

import anyio

from agent.core.nouns import Catalogue
from agent.runtime import clock, meters
from agent.runtime.journal import Cursor, Record
from agent.runtime.supervise import Backoff
from agent.runtime.together import together
from agent.sinks.mqtt import Ask, Config, desired, form
from agent.sinks.mqtt.form import Form, Out
from agent.sinks.mqtt.link import Link, connected

if TYPE_CHECKING:
    from agent.runtime.taps import Taps

log = logging.getLogger(__name__)

CLASSES = ("event", "summary")  # in this order where both wait
TURN_S = 1.0
GOODBYE_S = 2.0
BACKOFF = Backoff(first_s=0.5, longest_s=20.0)  # spread to 30 s at most
STEADY_S = 30.0


async def run(config: Config, taps: Taps, ask: Ask) -> None:
    """See `agent.sinks.mqtt.run`: in our own format."""
    await publishing(config, taps, ask, form.own(config, taps.gateway))


async def publishing(config: Config, taps: Taps, ask: Ask, said_as: Form) -> None:
    """Events and summaries of the journal in some format, until cancelled or drained."""
    counters = meters.current()
    for name in ("published", "acknowledged", "errors", "reconnects"):
        counters.add(f"{config.id}/{name}", 0)
    async with anyio.create_task_group() as group:
        # Before any connection: what waits is counted, and retention knows that somebody wants it.
        group.start_soon(_turn, config.id, taps.journal(config.id, CLASSES))
        await _reconnecting(config, taps, ask, said_as)
        group.cancel_scope.cancel()


async def _turn(name: str, cursor: Cursor) -> None:
    while True:
        meters.current().turn(name)
        meters.current().set(f"{name}/pending", cursor.pending)
        await anyio.sleep(TURN_S)


async def _reconnecting(config: Config, taps: Taps, ask: Ask, said_as: Form) -> None:
    """One session after another, until one ends because everything is sent."""
    counters, failures = meters.current(), 0
    counters.set(f"{config.id}/connected", 0)
    while True:
        started_ns = clock.now_ns()
        try:
            await _Session(config, taps, ask, said_as).run()
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

    def __init__(self, config: Config, taps: Taps, ask: Ask, said_as: Form) -> None:
        self._config, self._taps, self._ask, self._form = config, taps, ask, said_as
        self._slots = anyio.Semaphore(config.max_in_flight)
        self._watching = anyio.CancelScope()
        self._born = anyio.Event()
        self._told: dict[str, bytes] = {}  # by topic, what was said last of what others rest on

    async def run(self) -> None:
        client_id = self._config.client_id or self._taps.gateway
        async with connected(self._config, client_id, self._form.will) as link:
            meters.current().set(f"{self._config.id}/connected", 1)
            log.info("%s: connected to %s:%d", self._config.id, *self._config.where)
            await _say(link, self._form.hello)
            try:
                await together(lambda: self._beside(link), lambda: self._send_all(link))
            finally:
                await _goodbye(link, self._form.goodbye)

    async def _beside(self, link: Link) -> None:
        """What goes on until everything is sent."""
        with self._watching:
            await together(link.watch, lambda: self._births(link), *self._incoming(link))

    def _incoming(self, link: Link) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
        """What listens to the cloud, as long as this connection lives: one line for each."""
        return (lambda: desired.run(self._config, self._taps, self._ask, link),)

    async def _births(self, link: Link) -> None:
        """A birth for the catalogue, and for each that follows it."""
        async for noun in self._taps.latest():
            if isinstance(noun, Catalogue):
                await _say(link, self._form.birth(noun))
                self._born.set()

    async def _send_all(self, link: Link) -> None:
        """Everything of the journal in its order, so many at once, until it drains. What is what comes first: birth."""
        await self._born.wait()
        cursor = self._taps.journal(self._config.id, CLASSES)
        async with anyio.create_task_group() as group:
            async for records in cursor:
                for record in records:
                    await self._slots.acquire()
                    said = self._form.record(record)
                    await self._tell(link, said.before)
                    group.start_soon(self._send, link, cursor, record, said.outs)
        self._watching.cancel()

    async def _tell(self, link: Link, before: tuple[Out, ...]) -> None:
        for out in before:
            if self._told.get(out.topic) != out.payload:
                await _say(link, (out,))
                self._told[out.topic] = out.payload

    async def _send(self, link: Link, cursor: Cursor, record: Record, outs: tuple[Out, ...]) -> None:
        counters = meters.current()
        try:
            counters.add(f"{self._config.id}/published", len(outs))
            await _say(link, outs)
        finally:
            self._slots.release()
        await cursor.acknowledge([record])
        counters.add(f"{self._config.id}/acknowledged")


async def _say(link: Link, outs: Iterable[Out]) -> None:
    for out in outs:
        await link.publish(out.topic, out.payload, out.retain)


async def _goodbye(link: Link, outs: tuple[Out, ...]) -> None:
    """Say so before going of our own will: a broker does not send the will of a client that leaves properly."""
    with anyio.move_on_after(GOODBYE_S, shield=True):
        try:
            await _say(link, outs)
        except OSError as error:
            log.debug("no goodbye: %s", error)
