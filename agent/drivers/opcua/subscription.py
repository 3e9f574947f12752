"""A subscription to many nodes on the low-level services: items in batches, notifications handed on as they come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from asyncua import ua

from agent.drivers.opcua.errors import translated
from agent.drivers.opcua.services import Session
from agent.runtime import clock

KEEP_ALIVE_S = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Notified:
    """One publish response: (row, DataValue) in the order the server sent them, and when it came on our axis.

    `ended` is the status of a subscription that the server gave up, else 0.
    """

    subscription: int
    samples: tuple[tuple[int, ua.DataValue], ...]
    received_ns: int
    ended: int = 0


@dataclass(frozen=True, slots=True)
class Subscription:
    """What the server granted: the interval of publishing or, if longer, of sampling; the rows it monitors."""

    id: int
    interval_s: float
    rows: tuple[int, ...]


async def subscribe(
    session: Session,
    nodes: Mapping[int, ua.NodeId],
    publishing_s: float,
    hand_on: Callable[[Notified], None],
) -> Subscription:
    """Subscribe to nodes by row. A node that the server refuses is left out: it is read only. OSError."""
    params = ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=publishing_s * 1000,
        RequestedMaxKeepAliveCount=max(1, round(KEEP_ALIVE_S / publishing_s)),
        RequestedLifetimeCount=max(3, round(session.config.session_timeout_s / publishing_s)),
        MaxNotificationsPerPublish=10_000,
        PublishingEnabled=True,
        Priority=0,
    )
    with translated(f"{session.config.endpoint} subscribe"):
        granted = await session.client.uaclient.session.create_subscription(params, lambda r: hand_on(_notified(r)))
        subscription = Subscription(granted.SubscriptionId, granted.RevisedPublishingInterval / 1000, ())
        return await add(session, subscription, nodes, publishing_s)


async def add(
    session: Session, subscription: Subscription, nodes: Mapping[int, ua.NodeId], sampling_s: float
) -> Subscription:
    """The subscription with more nodes monitored, as many in a call as the server takes. OSError."""
    rows, granted, slowest = list(nodes), list(subscription.rows), subscription.interval_s
    for start in range(0, len(rows), session.item_limit):
        part = rows[start : start + session.item_limit]
        request = ua.CreateMonitoredItemsParameters(
            SubscriptionId=subscription.id,
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            ItemsToCreate=[_item(row, nodes[row], sampling_s, session.config.queue_size) for row in part],
        )
        with translated(f"{session.config.endpoint} monitor {len(part)} nodes"):
            results = await session.client.uaclient.session.create_monitored_items(request)
        for row, result in zip(part, results, strict=True):
            if result.StatusCode.is_good():
                granted.append(row)
                slowest = max(slowest, result.RevisedSamplingInterval / 1000)
    return Subscription(subscription.id, slowest, tuple(granted))


async def unsubscribe(session: Session, subscription: Subscription) -> None:
    """Delete a subscription; that the server no longer knows it is no error. OSError."""
    with translated(f"{session.config.endpoint} unsubscribe"):
        await session.client.uaclient.session.delete_subscriptions([subscription.id])


def _item(row: int, node: ua.NodeId, sampling_s: float, queue_size: int) -> ua.MonitoredItemCreateRequest:
    return ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=ua.MonitoringParameters(
            ClientHandle=row, SamplingInterval=sampling_s * 1000, QueueSize=queue_size, DiscardOldest=True
        ),
    )


def _notified(result: ua.PublishResult) -> Notified:
    samples: list[tuple[int, ua.DataValue]] = []
    ended = 0
    for part in result.NotificationMessage.NotificationData or ():
        if isinstance(part, ua.DataChangeNotification):
            samples += [(int(item.ClientHandle), item.Value) for item in part.MonitoredItems]
        elif isinstance(part, ua.StatusChangeNotification) and not part.Status.is_good():
            ended = int(part.Status.value)
    return Notified(result.SubscriptionId, tuple(samples), clock.now_ns(), ended)
