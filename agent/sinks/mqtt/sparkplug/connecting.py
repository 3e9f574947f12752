"""One connection after another, never two: each with the next bdSeq, to the broker whose turn it is.

After a failure it is the next broker's turn, and after the primary host was missed on one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from agent.runtime import clock, meters
from agent.sinks.mqtt import Ask, Config, brokers
from agent.sinks.mqtt.brokers import Tries
from agent.sinks.mqtt.faults import WORDS, Fault, LinkError
from agent.sinks.mqtt.form import Out
from agent.sinks.mqtt.link import connected
from agent.sinks.mqtt.sparkplug import bdseq, metrics, payload
from agent.sinks.mqtt.sparkplug.host import HostAway
from agent.sinks.mqtt.sparkplug.node import Naming, now_ms
from agent.sinks.mqtt.sparkplug.session import Session

if TYPE_CHECKING:
    from agent.runtime.journal import Cursor
    from agent.runtime.taps import Taps
    from agent.sinks.mqtt import Place

log = logging.getLogger(__name__)

# With these a CONNECT was not sent, and its number is free for the next.
UNSAID = (Fault.UNREACHABLE, Fault.FILE)

TURN_S = 1.0
ROUND_S = 1.0  # between two rounds of all brokers in search of the primary host
COUNTED = ("published", "acknowledged", "errors", "reconnects", "births", "historical", "untold", "refused")


async def run(config: Config, taps: Taps, ask: Ask) -> None:
    """See `agent.sinks.mqtt.sparkplug.run`."""
    for name in COUNTED:
        meters.current().add(f"{config.id}/{name}", 0)
    for shown in ("connected", "broker", "fault", "taken_over"):
        meters.current().set(f"{config.id}/{shown}", 0)
    catalogue = taps.hub.catalogue
    for point in metrics.doubtful(catalogue):
        log.warning(
            "%s: %s differs from another only in capital letters, some hosts take them for one", config.id, point
        )
    async with anyio.create_task_group() as group:
        cursor = taps.journal(config.id, ("raw",)) if config.sparkplug and config.sparkplug.history == "raw" else None
        group.start_soon(_turn, config.id, cursor)
        await _Connecting(config, taps, ask).run()
        group.cancel_scope.cancel()


async def _turn(name: str, cursor: Cursor | None) -> None:
    """What waits is counted before there is any connection, and retention knows that somebody wants it."""
    while True:
        meters.current().turn(name)
        meters.current().set(f"{name}/pending", cursor.pending if cursor else 0)
        await anyio.sleep(TURN_S)


class _Connecting:
    """Carries what goes on from one connection to the next: bdSeq, aliases, whose turn it is."""

    def __init__(self, config: Config, taps: Taps, ask: Ask) -> None:
        self._config, self._taps, self._ask = config, taps, ask
        self._file = bdseq.path(taps.records.path, config.id)
        self._bdseq = self._on_disk = bdseq.read(self._file)
        self._naming = Naming.of(config, taps.gateway, taps.hub.catalogue)
        self._saved, self._opened = True, False
        self._host_ms: dict[Place, int] = {}  # by broker

    async def run(self) -> None:
        counters, tries = meters.current(), Tries()
        while True:
            started_ns = clock.now_ns()
            place, before, self._opened = self._config.places[tries.turn], self._bdseq, False
            try:
                await self._once(place)
            except HostAway as away:
                log.info("%s: %s: %s", self._config.id, brokers.address(place), away)
                tries = Tries((tries.turn + 1) % len(self._config.places))
                wait_s = 0.0 if tries.turn else ROUND_S
            except OSError as error:
                tries, wait_s = self._failed(tries, place, error, clock.now_ns() - started_ns)
                self._bdseq = self._bdseq if self._opened or _fault(error) not in UNSAID else before
            else:
                return
            finally:
                counters.set(f"{self._config.id}/connected", 0)
                counters.set(f"{self._config.id}/broker", 0)
            counters.set(f"{self._config.id}/taken_over", tries.taken_over)
            await anyio.sleep(wait_s)
            counters.add(f"{self._config.id}/reconnects")

    async def _once(self, place: Place) -> None:
        """A connection. Returns when the daemon drains and all is told."""
        config, naming = self._config, self._naming
        self._bdseq = bdseq.following(self._bdseq)
        await self._save()
        will = Out(naming.topic("NDEATH"), payload.death(self._bdseq, now_ms()))
        client_id = config.client_id or f"{self._taps.gateway}-{config.id}"
        async with connected(config, client_id, will, place, lasting=False) as link:
            self._opened = True
            meters.current().set(f"{config.id}/connected", 1)
            meters.current().set(f"{config.id}/broker", 1 + config.places.index(place))
            meters.current().set(f"{config.id}/fault", Fault.NONE)
            log.info("%s: connected to %s, bdSeq %d", config.id, brokers.address(place), self._bdseq)
            host_ms = self._host_ms.get(place, -1)
            session = Session(config, self._taps, self._ask, naming, link, self._bdseq, host_ms)
            try:
                await session.run()
            finally:
                self._host_ms[place] = session.host.state.timestamp_ms

    async def _save(self) -> None:
        if self._bdseq == self._on_disk:
            return
        try:
            await to_thread.run_sync(bdseq.write, self._file, self._bdseq)
        except OSError as error:
            level = logging.WARNING if self._saved else logging.DEBUG
            log.log(level, "%s: bdSeq is not kept: %s", self._config.id, error)
            self._saved = False
        else:
            self._saved, self._on_disk = True, self._bdseq

    def _failed(self, tries: Tries, place: Place, error: OSError, held_ns: int) -> tuple[Tries, float]:
        meters.current().add(f"{self._config.id}/errors")
        fault = _fault(error)
        meters.current().set(f"{self._config.id}/fault", fault)
        level = logging.WARNING if tries.failures < len(self._config.places) else logging.DEBUG
        log.log(level, "%s: %s: %s: %s", self._config.id, brokers.address(place), WORDS[fault], error)
        return brokers.after(tries, fault, held_ns, len(self._config.places))


def _fault(error: OSError) -> Fault:
    return error.fault if isinstance(error, LinkError) else Fault.UNREACHABLE
