"""One open connection, one request at a time. pymodbus frames, checks checksums and finds the answer to a request among
what comes; here bytes that are no answer fail the request in flight, if there is one, and nothing else."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

from pymodbus import FramerType
from pymodbus.exceptions import ConnectionException, ModbusException, ModbusIOException
from pymodbus.framer import FRAMER_NAME_TO_CLASS
from pymodbus.pdu import ModbusPDU
from pymodbus.transaction import TransactionManager
from pymodbus.transport import CommParams, CommType

from agent.drivers.modbus.wire.answers import Answers, Reply, check_ours
from agent.drivers.modbus.wire.errors import MalformedError, NoAnswerError

UNDECODABLE = (MalformedError, ModbusException, struct.error, IndexError, ValueError)
SHOWN = 32


def ignored(*_: object) -> None:
    """Nothing."""


class Conversation(TransactionManager):
    """A connection.

    `heard(first byte, unit asked)` is told of bytes that are no answer; `trace(direction, bytes)` of all.
    `local_echo`: the adapter hears what we send; exactly that must come back before the answer, and is left out.
    """

    def __init__(
        self,
        params: CommParams,
        framer: FramerType,
        heard: Callable[[int, int | None], None] = ignored,
        trace: Callable[[str, bytes], None] = ignored,
        local_echo: bool = False,
    ) -> None:
        """Prepare, not yet connected."""
        super().__init__(params, FRAMER_NAME_TO_CLASS[framer](Answers()), 0, False, None, None, None)
        self.max_buffer_size = 2 * self.framer.MAX_SIZE  # a late answer and the one that is waited for
        self.response_future.cancel()  # what comes before the first request is nobody's answer
        self._heard, self._trace = heard, trace
        self._local_echo, self._echo = local_echo, b""
        self._stray, self._answered = b"", False

    async def ask(self, request: ModbusPDU) -> Reply:
        """The answer to a request. TimeoutError, NoAnswerError, MalformedError."""
        self._stray = b""
        try:
            reply = await self.execute(False, request)
        except ModbusIOException:
            raise self._why_silent() from None
        except ConnectionException:
            raise NoAnswerError("the connection was closed") from None
        if not isinstance(reply, Reply):
            raise MalformedError(f"{reply} is no answer")
        check_ours(reply, request)
        self._answered = True
        return reply

    def end(self) -> None:
        """Close the connection."""
        if self.is_active():
            self._trace("-", b"")
            if self.comm_params.comm_type is CommType.TLS and isinstance(self.transport, asyncio.WriteTransport):
                self.transport.abort()  # a peer that is silent would be waited for to say good-bye
        self.close()

    def _why_silent(self) -> OSError:
        stray = self._stray + self.recv_buffer
        within = f"no answer within {self.comm_params.timeout_connect:g} s"
        if self._echo:
            return TimeoutError(f"{within}, and no echo of our request: local_echo is not what this line does")
        if not stray:
            return TimeoutError(within)
        shown = stray[:SHOWN].hex(" ") + (" ..." if len(stray) > SHOWN else "")
        return MalformedError(f"{within}, only {len(stray)} bytes that are none: {shown}")

    def fail(self, error: Exception) -> None:
        """End the request in flight, if there is one."""
        if not self.response_future.done():
            self.response_future.set_exception(error)

    async def connect(self) -> bool:
        """Never by pymodbus itself: a connection that was lost is replaced by another."""
        raise ConnectionException

    def send(self, data: bytes, addr: tuple[object, ...] | None = None) -> None:
        """Send the bytes of a request."""
        self._trace(">", data)
        self._echo = data if self._local_echo else b""
        super().send(data, addr)

    def datagram_received(self, data: bytes, addr: tuple[object, ...] | None) -> None:
        """Take what comes, of a stream too."""
        self._trace("<", data)
        if self._echo:
            data = self._after_echo(data)
        if data:
            super().datagram_received(data, addr)

    def _after_echo(self, data: bytes) -> bytes:
        n = min(len(data), len(self._echo))
        if data[:n] != self._echo[:n]:
            wanted, self._echo = self._echo[:n].hex(" "), b""
            self.fail(MalformedError(f"our own request came back as {data[:n].hex(' ')}, expected {wanted}"))
            return b""
        self._echo = self._echo[n:]
        return data[n:]

    def callback_data(self, data: bytes, addr: tuple[object, ...] | None = None) -> int:
        """Decode; pymodbus lets what cannot be decoded fail in the event loop."""
        asked = None if self.response_future.done() else self.request_dev_id
        try:
            used = super().callback_data(data, addr)
        except UNDECODABLE as error:
            why = error.string if isinstance(error, ModbusException) else error
            self.fail(MalformedError(f"not a Modbus answer: {why}"))
            used = len(data)
        if self.last_pdu is None or asked is None:
            self._stray = (self._stray + data[:used])[-self.max_buffer_size :]
            self._heard(data[0], asked)
        return used

    def callback_disconnected(self, exc: Exception | None) -> None:
        """The other side closed: tell the request in flight, which would wait for its timeout."""
        self._trace("x", b"")
        why = f": {exc}" if exc else ""
        if self.comm_params.comm_type is CommType.TLS and not self._answered:
            # TLS 1.3: the other side judges our certificate after the handshake, and its reason may be lost.
            why += " (before any answer: it may not trust our certificate)"
        self.fail(NoAnswerError(f"the connection was closed{why}"))

    def error_received(self, exc: Exception) -> None:
        """The network refused a datagram."""
        self.fail(NoAnswerError(str(exc)))
