"""aiomqtt's client, put right where a daemon cannot live with it, and its errors in our words.

It takes each acknowledgement for a success, looks at its keep-alive each second, forgets what a broker says it takes,
and waits in vain for one that hangs up before it lets us in.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import aiomqtt
from paho.mqtt.client import topic_matches_sub
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from agent.sinks.mqtt.faults import Fault, LinkError
from agent.sinks.mqtt.form import Heard

if TYPE_CHECKING:
    from paho.mqtt.client import Client as Paho
    from paho.mqtt.client import MQTTMessage
    from paho.mqtt.properties import Properties

# Messages kept for a subscription that is still to come: a broker's session sends what waited as soon as we connect.
MOST_EARLY = 256

# The library pings after one keep-alive of silence and gives up after a second one, and looks each `LOOK` of one:
# 2 * (0.7 + 0.025) of what is configured is less than 1.5.
LIBRARYS_SHARE, LOOK = 0.7, 0.025

SESSION_TAKEN_OVER = 0x8E
KEEP_ALIVE_TIMEOUT = 0x8D

T = TypeVar("T")
Hear = Callable[[Heard], None]


class _RefusedError(aiomqtt.MqttError):
    """The broker is there, and does not want what we have."""


class _TurnedAwayError(aiomqtt.MqttError):
    """The broker has hung up before it let us in."""


class Client(aiomqtt.Client):
    """One connection, used once."""

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

    def _on_disconnect(
        self, client: Paho, userdata: Any, flags: Any, reason_code: ReasonCode, properties: Properties | None = None
    ) -> None:
        """The library waits for an answer until its time is up, also from a broker that has hung up instead."""
        if self._connected.done() or self._left:
            super()._on_disconnect(client, userdata, flags, reason_code, properties)
        else:
            self._connected.set_exception(_TurnedAwayError("closed before an answer"))

    def _on_publish(self, client: Paho, userdata: Any, mid: int, reason_code: ReasonCode, properties: Any) -> None:
        if not reason_code.is_failure:
            super()._on_publish(client, userdata, mid, reason_code, properties)
        elif not self._disconnected.done():
            self._disconnected.set_exception(_RefusedError(f"the broker refused a message: {reason_code}"))

    def _on_unsubscribe(self, client: Paho, userdata: Any, mid: int, *_: Any) -> None:
        """One that comes after its time is no news, and the library would print a traceback."""
        waiting = self._pending_unsubscribes.pop(mid, None)
        if waiting is not None:
            waiting.set()

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


def told(error: aiomqtt.MqttError) -> LinkError:
    """What the library says, with the cause that it hides behind it."""
    cause = error.__cause__ or error.__context__
    hidden = cause is not None and str(cause) not in str(error)
    return LinkError(f"{error} ({cause})" if hidden else str(error), _fault(error))


def _fault(error: BaseException) -> Fault:
    """The kind of what the library says, or of what it hides."""
    if isinstance(error, _RefusedError):
        return Fault.REFUSED_MESSAGE
    if isinstance(error, _TurnedAwayError):
        return Fault.TURNED_AWAY
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
