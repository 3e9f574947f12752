"""OPC UA client: subscribes to all tags of a server, and confirms them by a periodic read.

A value is fresh when the server vouched for it: a notification came, or the periodic read of all nodes gave it again.
A subscription that fell silent is found because the read knows something that was never notified, and is rebuilt.

    config.py  items.py          what can be set for a server and for each tag
    node.py  members.py          how a value is named: node ids, browse paths, parts of a value
    session.py                   connecting, and leaving
    services.py                  what an open session does: limits, reading, writing, browsing in batches
    resolving.py                 from names to the nodes of the server as it is now
    binary.py  messages.py       OPC UA Binary, and the answers with values as columns
    structures.py  typedefs.py   structures by their definition, and reading the definitions
    values.py                    what was sent as columns of tags
    known.py                     the newest of each tag, and what the periodic read knows that was never notified
    publishing.py                publish requests and the order of messages
    subscription.py              monitored items in batches
    watching.py                  the loops: periodic and cyclic reads, notifications, mending
    writing.py  encoding.py      writes with read-back
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from agent.core.nouns import Answer, Batch, Meter, Tag, Write
from agent.drivers.opcua.config import Config, check
from agent.runtime import meters as counted

__all__ = ["Config", "check", "meters", "probe", "run"]

METERS = (
    Meter("requests", "1", "Requests sent"),
    Meter("errors", "1", "Requests that failed, of whatever class"),
    Meter("timeouts", "1", "Requests that were not answered in time"),
    Meter("refused", "1", "Requests that the server refused"),
    Meter("lost", "1", "Connections closed or refused"),
    Meter("rtt_s", "s", "Newest round trip"),
    Meter("notifications", "1", "Changes of values that the server sent"),
    Meter("resubscribed", "1", "Times a silent subscription was made anew"),
    Meter("dropped", "1", "Notifications lost because they could not be taken in time"),
    Meter("missed", "1", "Due times of the periodic read left out"),
)


def meters(config: Config, tags: Sequence[Tag]) -> Sequence[Meter]:
    """What is counted of the server."""
    return METERS


async def run(
    config: Config,
    tags: Sequence[Tag],
    put: Callable[[Batch], None],
    writes: AsyncIterator[tuple[Write, Callable[[Answer], None]]],
) -> None:
    """Watch until cancelled. OSError (TimeoutError among them): the server does not answer, start me again."""
    from agent.drivers.opcua import watching  # asyncua costs 0.7 s of import

    counted.begin(config.id, METERS)
    counted.begin(config.id, METERS)
    await watching.run(config, tags, put, writes)


async def probe(config: Config) -> str:
    """What the server says of itself: its endpoints, state and namespaces, in words. OSError if it does not answer."""
    from agent.drivers.opcua import probing

    return await probing.probe(config)
