"""OPC UA client: subscribes to all tags of a server, and confirms them by a periodic read.

A value is fresh when the server vouched for it: a notification came, or the periodic read of all nodes gave it again.
A subscription that fell silent is found because the read knows something that was never notified, and is rebuilt.

    config.py  node.py           what can be set; how a node is written
    session.py                   one session: security, limits, reading, writing
    values.py                    DataValues to columns
    known.py                     the newest of each tag, and what the periodic read knows that was never notified
    subscription.py              monitored items in batches, notifications as they come
    watching.py                  the loops: periodic read, notifications, writes
    writing.py                   writes with read-back
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from agent.core.nouns import Answer, Batch, Tag, Write
from agent.drivers.opcua.config import Config, check

__all__ = ["Config", "check", "probe", "run"]


async def run(
    config: Config,
    tags: Sequence[Tag],
    put: Callable[[Batch], None],
    writes: AsyncIterator[tuple[Write, Callable[[Answer], None]]],
) -> None:
    """Watch until cancelled. OSError (TimeoutError among them): the server does not answer, start me again."""
    from agent.drivers.opcua import watching  # asyncua costs 0.7 s of import

    await watching.run(config, tags, put, writes)


async def probe(config: Config) -> str:
    """What the server says of itself: its endpoints, state and namespaces, in words. OSError if it does not answer."""
    from agent.drivers.opcua import probing

    return await probing.probe(config)
