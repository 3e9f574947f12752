"""The connection to the broker: messages in batches, each acknowledged when we say so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.ingest.options import Options
from agent.sinks.mqtt import link
from agent.sinks.mqtt.client import Client as Sending
from agent.sinks.mqtt.client import told

if TYPE_CHECKING:
    from paho.mqtt.client import Client as Paho
    from paho.mqtt.client import MQTTMessage

# So long the broker keeps what comes for us while we are away.
SESSION_S = 30 * 86400

# Messages under way to us and not acknowledged, as far as the broker allows (mosquitto: max_inflight_messages).
MOST = 500
LARGEST = 4 << 20


class _Client(Sending):
    """A message is acknowledged by `acknowledge`, not by its arrival."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._client.manual_ack_set(True)

    def _on_message(self, client: Paho, userdata: Any, message: MQTTMessage) -> None:
        """Into the library's queue: what may be unacknowledged bounds it."""
        super(Sending, self)._on_message(client, userdata, message)

    def acknowledge(self, message: aiomqtt.Message) -> None:
        """Tell the broker that it may forget the message."""
        self._client.ack(message.mid, message.qos)

    async def lost(self) -> None:
        """Until the connection has ended. MqttError: why."""
        await asyncio.wait([self._disconnected])
        self._disconnected.result()
        raise aiomqtt.MqttError("the broker has closed the connection")


class Link(link.Link):
    """An open connection."""

    _client: _Client

    async def subscribe_to(self, filters: Iterable[str]) -> None:
        """Have all that matches. ConnectionError: the broker refuses one."""
        for topic_filter in filters:
            await self.subscribe(topic_filter, lambda topic, payload: None)

    async def batch(self) -> list[aiomqtt.Message]:
        """The next message and all that have come with it, within bounds."""
        messages = self._client.messages
        try:
            batch = [await anext(messages)]
            size = len(batch[0].payload)
            while len(messages) and len(batch) < MOST and size < LARGEST:
                batch.append(await anext(messages))
                size += len(batch[-1].payload)
        except aiomqtt.MqttError as error:
            raise told(error) from error
        return batch

    def acknowledge(self, messages: Sequence[aiomqtt.Message]) -> None:
        """Tell the broker that these are ours now."""
        for message in messages:
            self._client.acknowledge(message)

    async def watch(self) -> None:
        """Until cancelled; ConnectionError as soon as the connection is lost."""
        try:
            await self._client.lost()
        except aiomqtt.MqttError as error:
            raise told(error) from error


@asynccontextmanager
async def connected(options: Options) -> AsyncIterator[Link]:
    """A connection in a session that the broker keeps. OSError: the broker or a file is not there."""
    config = options.broker
    host, port = config.places[0]
    client = _Client(host, port, identifier=config.client_id, **_session(config.version), **link.options(config))
    client.pending_calls_threshold = MOST
    async with link.opened(client):
        yield Link(client, config.acknowledge_timeout_s)


def filters(options: Options) -> list[str]:
    """What we subscribe to. Records are shared among the receivers of a group, where the broker knows MQTT 5; what
    gateways say of themselves is for each of them."""
    group = f"$share/{options.group}/" if options.group and options.broker.version == "5" else ""
    records = [f"{group}{options.prefix}/{class_}/+" for class_ in ("event", "summary", "raw")]
    return [*(f"{options.prefix}/{rest}" for rest in ("names/+", "birth", "status")), *records]


def _session(version: str) -> dict[str, Any]:
    if version == "3.1.1":
        return {"clean_session": False}
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION_S
    properties.ReceiveMaximum = MOST
    return {"clean_start": False, "properties": properties}
