"""One connection to a Modbus endpoint. One request at a time; after anything but an answer the connection is renewed,
so that nothing late is ever taken for the answer to another request."""

from __future__ import annotations

import logging
import random
import termios
from collections.abc import Awaitable, Callable, Sequence

import anyio
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient, AsyncModbusUdpClient
from pymodbus.exceptions import ConnectionException, ModbusException, ModbusIOException
from pymodbus.pdu import ModbusPDU

from agent.core.address import Table
from agent.core.blocks import Block
from agent.drivers.modbus.answers import Client, check_ours, guard
from agent.drivers.modbus.config import Config
from agent.runtime import clock, meters

FRAMER = {
    "tcp": FramerType.SOCKET,
    "udp": FramerType.SOCKET,
    "rtu-over-tcp": FramerType.RTU,
    "rtu": FramerType.RTU,
    "ascii": FramerType.ASCII,
}


class Refused(Exception):  # noqa: N818  (an answer, not an error)
    """The device answered with an exception code (Modbus application protocol, section 7)."""

    def __init__(self, block: str, code: int) -> None:
        """Say what was refused and with which code."""
        super().__init__(f"{block}: the device answered with exception {code}{MEANING.get(code, '')}")
        self.code = code


class NoAnswerError(ConnectionError):
    """The connection was closed, or what came is not the answer to the request."""


MEANING = {
    1: " (function not supported)",
    2: " (no such address)",
    3: " (value or length not allowed)",
    4: " (device failure)",
    6: " (busy)",
    10: " (gateway: no path)",
    11: " (gateway: unit does not answer)",
}


