"""One connection to the broker. Errors of the library become a LinkError (a ConnectionError) here and nowhere else."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

import aiomqtt
from paho.mqtt.client import topic_matches_sub
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.runtime import clock
from agent.sinks.mqtt import Config, Place, credentials
from agent.sinks.mqtt.faults import Fault, LinkError
from agent.sinks.mqtt.form import Heard, Out

if TYPE_CHECKING:
    from paho.mqtt.client import Client as Paho
    from paho.mqtt.client import MQTTMessage

log = logging.getLogger(__name__)

AT_MOST_ONCE, AT_LEAST_ONCE = 0, 1
VERSIONS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}

# Messages kept for a subscription that is still to come: a broker's session sends what waited as soon as we connect.
MOST_EARLY = 256

# So long the broker keeps our session while we are away.
SESSION_S = 7 * 86400

NEVER_SUBSCRIBED = "edgetwin/there-and-back"

# The library pings after one keep-alive of silence and gives up after a second one, and looks each `LOOK` of one:
# 2 * (0.7 + 0.025) of what is configured is less than 1.5.
LIBRARYS_SHARE, LOOK = 0.7, 0.025

# Bytes of a PUBLISH beside topic and payload, at most: fixed header, lengths, identifier, properties of ours.
HEADER = 64

SESSION_TAKEN_OVER = 0x8E
KEEP_ALIVE_TIMEOUT = 0x8D

T = TypeVar("T")
Take = Callable[[str, bytes], None]
Hear = Callable[[Heard], None]


class _RefusedError(aiomqtt.MqttError):
    """The broker is there, and does not want what we have."""


class Client(aiomqtt.Client):
    """aiomqtt takes every acknowledgement for a success; that of MQTT 5 can say that the message was refused."""

    largest: int | None = None  # packet that the broker takes, where it says so
    _left = False
    _takes: tuple[tuple[str, Hear], ...] = ()

    def __init__(self, *arguments: Any, keepalive_s: float, **options: Any) -> None:
        super().__init__(*arguments, keepalive=max(1, int(LIBRARYS_SHARE * keepalive_s)), **options)
        self._look_s = LOOK * keepalive_s
        self._early: deque[Heard] = deque(maxlen=MOST_EARLY)

    def _on_connect(
        self, client: Paho, userdata: Any, flags: Any, reason_code: ReasonCode, properties: Properties | None = None
    ) -> None:
        """A broker of MQTT 5 says how much it takes at once; the library passes over it, and lets nobody set it now."""
        at_once = getattr(properties, "ReceiveMaximum", client.max_inflight_messages)
        client._max_inflight_messages = min(at_once, client.max_inflight_messages)  # noqa: SLF001
        self.largest = getattr(properties, "MaximumPacketSize", None)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    async def _misc_loop(self) -> None:
        """The library's own looks each second, which is late for a short keep-alive."""
        while True:
            if self._client.loop_misc():
                return
            await asyncio.sleep(self._look_s)

    async def _wait_for(self, fut: Awaitable[T], timeout: float | None) -> T:
        """The library's own makes a task for each acknowledgement: a fifth of the cost of a message."""
        try:
            async with asyncio.timeout(self.timeout if timeout is None else timeout):
                return await fut
        except TimeoutError:
            raise aiomqtt.MqttError("Operation timed out") from None

    def taking(self, topic_filter: str, take: Hear) -> None:
        """From now on, and of what has come already, `take` gets what the filter matches."""
        self._takes = (*self._takes, (topic_filter, take))
        early, self._early = self._early, deque(maxlen=MOST_EARLY)
        for heard in early:
            self._deliver(heard)

    def _on_message(self, client: Paho, userdata: Any, message: MQTTMessage) -> None:
        """Straight to whoever takes it: a queue between would only add a bound that can be passed."""
        reply_to = getattr(message.properties, "ResponseTopic", "")
        correlation = getattr(message.properties, "CorrelationData", b"")
        self._deliver(Heard(message.topic, bytes(message.payload), reply_to, correlation))

    def _deliver(self, heard: Heard) -> None:
        takes = [take for topic_filter, take in self._takes if topic_matches_sub(topic_filter, heard.topic)]
        if not takes:
            self._early.append(heard)
        for take in takes:
            take(heard)

    def _on_publish(self, client: Paho, userdata: Any, mid: int, reason_code: ReasonCode, properties: Any) -> None:
        if not reason_code.is_failure:
            super()._on_publish(client, userdata, mid, reason_code, properties)
        elif not self._disconnected.done():
            self._disconnected.set_exception(_RefusedError(f"the broker refused a message: {reason_code}"))

    def _on_socket_register_write(self, client: Paho, userdata: Any, sock: Any) -> None:
        """The library adds a socket to the loop by number and later: by then it may be closed, its number another's."""

        def add() -> None:
            if sock.fileno() >= 0:
                self._loop.add_writer(sock.fileno(), self._write)

        self._loop.call_soon_threadsafe(add)

    def _write(self) -> None:
        try:
            self._client.loop_write()
        except (OSError, asyncio.CancelledError) as error:  # cancelled: whoever waited for the connection has gone
            if isinstance(error, OSError) and not self._disconnected.done():
                self._disconnected.set_exception(error)

    def _client_connect(self) -> None:
        """Runs in a thread that cannot be cancelled: whoever asked for the connection may have gone meanwhile."""
        super()._client_connect()
        if self._left:
            self._loop.call_soon_threadsafe(self.hang_up)

    def parting_with_will(self) -> None:
        """Whenever we go of our own will, too, the broker sends the last will (MQTT 5 only)."""
        part = self._client.disconnect
        reason = ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message")
        self._client.disconnect = lambda *_: part(reason)  # type: ignore[method-assign]

    def hang_up(self) -> None:
        """Close what a failed, broken or abandoned connection has left open."""
        self._left = True
        self._disconnected.add_done_callback(_seen)
        self._client.disconnect()


