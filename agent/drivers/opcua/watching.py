"""The loops of one OPC UA server: the periodic read that confirms, cyclic reads, notifications, mending, writes.

A periodic read is stamped with the time at which it was asked, so that a change after it is always later. A value that
is only subscribed is confirmed by what its subscription said last, be it that there is nothing new (keep-alive).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import anyio
import numpy as np
from asyncua import ua

from agent.core import quality
from agent.core.nouns import I8, Answer, Batch, Tag, Write
from agent.core.scaling import Scaling
from agent.core.stamps import BOUND_NS, StampMap, fold
from agent.drivers.opcua.binary.messages import Samples
from agent.drivers.opcua.binary.typedefs import ServerTypes
from agent.drivers.opcua.config import TIMEOUT_SHARE, Config, check
from agent.drivers.opcua.errors import translated
from agent.drivers.opcua.items import Rows, deadbands, periods, plan
from agent.drivers.opcua.known import Known, Mask
from agent.drivers.opcua.publishing import Notified, Publisher
from agent.drivers.opcua.resolving import Nodes
from agent.drivers.opcua.services import STATE, Session
from agent.drivers.opcua.session import connected, keep
from agent.drivers.opcua.subscription import Monitoring
from agent.drivers.opcua.values import Raw, batch_of, raw_of, wanted
from agent.drivers.opcua.writing import serve
from agent.runtime import clock, meters
from agent.runtime.pace import Pace
from agent.runtime.together import together

log = logging.getLogger(__name__)

# The server's queue was too short, a value was lost: InfoType DataValue with the Overflow bit (OPC 10000-4 Table 178).
OVERFLOW = np.uint32(0x480)
# Looking again for nodes that were not there may take so long, though the check period be shorter.
LOOK_S = 1.0
# A stamp older than this says when the value last changed, or nothing at all: that it holds is known since we heard.
OLD_NS = 10_000_000_000


async def run(
    config: Config,
    tags: Sequence[Tag],
    put: Callable[[Batch], None],
    writes: AsyncIterator[tuple[Write, Callable[[Answer], None]]],
) -> None:
    """Watch all tags and serve writes until cancelled or the server does not answer (OSError)."""
    async with connected(config) as session:
        publisher = Publisher(session, config.publishing(tags))
        watch = Watch(session, tags, put, publisher)
        try:
            with translated(config.endpoint), anyio.fail_after(config.connect_timeout_s):
                await watch.nodes.find()
            await together(
                watch.confirm,
                watch.mend,
                watch.listen,
                *(partial(watch.scan, *when, which) for when, which in periods(watch.plan).items()),
                *[publisher.ask] * publisher.requests,
                partial(serve, writes, session, tags, watch.node_of),
                partial(keep, session),
            )
        finally:
            publisher.close()


class Watch:
    """All tags of one server in one session."""

    def __init__(
        self, session: Session, tags: Sequence[Tag], put: Callable[[Batch], None], publisher: Publisher
    ) -> None:
        """Prepare, without asking anything."""
        self._session, self._config, self._put = session, session.config, put
        self._ids = tuple(tag.id for tag in tags)
        wrong = frozenset(row for row, _ in check(session.config, tags))
        self.plan = plan(tags, wrong)
        self.nodes = Nodes(session, [item.ref for item in self.plan.items])
        self._both, self._only = self.plan.where("both"), self.plan.where("subscribe")
        self._scaling = Scaling.of(tags)
        self._want = wanted(tags, wrong)
        self._vouched_ns = np.zeros(len(tags), np.int64)
        self._known = Known(*deadbands(self.plan, tags))
        self._types = ServerTypes(session)
        self._source_map, self._server_map = StampMap(), StampMap()
        self._publisher = publisher
        self._publishing_s = session.config.publishing(tags)
        self._monitoring = Monitoring(session, publisher, self.plan.items, self._publishing_s)
        self._over = self._found = False
        self._again_ns = 0
        self._read_once = anyio.Event()
        self._period_s = session.config.check_period(tags)
        self._within_s = TIMEOUT_SHARE * self._period_s
        self._told = set[tuple[int, str]]()
        self._wrong = np.array(sorted(wrong), np.intp)

    def node_of(self, row: int) -> ua.NodeId | None:
        """The node of a tag on this server, None where it is not there."""
        item = self.plan.of[row]
        return None if item < 0 else self.nodes.node[item]

    async def confirm(self) -> None:
        """Read all that is to be confirmed, now and then each check period. A dead server is found here."""
        pace = Pace(self._period_s, f"{self._config.id}/missed")
        while True:
            self._found |= await self._look()
            if len(self._both):
                await self._read(self._both, self._within_s)
            else:
                with self._timed(self._within_s):
                    await self._session.read([STATE])
            self._vouch()
            self._say_refused()
            self._read_once.set()
            meters.current().turn(self._config.id)
            await pace.next()

    async def scan(self, scan_s: float, phase_s: float, which: Rows) -> None:
        """Read the items of one period, for ever."""
        pace = Pace(scan_s, f"{self._config.id}/missed", phase_s / scan_s)
        if phase_s:
            await pace.next()
        while True:
            await self._read(which, max(self._within_s, TIMEOUT_SHARE * scan_s))
            await pace.next()

    @contextmanager
    def _timed(self, within_s: float) -> Iterator[None]:
        with anyio.move_on_after(within_s) as scope:
            yield
        if scope.cancelled_caught:
            meters.current().add(f"{self._config.id}/timeouts")
            meters.current().add(f"{self._config.id}/errors")
            raise TimeoutError(f"{self._config.endpoint} read: no answer in time")

    async def _look(self) -> bool:
        with translated(f"{self._config.endpoint} look for nodes"):
            return await self.nodes.find_again(max(LOOK_S, self._within_s))

    async def _read(self, which: Rows, within_s: float) -> None:
        which = which[~self.nodes.refused[which]]
        asked_ns = clock.now_ns()
        with self._timed(within_s):
            samples = await self._session.read([n for i in which if (n := self.nodes.node[i]) is not None])
        await self._types.learn([samples])
        self.nodes.refuse(which, samples.status)
        place, rows = self.plan.spread(which)
        raw = raw_of(samples, place, rows, self._want, self._types.known, self._trouble)
        rows, raw = self._known.read(rows, raw, self._subscribed(), asked_ns)
        self._hand(rows, raw, np.full(len(rows), asked_ns, np.int64))

    def _vouch(self) -> None:
        """What is only subscribed is as new as the last word of its subscription."""
        heard = self._publisher.heard_ns
        granted = self._monitoring.now.granted
        items = [i for i in self._only if i in granted and granted[int(i)][0] in heard]
        place, rows = self.plan.spread(np.array(items, np.intp))
        t_ns = np.array([heard[granted[int(i)][0]] for i in items], np.int64)[place]
        newer = (self._known.told_ns[rows] > 0) & (t_ns > self._vouched_ns[rows])
        self._vouched_ns[rows[newer]] = t_ns[newer]
        self._hand(rows[newer], self._known.newest.of(rows[newer]), t_ns[newer])

    def _say_refused(self) -> None:
        place, rows = self.plan.spread(np.flatnonzero(self.nodes.refused))
        self._say(rows, self.nodes.status[self.nodes.refused][place])
        self._say(self._wrong, np.full(len(self._wrong), quality.BAD_CONFIGURATION_ERROR, np.uint32))

    def _say(self, rows: Rows, status: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> None:
        none = np.zeros(len(rows), np.int64)
        self._hand(rows, Raw(np.full(len(rows), np.nan), status, none, none), none + clock.now_ns())

    def _subscribed(self) -> Mask:
        mask = np.zeros(len(self.plan.items) + 1, np.bool_)
        mask[list(self._monitoring.now.granted)] = True
        return np.asarray(mask[self.plan.of], np.bool_)  # -1, no item, is the last

    async def mend(self) -> None:
        """After each read: monitor what is not, and everything anew if a subscription ended or fell silent."""
        while True:
            await self._read_once.wait()
            self._read_once = anyio.Event()
            await self._mend()

    async def _mend(self) -> None:
        monitoring, begun = self._monitoring, bool(self._monitoring.now.subscriptions)
        if begun and (self._over or self._silent()):
            meters.current().add(f"{self._config.id}/resubscribed")
            await monitoring.end()
            begun, self._again_ns = False, 0
        gone = [int(i) for i in np.flatnonzero(self.nodes.refused) if int(i) in monitoring.now.granted]
        if gone:
            await monitoring.remove(gone)
        if not begun:
            self._over = False
            self._known.subscribed_anew()
        if self._found or (not begun and clock.now_ns() >= self._again_ns):
            self._found = False
            await monitoring.add(self._missing(), self._period_s)
            self._again_ns = clock.now_ns() + int(self._config.retry_refused_s * 1e9)
            self._unmonitored()

    def _missing(self) -> dict[int, ua.NodeId]:
        granted = self._monitoring.now.granted
        wished = [int(i) for i in np.concatenate([self._both, self._only]) if not self.nodes.refused[i]]
        return {i: n for i in wished if i not in granted and (n := self.nodes.node[i]) is not None}

    def _unmonitored(self) -> None:
        """An item that is only subscribed and that the server does not monitor has no value; it is tried again."""
        refused = self._monitoring.now.refused
        for i in self._only:
            if int(i) in refused:
                self.nodes.refused[i], self.nodes.status[i] = True, refused[int(i)]
        refused.clear()

    def _silent(self) -> bool:
        now = self._monitoring.now
        patience_s = 2 * now.slowest_s + self._period_s
        if now.overdue(self._publisher.heard_ns, self._period_s):
            return True
        unsaid = self._known.unsaid(clock.now_ns(), int(patience_s * 1e9))
        self._monitoring.distrust({int(i) for i in self.plan.of[unsaid]})
        return len(unsaid) > 0

    async def listen(self) -> None:
        """Take in what the subscriptions tell."""
        while True:
            for notified in await self._publisher.next():
                if notified.subscription not in self._publisher.heard_ns:
                    continue
                self._over |= bool(notified.message.ended) or notified.lost
                for samples in notified.message.samples:
                    await self._types.learn([samples])
                    self._take(samples, notified)

    def _take(self, samples: Samples, notified: Notified) -> None:
        counts, source = meters.current(), self._config.id
        counts.add(f"{source}/notifications", len(samples.kind))
        overflows = int(((samples.status & OVERFLOW) == OVERFLOW).sum())
        if overflows:
            counts.add(f"{source}/overflows", overflows)
        mine = np.flatnonzero(samples.handle < len(self.plan.items))
        items = samples.handle[mine].astype(np.intp)
        self._gone(items, samples.status[mine])
        place, rows = self.plan.spread(items)
        raw = raw_of(samples, mine[place], rows, self._want, self._types.known, self._trouble)
        rows, raw = self._known.notified(rows, raw, notified.received_ns)
        if len(rows):
            self._hand(rows, raw, self._mapped(raw, notified.received_ns))

    def _gone(self, items: Rows, status: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> None:
        """A node that vanished is looked for again, even if nothing but its subscription says so."""
        if (status >> np.uint32(30) >= 2).any():
            only = np.isin(items, self._only)
            self.nodes.refuse(items[only], status[only])

    def _mapped(self, raw: Raw, received_ns: int) -> I8:
        """The stamps on our axis: by the source's clock, where it gives none by the server's."""
        received = np.full(len(raw.value), received_ns, np.int64)
        bound_ns = max(BOUND_NS, int(3e9 * self._publishing_s))
        self._source_map, t_ns = fold(self._source_map, received, raw.source_ns, bound_ns)
        bare = raw.source_ns == 0
        if bare.any():
            self._server_map, by_server = fold(self._server_map, received, np.where(bare, raw.server_ns, 0), bound_ns)
            t_ns = np.where(bare, by_server, t_ns)
        return np.where(received - t_ns > max(OLD_NS, 2 * bound_ns), received, t_ns)

    def _trouble(self, row: int, text: str) -> None:
        if (row, text) not in self._told and len(self._told) < 1000:
            self._told.add((row, text))
            log.warning("%s: %s: %s", self._config.id, self._ids[row], text)

    def _hand(self, rows: Rows, raw: Raw, t_ns: I8) -> None:
        if not len(rows):
            return
        self._put(batch_of(self._config.id, rows, raw, t_ns, self._scaling.take(rows)))
