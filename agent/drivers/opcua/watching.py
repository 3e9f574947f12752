"""The loops of one OPC UA server: the periodic read that confirms, the notifications, the writes.

A periodic read is stamped with the time at which it was asked, so that a change after it is always later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

import anyio
import numpy as np
from anyio.streams.memory import MemoryObjectReceiveStream
from asyncua import ua

from agent.core import quality
from agent.core.nouns import I8, Answer, Batch, Tag, Write
from agent.core.scaling import Scaling, engineering
from agent.core.stamps import BOUND_NS, StampMap, fold
from agent.drivers.opcua import node
from agent.drivers.opcua.config import TIMEOUT_SHARE, Config, check
from agent.drivers.opcua.errors import translated
from agent.drivers.opcua.known import Known, Rows
from agent.drivers.opcua.services import Session
from agent.drivers.opcua.session import connected, keep
from agent.drivers.opcua.subscription import Notified, Subscription, add, subscribe, unsubscribe
from agent.drivers.opcua.values import Raw, raw_of
from agent.drivers.opcua.writing import serve
from agent.runtime import clock, meters
from agent.runtime.pace import Pace
from agent.runtime.together import together

BACKLOG = 1000
# What a node answers that is not there, or not for us: asked again slowly.
REFUSALS = frozenset({0x8033_0000, 0x8034_0000, 0x8035_0000, 0x803A_0000, 0x801F_0000})


async def run(
    config: Config,
    tags: Sequence[Tag],
    put: Callable[[Batch], None],
    writes: AsyncIterator[tuple[Write, Callable[[Answer], None]]],
) -> None:
    """Watch all tags and serve writes until cancelled or the server does not answer (OSError)."""
    async with connected(config) as session:
        send, notifications = anyio.create_memory_object_stream[Notified](BACKLOG)
        with send, notifications:

            def hand_on(notified: Notified) -> None:
                try:
                    send.send_nowait(notified)
                except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
                    meters.current().add(f"{config.id}/dropped", len(notified.samples))

            watch = Watch(session, tags, put, hand_on)
            await together(
                watch.confirm,
                watch.mend,
                partial(watch.listen, notifications),
                partial(serve, writes, session, tags, watch.node_of),
                partial(keep, session),
            )


class Watch:
    """All tags of one server in one session."""

    def __init__(
        self,
        session: Session,
        tags: Sequence[Tag],
        put: Callable[[Batch], None],
        hand_on: Callable[[Notified], None],
    ) -> None:
        """Prepare, without asking anything."""
        self._session, self._config, self._tags, self._put = session, session.config, tuple(tags), put
        self._hand_on = hand_on
        self._scaling = Scaling.of(tags)
        self._known = Known(len(tags))
        self._stamps = StampMap()
        wrong = {row for row, _ in check(session.config, tags)}
        self._refs = [None if row in wrong else node.parse(tag.address) for row, tag in enumerate(tags)]
        self._nodes: list[ua.NodeId | None] = [None] * len(tags)
        self._status = np.full(len(tags), quality.BAD_NODE_ID_UNKNOWN, np.uint32)
        self._status[list(wrong)] = quality.BAD_CONFIGURATION_ERROR
        self._refused = np.ones(len(tags), np.bool_)
        self._retry_ns = 0
        self._subscription: Subscription | None = None
        self._over = False
        self._found = False
        self._read_once = anyio.Event()
        self._period_s = session.config.check_period(tags)
        self._within_s = TIMEOUT_SHARE * self._period_s

    def node_of(self, row: int) -> ua.NodeId | None:
        """The node of a tag on this server, None where it is not there."""
        return self._nodes[row]

    async def confirm(self) -> None:
        """Read all nodes now and then each check period. It waits for nothing else: a dead server is found here."""
        pace = Pace(self._period_s, f"{self._config.id}/missed")
        while True:
            with translated(f"{self._config.endpoint} read"), anyio.fail_after(self._within_s):
                await self._retry()
                await self._read()
            self._read_once.set()
            meters.current().turn(self._config.id)
            await pace.next()

    async def _retry(self) -> None:
        """Once in a while look again for all nodes that were refused."""
        if clock.now_ns() < self._retry_ns or not self._refused.any():
            return
        self._retry_ns = clock.now_ns() + int(self._config.retry_refused_s * 1e9)
        self._found = True
        self._nodes = await self._session.resolve(self._refs)
        found = np.array([n is not None for n in self._nodes], np.bool_)
        self._status[~found & (self._status != quality.BAD_CONFIGURATION_ERROR)] = quality.BAD_NODE_ID_UNKNOWN
        self._refused = ~found

    async def _read(self) -> None:
        rows: Rows = np.flatnonzero(~self._refused)
        asked_ns = clock.now_ns()
        values = await self._session.read([n for r in rows if (n := self._nodes[r]) is not None])
        raw = raw_of(values, [self._tags[r] for r in rows])
        refused = np.array([int(s) in REFUSALS for s in raw.status], np.bool_)
        self._refused[rows[refused]] = True
        self._status[rows[refused]] = raw.status[refused]
        rows, raw = self._known.read(rows, raw, self._subscribed(), asked_ns)
        if len(rows):
            self._hand(rows, raw, np.full(len(rows), asked_ns, np.int64))
        self._say_refused(asked_ns)

    def _say_refused(self, now_ns: int) -> None:
        rows: Rows = np.flatnonzero(self._refused)
        if len(rows):
            nothing = Raw(np.full(len(rows), np.nan), self._status[rows], np.zeros(len(rows), np.int64), ())
            self._hand(rows, nothing, np.full(len(rows), now_ns, np.int64))

    def _subscribed(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        mask = np.zeros(len(self._tags), np.bool_)
        if self._subscription is not None:
            mask[list(self._subscription.rows)] = True
        return mask

    async def mend(self) -> None:
        """After each read: subscribe what is not, and everything anew if the subscription ended or fell silent."""
        while True:
            await self._read_once.wait()
            self._read_once = anyio.Event()
            await self._mend()

    async def _mend(self) -> None:
        publishing_s = self._config.publishing(self._tags)
        if self._subscription is not None and (self._over or self._silent(self._subscription)):
            meters.current().add(f"{self._config.id}/resubscribed")
            await unsubscribe(self._session, self._subscription)
            self._subscription = None
        missing = ~self._refused & ~self._subscribed()
        nodes = {int(r): n for r in np.flatnonzero(missing) if (n := self._nodes[r]) is not None}
        if self._subscription is None:
            self._over = False
            self._known.subscribed_anew()
            self._subscription = await subscribe(self._session, nodes, publishing_s, self._hand_on)
        elif nodes and self._found:
            self._subscription = await add(self._session, self._subscription, nodes, publishing_s)
        self._found = False

    def _silent(self, subscription: Subscription) -> bool:
        patience_s = 2 * subscription.interval_s + self._period_s
        return self._known.silent(clock.now_ns(), int(patience_s * 1e9))

    async def listen(self, notifications: MemoryObjectReceiveStream[Notified]) -> None:
        """Take in what the subscription tells."""
        async for notified in notifications:
            if self._subscription is not None and notified.subscription != self._subscription.id:
                continue
            self._over = self._over or bool(notified.ended)
            samples = [(row, value) for row, value in notified.samples if row < len(self._tags)]
            if samples:
                self._take(samples, notified.received_ns)

    def _take(self, samples: list[tuple[int, ua.DataValue]], received_ns: int) -> None:
        rows: Rows = np.array([row for row, _ in samples], np.intp)
        raw = raw_of([value for _, value in samples], [self._tags[row] for row, _ in samples])
        meters.current().add(f"{self._config.id}/notifications", len(rows))
        rows, raw = self._known.notified(rows, raw, received_ns)
        if len(rows):
            received = np.full(len(rows), received_ns, np.int64)
            bound_ns = max(BOUND_NS, int(3e9 * self._config.publishing(self._tags)))
            self._stamps, t_ns = fold(self._stamps, received, raw.source_ns, bound_ns)
            self._hand(rows, raw, t_ns)

    def _hand(self, rows: Rows, raw: Raw, t_ns: I8) -> None:
        value, status = engineering(raw.value, raw.status, self._scaling.take(rows), raw.texts)
        self._put(Batch(self._config.id, rows.astype(np.int32), value, status, t_ns, raw.source_ns, raw.texts))