def _seen(future: asyncio.Future[None]) -> None:
    """Nobody waits any more to hear how a connection ended."""
    if not future.cancelled():
        future.exception()


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
        username=credentials.user(config),
        password=credentials.password(config, clock.wall_ns() // 1_000_000_000),
        protocol=VERSIONS[config.version],
        **_session(config, lasting),
        keepalive_s=config.keepalive_s,
        timeout=config.acknowledge_timeout_s,
        max_inflight_messages=config.max_in_flight,
        tls_context=credentials.tls(config),
        will=None if will is None else aiomqtt.Will(will.topic, will.payload, AT_LEAST_ONCE, will.retain),
        logger=log.getChild("paho"),
    )
    client.pending_calls_threshold = 2 * config.max_in_flight
    if not lasting and config.version == "5":
        client.parting_with_will()
    try:
        async with client:
            yield Link(client, config.acknowledge_timeout_s)
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


def told(error: aiomqtt.MqttError) -> LinkError:
    """What the library says, with the cause that it hides behind it."""
    cause = error.__cause__ or error.__context__
    hidden = cause is not None and str(cause) not in str(error)
    return LinkError(f"{error} ({cause})" if hidden else str(error), _fault(error))


def _fault(error: BaseException) -> Fault:
    """The kind of what the library says, or of what it hides."""
    if isinstance(error, _RefusedError):
        return Fault.REFUSED_MESSAGE
    if isinstance(error, aiomqtt.exceptions.MqttConnectError):
        return Fault.REFUSED_US
    if isinstance(error, aiomqtt.MqttCodeError) and isinstance(error.rc, ReasonCode):
        by_code = {SESSION_TAKEN_OVER: Fault.TAKEN_OVER, KEEP_ALIVE_TIMEOUT: Fault.SILENT}
        return by_code.get(error.rc.value, Fault.HUNG_UP)
    if isinstance(error, ssl.SSLError):
        return Fault.TLS
    if isinstance(error, OSError) and not isinstance(error, ConnectionResetError | BrokenPipeError | TimeoutError):
        return Fault.UNREACHABLE
    hidden = error.__cause__ or error.__context__
    if hidden is None:
        return Fault.HUNG_UP
    return Fault.SILENT if isinstance(hidden, TimeoutError) else _fault(hidden)
