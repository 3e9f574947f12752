"""Monitored items: in batches, in as many subscriptions as the server needs, each with its sampling, queue and filter.

A server that takes no filter for an item gets the item without it; that is counted, and told once.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from asyncua import ua

from agent.core import quality
from agent.drivers.opcua.errors import ServiceError, name_of
from agent.drivers.opcua.items import Item, Wish
from agent.drivers.opcua.publishing import Publisher
from agent.drivers.opcua.services import Session, exactly
from agent.runtime import clock, meters

log = logging.getLogger(__name__)

# A subscription that has nothing to tell says so at least this often; sooner where the check period is shorter.
KEEP_ALIVE_S = 10.0
TRIGGERS = {"status": 0, "value": 1, "timestamp": 2}
ABSOLUTE, PERCENT = 1, 2
# BadMonitoredItemFilterInvalid, BadMonitoredItemFilterUnsupported, BadFilterNotAllowed, BadDeadbandFilterInvalid
NO_FILTER = frozenset({0x8043_0000, 0x8044_0000, 0x8045_0000, 0x808E_0000})
FULL = 0x80DB_0000  # BadTooManyMonitoredItems
# A server that makes no subscription, or no more: BadResourceUnavailable, BadServiceUnsupported, BadUserAccessDenied,
# BadNotSupported, BadNotImplemented, BadTooManySubscriptions. What may be read is read then.
NONE_MADE = frozenset({0x8004_0000, 0x800B_0000, 0x801F_0000, 0x803D_0000, 0x8040_0000, 0x8077_0000})
QUEUE_MARGIN, LONGEST_QUEUE = 2.0, 10_000


@dataclass(slots=True)
class Subscription:
    """What the server granted: how long it may say nothing, and how many items it holds."""

    id: int
    interval_s: float
    keep_alive_s: float
    items: int = 0
    full: bool = False


@dataclass(slots=True)
class Monitored:
    """What is monitored now. `granted`: subscription and monitored item id by item; `refused`: status by item."""

    subscriptions: list[Subscription] = field(default_factory=list)
    granted: dict[int, tuple[int, int]] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    slowest_s: float = 0.0

    def overdue(self, heard_ns: Mapping[int, int], slack_s: float) -> bool:
        """Whether a subscription said nothing, not even that it lives, for twice as long as it may."""
        now_ns = clock.now_ns()
        return any(
            now_ns - heard_ns.get(s.id, now_ns) > (2 * s.keep_alive_s + slack_s) * 1e9 for s in self.subscriptions
        )


class Monitoring:
    """Makes the subscriptions of one session."""

    def __init__(self, session: Session, publisher: Publisher, items: Sequence[Item], publishing_s: float) -> None:
        """Nothing is monitored yet."""
        self._session, self._publisher, self._items = session, publisher, items
        self._publishing_s = publishing_s
        self._check_s = 0.0
        self._told = self._alone = False
        self._bare = set[int]()
        self.now = Monitored()

    async def add(self, nodes: Mapping[int, ua.NodeId], check_s: float) -> None:
        """Monitor these nodes too, by item. One that the server refuses is left out, with its status. OSError."""
        self._check_s = check_s
        waiting = dict(nodes)
        while waiting:
            subscription = await self._with_room()
            if subscription is None:
                self.now.refused.update(dict.fromkeys(waiting, FULL))
                return
            room = self._session.limits["subscription"] - subscription.items
            some = list(waiting)[:room]
            left = await self._monitor(subscription, {i: waiting[i] for i in some})
            subscription.full = bool(left) or len(some) == room
            waiting = {i: node for i, node in waiting.items() if i not in some or i in left}

    async def remove(self, items: Sequence[int]) -> None:
        """Monitor these items no longer. That the server knows them no more is no error. OSError."""
        gone = [self.now.granted.pop(i) for i in items if i in self.now.granted]
        for subscription in self.now.subscriptions:
            ids = [monitored for of, monitored in gone if of == subscription.id]
            subscription.items -= len(ids)
            subscription.full = subscription.full and not ids
            if ids:
                await self._delete(subscription.id, ids)

    async def _delete(self, subscription: int, ids: list[int]) -> None:
        async def part(some: Sequence[int]) -> list[int]:
            request = ua.DeleteMonitoredItemsRequest()
            request.Parameters.SubscriptionId, request.Parameters.MonitoredItemIds = subscription, list(some)
            await self._session.call(request, ua.DeleteMonitoredItemsResponse)
            return list(some)

        await self._session.batched("monitor", ids, part)

    async def end(self) -> None:
        """Delete all subscriptions; that the server no longer knows them is no error. OSError."""
        ids = [s.id for s in self.now.subscriptions]
        for subscription in ids:
            self._publisher.end(subscription)
        self.now = Monitored()
        if ids:
            request = ua.DeleteSubscriptionsRequest()
            request.Parameters.SubscriptionIds = ids
            await self._session.call(request, ua.DeleteSubscriptionsResponse)

    async def _with_room(self) -> Subscription | None:
        """A subscription that takes another item, made if there is none; None where the server makes no more."""
        for subscription in self.now.subscriptions:
            if not subscription.full:
                return subscription
        if len(self.now.subscriptions) >= self._session.limits["subscriptions"]:
            return None
        try:
            made = await self._create()
        except ServiceError as error:
            if error.code not in NONE_MADE:
                raise
            if not self._alone:
                self._alone = True
                log.warning(
                    "%s: no subscription, or no more (%s): values are only read", self._session.config.id, error
                )
            return None
        self.now.subscriptions.append(made)
        return made

    async def _create(self) -> Subscription:
        publishing_s, session = self._publishing_s, self._session
        keep_alive_s = min(KEEP_ALIVE_S, max(self._check_s, publishing_s))
        request = ua.CreateSubscriptionRequest()
        request.Parameters = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=publishing_s * 1000,
            RequestedMaxKeepAliveCount=max(1, round(keep_alive_s / publishing_s)),
            RequestedLifetimeCount=max(3, round(session.config.session_timeout_s / publishing_s)),
            MaxNotificationsPerPublish=10_000,
            PublishingEnabled=True,
            Priority=0,
        )
        granted = (await session.call(request, ua.CreateSubscriptionResponse)).Parameters
        interval_s = granted.RevisedPublishingInterval / 1000
        self._publisher.begin(granted.SubscriptionId)
        self.now.slowest_s = max(self.now.slowest_s, interval_s)
        return Subscription(granted.SubscriptionId, interval_s, interval_s * granted.RevisedMaxKeepAliveCount)

    async def _monitor(self, subscription: Subscription, nodes: Mapping[int, ua.NodeId]) -> set[int]:
        """Those that did not fit into the subscription any more."""

        async def part(some: Sequence[int]) -> list[tuple[int, ua.MonitoredItemCreateResult]]:
            request = ua.CreateMonitoredItemsRequest()
            request.Parameters.SubscriptionId = subscription.id
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            request.Parameters.ItemsToCreate = [self._wanted(i, nodes[i], subscription) for i in some]
            answer = await self._session.call(request, ua.CreateMonitoredItemsResponse)
            return list(zip(some, exactly(answer.Results, len(some)), strict=True))

        left, without = set[int](), list[int]()
        for i, result in await self._session.batched("monitor", list(nodes), part):
            code = int(result.StatusCode.value)
            if quality.is_good(code):
                self._grant(i, subscription, result)
            elif code in NO_FILTER and i not in self._bare:
                without.append(i)
                self._tell(i, name_of(code))
            elif code == FULL and subscription.items:
                left.add(i)
            else:
                self.now.refused[i] = code
        if without:
            left |= await self._monitor(subscription, {i: nodes[i] for i in without})
        return left

    def _grant(self, item: int, subscription: Subscription, result: ua.MonitoredItemCreateResult) -> None:
        self.now.granted[item] = (subscription.id, int(result.MonitoredItemId))
        self.now.refused.pop(item, None)
        self.now.slowest_s = max(self.now.slowest_s, result.RevisedSamplingInterval / 1000)
        subscription.items += 1

    def distrust(self, items: Iterable[int]) -> None:
        """These were not told of a change beyond their filter. They do without it from now on.

        Some servers compare with the last value that they looked at, not with the last that they sent: a slow drift is
        never told.
        """
        for item in items:
            if item not in self._bare and filter_of(self._items[item].wish) is not None:
                self._tell(item, "it misses slow changes")

    def _tell(self, item: int, why: str) -> None:
        self._bare.add(item)
        meters.current().add(f"{self._session.config.id}/filters_refused")
        if not self._told:
            self._told = True
            text = "%s: no filter at the server for %s: %s; it is subscribed without, as are any further such"
            log.warning(text, self._session.config.id, self._items[item].ref, why)

    def _wanted(self, item: int, node: ua.NodeId, subscription: Subscription) -> ua.MonitoredItemCreateRequest:
        wish = self._items[item].wish
        sampling_s = self._publishing_s if wish.sampling_s is None else wish.sampling_s
        queue = wish.queue or queue_for(sampling_s, subscription.interval_s, self._session)
        parameters = ua.MonitoringParameters(item, sampling_s * 1000, ua.ExtensionObject(), queue, wish.discard_oldest)
        wanted_filter = None if item in self._bare else filter_of(wish)
        if wanted_filter is not None:
            parameters.Filter = wanted_filter
        return ua.MonitoredItemCreateRequest(
            ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value), ua.MonitoringMode.Reporting, parameters
        )


def queue_for(sampling_s: float, publishing_s: float, session: Session) -> int:
    """How many values the server must keep that no change between two publishes is lost, with a margin."""
    fastest_s = max(sampling_s, session.fastest_s)
    needed = math.ceil(QUEUE_MARGIN * publishing_s / fastest_s) + 1 if fastest_s > 0 else 0
    return min(LONGEST_QUEUE, max(session.config.queue_size, needed))


def filter_of(wish: Wish) -> ua.DataChangeFilter | None:
    """The filter of an item; None where it wishes nothing but what every server does without one."""
    if wish.deadband_percent:
        kind, value = PERCENT, wish.deadband_percent
    else:
        kind, value = (ABSOLUTE if wish.deadband else 0), wish.deadband
    if not kind and wish.trigger == "value":
        return None
    return ua.DataChangeFilter(ua.DataChangeTrigger(TRIGGERS[wish.trigger]), kind, value)
