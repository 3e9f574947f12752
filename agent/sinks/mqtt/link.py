"""One connection to the broker. Its errors are a LinkError, which is a ConnectionError."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.runtime import clock
from agent.sinks.mqtt import Config, Place, credentials
from agent.sinks.mqtt.client import Client, Hear, told
from agent.sinks.mqtt.faults import Fault, LinkError
from agent.sinks.mqtt.form import Out

log = logging.getLogger(__name__)

AT_MOST_ONCE, AT_LEAST_ONCE = 0, 1
VERSIONS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}

# So long the broker keeps our session while we are away.
SESSION_S = 7 * 86400

NEVER_SUBSCRIBED = "edgetwin/there-and-back"

# Bytes of a PUBLISH beside topic and payload, at most: fixed header, lengths, identifier, properties of ours.
HEADER = 64

Take = Callable[[str, bytes], None]


class Link:
    """An open connection."""

    def __init__(self, client: Client, timeout_s: float) -> None:
        """Use `connected`."""
        self._client, self._timeout_s = client, timeout_s
        self.largest = math.inf if client.largest is None else client.largest - HEADER

    async def publish(self, topic: str, payload: bytes, retain: bool = False, correlation: bytes = b"") -> None:
        """Hand a message to the broker; returns once it is acknowledged. ConnectionError: it may or may not have it.

        `correlation` goes with an answer to one that came with it. What is longer than `largest` (bytes of topic and
        payload) is refused here: a broker would hang up.
        """
        if len(topic) + len(payload) > self.largest:
            said = f"{topic}: {len(payload)} bytes, and the broker takes {self.largest:.0f} at once"
            raise LinkError(said, Fault.REFUSED_MESSAGE)
        properties = _correlated(correlation) if correlation else None
        try:
            await self._client.publish(topic, payload, AT_LEAST_ONCE, retain, properties, timeout=self._timeout_s)
        except aiomqtt.MqttError as error:
            raise told(error) from error

    async def publish_once(self, topic: str, payload: bytes) -> None:
        """Hand over a message that nobody acknowledges (QoS 0); returns once the system's socket has it."""
        try:
            await self._client.publish(topic, payload, AT_MOST_ONCE, timeout=self._timeout_s)
        except aiomqtt.MqttError as error:
            raise told(error) from error

    async def there_and_back(self) -> None:
        """Once this returns, the broker has taken all that was handed over before: it answers in the order it reads.

        What it is asked changes nothing: to end a subscription that we never had.
        """
        try:
            await self._client.unsubscribe(NEVER_SUBSCRIBED, timeout=self._timeout_s)
        except aiomqtt.MqttError as error:
            raise told(error) from error

    async def subscribe(self, topic_filter: str, take: Take) -> None:
        """Have `take(topic, payload)` called on the loop for each message from now on; it never waits, never raises.

        QoS 1, in a session that the broker keeps: what came while we were away comes first. ConnectionError: refused.
        """
        await self.hear(topic_filter, lambda heard: take(heard.topic, heard.payload))

    async def hear(self, topic_filter: str, take: Hear) -> None:
        """The same with all that a message came with."""
        # The library calls from a thread's context, where nothing is known of the daemon that this belongs to.
        context = copy_context()
        self._client.taking(topic_filter, lambda heard: context.run(take, heard))
        try:
            granted = await self._client.subscribe(topic_filter, AT_LEAST_ONCE, timeout=self._timeout_s)
        except aiomqtt.MqttError as error:
            raise told(error) from error
        refused = [code for code in granted if (code >= 128 if isinstance(code, int) else code.is_failure)]
        if refused:
            said = f"the broker refused the subscription to {topic_filter}: {refused[0]}"
            raise LinkError(said, Fault.REFUSED_MESSAGE)

    async def watch(self) -> None:
        """Until cancelled; ConnectionError as soon as the connection is lost, whatever else waits for it."""
        try:
            async for _ in self._client.messages:  # none: those are taken as they come
                pass
        except aiomqtt.MqttError as error:
            raise told(error) from error


@asynccontextmanager
async def connected(
    config: Config, client_id: str, will: Out | None, place: Place | None = None, *, lasting: bool = True
) -> AsyncIterator[Link]:
    """A connection to one broker (the first one if none is named), with a last will.

    Not `lasting`: a session that begins clean and ends with the connection, and never without the last will.
    ConnectionError or OSError: the broker or a file is not there.
    """
    host, port = place or config.places[0]
    client = Client(
        host,
        port,
        identifier=client_id,
        **_session(config, lasting),
        **options(config),
        max_inflight_messages=config.max_in_flight,
        will=None if will is None else aiomqtt.Will(will.topic, will.payload, AT_LEAST_ONCE, will.retain),
    )
    client.pending_calls_threshold = 2 * config.max_in_flight
    if not lasting and config.version == "5":
        client.parting_with_will()
    async with opened(client):
        yield Link(client, config.acknowledge_timeout_s)


def options(config: Config) -> dict[str, Any]:
    """Of a client: how the broker knows us, how we it, and how long we wait. LinkError: a file cannot be used."""
    return {
        "username": credentials.user(config),
        "password": credentials.password(config, clock.wall_ns() // 1_000_000_000),
        "protocol": VERSIONS[config.version],
        "keepalive_s": config.keepalive_s,
        "timeout": config.acknowledge_timeout_s,
        "tls_context": credentials.tls(config),
        "logger": log.getChild("paho"),
    }


@asynccontextmanager
async def opened(client: Client) -> AsyncIterator[None]:
    """While a client is connected. ConnectionError: it is not, or no longer; what is left of it is closed."""
    try:
        async with client:
            yield
    except aiomqtt.MqttError as error:
        raise told(error) from error
    finally:
        client.hang_up()


def _session(config: Config, lasting: bool) -> dict[str, Any]:
    """The broker keeps our subscriptions and what comes for them while we are away. What we send, the journal keeps."""
    if config.version == "3.1.1":
        return {"clean_session": not lasting}
    if not lasting:
        return {"clean_start": True}  # and gone with the connection: no expiry interval is one of 0
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION_S
    return {"clean_start": False, "properties": properties}


def _correlated(correlation: bytes) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.CorrelationData = correlation
    return properties