class Link:
    """The connection of one endpoint, opened when it is needed. `timeout_s` covers connecting and the answer."""

    def __init__(self, config: Config, timeout_s: float) -> None:
        """Prepare, without connecting."""
        # pymodbus logs a dump of its last frames with each failure; what matters comes out as our errors.
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
        self.config = config
        self.timeout_s = timeout_s
        self._client: Client | None = None
        self._turn = anyio.Lock(fast_acquire=True)
        self._quiet_until_ns = 0
        self._asking = False

    async def read(self, block: Block, once: bool = False) -> tuple[list[int], int]:
        """The registers or bits of a block, `count` of them, and when they came. Refused, TimeoutError, OSError.

        `once`: do not repeat it although it was not answered.
        """
        what = f"{self.config.where} unit {block.unit} {block.table.word}:{block.start}+{block.count}"
        for _ in range(0 if once else self.config.retries):
            try:
                return await self._read(block, what)
            except (TimeoutError, NoAnswerError):
                continue
        return await self._read(block, what)

    async def _read(self, block: Block, what: str) -> tuple[list[int], int]:
        def ask(client: Client) -> Awaitable[ModbusPDU]:
            reads = (
                client.read_coils,
                client.read_discrete_inputs,
                client.read_holding_registers,
                client.read_input_registers,
            )
            return reads[block.table - 1](block.start, count=block.count, device_id=block.unit)

        answer, t_ns = await self._ask(ask, what, int(block.table), block.count)
        values: Sequence[int] = answer.bits if block.table.bits else answer.registers
        return list(values[: block.count]), t_ns

    async def write(self, unit: int, table: Table, start: int, values: list[int]) -> None:
        """Write one coil (FC 5), one register (6) or several registers (16). Refused, TimeoutError, OSError."""

        def ask(client: Client) -> Awaitable[ModbusPDU]:
            if table is Table.COIL:
                return client.write_coil(start, bool(values[0]), device_id=unit)
            if len(values) == 1:
                return client.write_register(start, values[0], device_id=unit)
            return client.write_registers(start, values, device_id=unit)

        function = 5 if table is Table.COIL else 6 if len(values) == 1 else 16
        await self._ask(ask, f"{self.config.where} unit {unit} write {table.word}:{start}", function)

    async def _ask(
        self, ask: Callable[[Client], Awaitable[ModbusPDU]], what: str, function: int, count: int | None = None
    ) -> tuple[ModbusPDU, int]:
        async def checked(client: Client) -> ModbusPDU:
            answer = await ask(client)
            check_ours(answer, client, function, count)
            return answer

        async with self._turn:
            await self._keep_quiet()
            counts, answered = meters.current(), False
            counts.add(f"{self.config.id}/requests")
            try:
                asked_ns, self._asking = clock.now_ns(), True
                answer = await self._exchange(checked)
                t_ns, answered = clock.now_ns(), True
            except ConnectionException as error:
                raise NoAnswerError(f"{what}: the connection was closed") from error
            except (ModbusIOException, TimeoutError) as error:
                raise TimeoutError(f"{what}: no answer within {self.timeout_s:g} s") from error
            except ModbusException as error:
                raise NoAnswerError(f"{what}: {error.string}") from error
            finally:
                self._asking = False
                if not answered:
                    counts.add(f"{self.config.id}/errors")
                    self._drop()
            counts.set(f"{self.config.id}/rtt_s", (t_ns - asked_ns) * 1e-9)
            return self._accept(answer, what), t_ns

    async def _exchange(self, ask: Callable[[Client], Awaitable[ModbusPDU]]) -> ModbusPDU:
        """One request; `timeout_s` covers connecting too. An open client keeps the time by itself."""
        if self._client is not None:
            return await ask(self._client)
        with anyio.fail_after(self.timeout_s + self.config.pause_after_connect_s):
            return await ask(await self._open())

    def _accept(self, answer: ModbusPDU, what: str) -> ModbusPDU:
        if answer.isError():
            meters.current().add(f"{self.config.id}/errors")
            raise Refused(what, answer.exception_code)
        return answer

    async def _keep_quiet(self) -> None:
        rest_ns = self._quiet_until_ns - clock.now_ns()
        if rest_ns > 0:
            await anyio.sleep(rest_ns * 1e-9)
        self._quiet_until_ns = clock.now_ns() + int(self.config.pause_between_requests_s * 1e9)

    async def _open(self) -> Client:
        client = self._new()
        guard(client)
        try:
            # pymodbus' connect() hides the reason of a failure; this is what it does.
            client.ctx.transport, _ = await client.ctx.call_create()
        except termios.error as error:
            raise OSError(f"{self.config.where} does not take these serial settings: {error}") from error
        # A gateway may hand a late answer to the connection that follows: its transactions are others.
        client.ctx.next_tid = random.randrange(65_000)
        self._client = client
        await anyio.sleep(self.config.pause_after_connect_s)
        return client

    def _new(self) -> Client:
        config = self.config
        if config.serial:
            return AsyncModbusSerialClient(
                config.device,
                framer=FRAMER[config.transport],
                baudrate=config.baudrate,
                parity=config.parity,
                stopbits=config.stopbits,
                bytesize=config.bytesize,
                reconnect_delay=0,
                timeout=self.timeout_s,
                retries=0,
                trace_connect=self._lost,
            )
        kind = AsyncModbusUdpClient if config.transport == "udp" else AsyncModbusTcpClient
        return kind(
            config.host,
            framer=FRAMER[config.transport],
            port=config.port,
            reconnect_delay=0,
            timeout=self.timeout_s,
            retries=0,
            trace_connect=self._lost,
        )

    def _lost(self, connected: bool) -> None:
        """Tell a request in flight that the peer closed: pymodbus would wait for its timeout."""
        if connected or self._client is None:
            return
        client, self._client = self._client, None
        if self._asking and not client.ctx.response_future.done():
            client.ctx.response_future.set_exception(ConnectionException("closed"))

    def _drop(self) -> None:
        """Renew the connection before the next request; without transaction numbers, let a late answer go by first."""
        if FRAMER[self.config.transport] is not FramerType.SOCKET:
            self._quiet_until_ns = clock.now_ns() + int(self.timeout_s * 1e9)
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
