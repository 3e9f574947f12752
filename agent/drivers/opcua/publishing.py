"""Publish requests: enough of them wait at the server that it can always send; nothing that it sent is lost.

Each message has a sequence number (OPC 10000-4 §5.14.1.4). One that never came is asked for again (Republish) before
those after it are passed on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import anyio
from asyncua import ua

from agent.drivers.opcua.binary import messages
from agent.drivers.opcua.binary.messages import Notification, Published
from agent.drivers.opcua.errors import ServiceError, decoding, translated
from agent.drivers.opcua.services import Session
from agent.runtime import clock, meters

BACKLOG = 1000
# So long may an answer be under way and the server still has a request to answer at each publishing interval.
ROUND_TRIP_S = 0.5
FEWEST, MOST = 2, 10
# More than these in a row are not asked for again: the subscription is made anew.
MOST_MISSING = 100
LAST_SEQUENCE = 2**32 - 1
NO_SUBSCRIPTION, TOO_MANY_REQUESTS, TIMEOUT = 0x8079_0000, 0x8078_0000, 0x800A_0000
BAD_SHUTDOWN = 0x800C_0000


@dataclass(frozen=True, slots=True, eq=False)
class Notified:
    """A message of a subscription, and when it came on our axis. `lost`: messages before it were lost for good."""

    subscription: int
    message: Notification
    received_ns: int
    lost: bool = False


class Publisher:
    """The publish requests of one session, and the messages that came, in the order of their sequence numbers."""

    def __init__(self, session: Session, publishing_s: float) -> None:
        """Nothing is asked yet."""
        self._session = session
        self._source = session.config.id
        self.requests = min(MOST, max(FEWEST, math.ceil(ROUND_TRIP_S / publishing_s) + 1))
        self._waiting = self.requests
        self._acks: list[ua.SubscriptionAcknowledgement] = []
        self._begun = anyio.Event()
        self._next: dict[int, int | None] = {}
        self.heard_ns: dict[int, int] = {}
        self._send, self._receive = anyio.create_memory_object_stream[tuple[Published, int]](BACKLOG)

    def begin(self, subscription: int) -> None:
        """A subscription was made."""
        self._next[subscription] = None
        self.heard_ns[subscription] = clock.now_ns()
        self._begun.set()

    def end(self, subscription: int) -> None:
        """A subscription is gone."""
        self._next.pop(subscription, None)
        self.heard_ns.pop(subscription, None)

    async def ask(self) -> None:
        """Keep one publish request at the server. OSError where the session is gone."""
        while True:
            await self._begun.wait()
            try:
                await self._once()
            except ServiceError as error:
                if error.code == TOO_MANY_REQUESTS and self._waiting > 1:
                    self._waiting -= 1
                    return
                if error.code == NO_SUBSCRIPTION:
                    self._all_gone()
                elif error.code not in (TOO_MANY_REQUESTS, TIMEOUT):
                    raise
                await anyio.sleep(0.05)

    def _all_gone(self) -> None:
        """The server knows no subscription of ours: each is told to have ended, those that just begin excepted."""
        self._begun = anyio.Event()
        for subscription, expected in list(self._next.items()):
            if expected is not None:
                ended = Published(subscription, Notification(expected, (), NO_SUBSCRIPTION, keep_alive=False))
                self._hand_on(ended)
            else:
                self._begun.set()

    async def _once(self) -> None:
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements, self._acks = self._acks, []
        with translated(self._session.config.endpoint):
            cursor = await self._session.ask(request, messages.PUBLISH, timeout_s=0.0)
            with decoding():
                found = messages.published(cursor)
        if found.subscription in self._next:
            self.heard_ns[found.subscription] = clock.now_ns()
        if not found.message.keep_alive:
            self._acks.append(ua.SubscriptionAcknowledgement(found.subscription, found.message.sequence))
        self._hand_on(found)

    def _hand_on(self, found: Published) -> None:
        try:
            self._send.send_nowait((found, clock.now_ns()))
        except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            dropped = sum(len(samples.kind) for samples in found.message.samples)
            meters.current().add(f"{self._source}/dropped", dropped)

    async def next(self) -> list[Notified]:
        """The next message, after those that were missing before it. OSError."""
        found, received_ns = await self._receive.receive()
        expected = self._next.get(found.subscription, None)
        missing, lost = list[Notified](), False
        message = found.message
        if expected is not None and message.sequence and not message.ended:
            count = (message.sequence - expected) % LAST_SEQUENCE
            if 0 < count <= MOST_MISSING:
                missing, lost = await self._again(found.subscription, expected, count, received_ns)
            lost = (lost and not message.keep_alive) or MOST_MISSING < count < LAST_SEQUENCE // 2
        if found.subscription in self._next and message.sequence and not message.ended:
            self._next[found.subscription] = message.sequence if message.keep_alive else after(message.sequence)
        return [*missing, Notified(found.subscription, message, received_ns, lost)]

    async def _again(self, subscription: int, first: int, count: int, received_ns: int) -> tuple[list[Notified], bool]:
        """(the messages that the server still had, whether one of them was gone)."""
        found, sequence = list[Notified](), first
        for _ in range(count):
            request = ua.RepublishRequest()
            request.Parameters.SubscriptionId = subscription
            request.Parameters.RetransmitSequenceNumber = sequence
            try:
                with translated(self._session.config.endpoint):
                    cursor = await self._session.ask(request, messages.REPUBLISH)
                    with decoding():
                        found.append(Notified(subscription, messages.notification(cursor), received_ns))
            except ServiceError:
                return found, True
            meters.current().add(f"{self._source}/republished")
            self._acks.append(ua.SubscriptionAcknowledgement(subscription, sequence))
            sequence = after(sequence)
        return found, False

    def close(self) -> None:
        """Give back what was held."""
        self._send.close()
        self._receive.close()


def after(sequence: int) -> int:
    """The sequence number that follows: 1 after the last, never 0."""
    return 1 if sequence >= LAST_SEQUENCE else sequence + 1
