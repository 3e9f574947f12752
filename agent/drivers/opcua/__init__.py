"""OPC UA client: subscribes to all tags of a server, and confirms them by a periodic read.

A value is fresh when the server vouched for it: a notification came, or the periodic read of all nodes gave it again.
A subscription that fell silent is found because the read knows something that was never notified, and is rebuilt.

    config.py  items.py          what can be set for a server and for each tag
    node.py  members.py          how a value is named: node ids, browse paths, parts of a value
    session.py  secure/          from connecting to leaving; certificates, logins, old sessions
    services.py                  what an open session does: limits, reading, writing, browsing in batches
    resolving.py                 from names to the nodes of the server as it is now
    binary/                      OPC UA Binary: answers with values as columns, structures by their definition
    values.py                    what was sent as columns of tags
    known.py                     the newest of each tag, and what the periodic read knows that was never notified
    publishing.py                publish requests and the order of messages
    subscription.py              monitored items in batches
    watching.py                  the loops: periodic and cyclic reads, notifications, mending
    writing.py                   writes with read-back
    probing.py  browsing.py  recording.py      for a person at the command line
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from agent.core.nouns import Answer, Batch, Found, Meter, Tag, Write
from agent.drivers.opcua.config import Config, check
from agent.drivers.opcua.items import TAG_OPTIONS
from agent.runtime import meters as counted

__all__ = ["TAG_OPTIONS", "Config", "advice", "browse", "check", "meters", "probe", "record", "run"]

METERS = (
    Meter("requests", "1", "Requests sent"),
    Meter("errors", "1", "Requests that failed, of whatever class"),
    Meter("timeouts", "1", "Requests that were not answered in time"),
    Meter("refused", "1", "Requests that the server refused"),
    Meter("malformed", "1", "Answers that were none: cut or garbled"),
    Meter("lost", "1", "Connections closed or refused"),
    Meter("rtt_s", "s", "Newest round trip"),
    Meter("notifications", "1", "Changes of values that the server sent"),
    Meter("overflows", "1", "Times a queue of the server was too short, and values were lost in it"),
    Meter("republished", "1", "Messages that were lost on the way, and asked for again"),
    Meter("filters_refused", "1", "Tags whose deadband or trigger the server does not take"),
    Meter("resubscribed", "1", "Times a silent subscription was made anew"),
    Meter("dropped", "1", "Notifications lost because they could not be taken in time"),
    Meter("missed", "1", "Due times of the periodic reads left out"),
)
OF_SECURED = (
    Meter("renewals", "1", "Times the keys of the connection were made anew"),
    Meter("certificate_days", "d", "Until our certificate ends"),
    Meter("server_certificate_days", "d", "Until the certificate of the server ends"),
)


def meters(config: Config, tags: Sequence[Tag]) -> Sequence[Meter]:
    """What is counted of the server."""
    return METERS if config.policy == "none" else (*METERS, *OF_SECURED)


def advice(config: Config, tags: Sequence[Tag]) -> list[str]:
    """What is allowed and better done otherwise, in words."""
    from agent.drivers.opcua.secure import security

    return security.advice(config)


async def run(
    config: Config,
    tags: Sequence[Tag],
    put: Callable[[Batch], None],
    writes: AsyncIterator[tuple[Write, Callable[[Answer], None]]],
) -> None:
    """Watch until cancelled. OSError (TimeoutError among them): the server does not answer, start me again."""
    from agent.drivers.opcua import watching  # asyncua costs 0.7 s of import

    counted.begin(config.id, meters(config, tags))
    await watching.run(config, tags, put, writes)


async def probe(config: Config) -> str:
    """What the server says of itself: its endpoints, state and namespaces, in words. OSError if it does not answer."""
    from agent.drivers.opcua import probing

    return await probing.probe(config)


async def browse(config: Config, start: str = "", depth: int = 8, most: int = 10_000) -> Sequence[Found]:
    """The variables below a node (unset: the Objects folder without the server's own), `most` at most. OSError."""
    from agent.drivers.opcua import browsing

    return await browsing.browse(config, start, depth, most)


async def record(config: Config, start: str, depth: int, most: int, for_s: float) -> Mapping[str, Any]:
    """The variables below a node, their types, and what their values did for so long: see recording.py. OSError."""
    from agent.drivers.opcua import recording

    return await recording.record(config, start, depth, most, for_s)
