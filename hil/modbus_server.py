"""A Modbus server of one unit, over TCP or RTU, whose registers are asked for at each request; can be cut off."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from pymodbus import FramerType, pymodbus_apply_logging_config
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

READ_COILS, READ_DISCRETE, READ_INPUTS = 1, 2, 4
COIL_CODES = frozenset((1, 5, 15))
Words = Mapping[int, int]
Write = Callable[[int, list[int]], Awaitable[ExcCodes | None]]


async def refuse_write(address: int, values: list[int]) -> ExcCodes | None:
    """For tables that cannot be written."""
    return ExcCodes.ILLEGAL_ADDRESS


@dataclass(frozen=True, slots=True)
class Tables:
    """The unit's tables: addresses that exist, present words by address (None: not known yet), what a write does."""

    input_addresses: Iterable[int]
    inputs: Callable[[], Words | None]
    holding_addresses: Iterable[int] = (0,)
    holdings: Callable[[], Words | None] = dict
    coil_count: int = 0
    coils: Callable[[], Words | None] = dict
    write_holdings: Write = refuse_write
    write_coils: Write = refuse_write


def contiguous(addresses: Iterable[int]) -> list[SimData]:
    """Register blocks over the given addresses; what lies between them stays an illegal address."""
    blocks: list[tuple[int, int]] = []
    for address in sorted(set(addresses)):
        if blocks and blocks[-1][0] + blocks[-1][1] == address:
            blocks[-1] = (blocks[-1][0], blocks[-1][1] + 1)
        else:
            blocks.append((address, 1))
    return [SimData(start, count=count, values=0, datatype=DataType.REGISTERS) for start, count in blocks]


class Unit:
    """One unit's answers to requests."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def device(self, unit_id: int) -> SimDevice:
        """The unit for pymodbus."""
        bits = SimData(0, values=[False] * 16, datatype=DataType.BITS)
        other_bits = SimData(0, values=[False] * 16, datatype=DataType.BITS)
        tables = self._tables
        holdings, inputs = contiguous(tables.holding_addresses), contiguous(tables.input_addresses)
        return SimDevice(unit_id, simdata=([bits], [other_bits], holdings, inputs), action=self.act)

    async def act(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Brings the block up to date before it is read, or carries out a write."""
        if function in COIL_CODES:
            return await self._coils(address, registers, values)
        if function == READ_DISCRETE:
            return ExcCodes.ILLEGAL_ADDRESS
        if values is not None:
            return await self._tables.write_holdings(address, [int(v) for v in values])
        words = self._tables.inputs() if function == READ_INPUTS else self._tables.holdings()
        return _refresh(words, start, address, count, registers)

    async def _coils(
        self, address: int, registers: list[int], values: list[int] | list[bool] | None
    ) -> ExcCodes | None:
        # pymodbus packs 16 coils a register and gives the count in registers, not in coils.
        asked = len(values) if values is not None else 1
        if address + asked > self._tables.coil_count:
            return ExcCodes.ILLEGAL_ADDRESS
        if values is not None:
            return await self._tables.write_coils(address, [int(v) for v in values])
        coils = self._tables.coils()
        if coils is None:
            return ExcCodes.DEVICE_BUSY
        registers[0] = sum(1 << coil for coil, on in coils.items() if on)
        return None


def _refresh(words: Words | None, start: int, address: int, count: int, registers: list[int]) -> ExcCodes | None:
    if words is None:
        return ExcCodes.DEVICE_BUSY
    if any(at not in words for at in range(address, address + count)):
        return ExcCodes.ILLEGAL_ADDRESS
    for at in range(address, address + count):
        registers[at - start] = words[at]
    return None


async def _no_such_unit(*_: object) -> ExcCodes | None:
    return ExcCodes.GATEWAY_NO_RESPONSE


class ModbusPlc:
    """Serves one unit; `stop` drops all clients and refuses new ones, `start` listens again at the same port.

    `device`: RTU on this serial port (19200 baud, 8N1) in the place of TCP.
    """

    def __init__(self, host: str, port: int, tables: Tables, unit_id: int = 1, device: str = "") -> None:
        pymodbus_apply_logging_config("CRITICAL")
        self.host, self.port, self._device = host, port, device
        everything = SimData(0, count=65536, values=0, datatype=DataType.REGISTERS)
        # Unit 0 answers for all units that are not there; without it pymodbus raises KeyError.
        self._devices = [Unit(tables).device(unit_id), SimDevice(0, simdata=[everything], action=_no_such_unit)]
        self._server: ModbusTcpServer | ModbusSerialServer | None = None

    @property
    def listening(self) -> bool:
        """True while clients can connect."""
        return self._server is not None

    async def start(self) -> None:
        """Listens; port 0 takes a free one, which `port` shows. OSError if the address cannot be had."""
        server = self._made()
        try:
            await server.serve_forever(background=True)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self.where}") from error
        if not self._device:
            self.port = listening_port(server.transport)
        self._server = server

    @property
    def where(self) -> str:
        """The serial port, or host and port."""
        return self._device or f"{self.host}:{self.port}"

    def _made(self) -> ModbusTcpServer | ModbusSerialServer:
        if self._device:
            framer = FramerType.RTU
            return ModbusSerialServer(self._devices, framer=framer, port=self._device, baudrate=19200, parity="N")
        return ModbusTcpServer(self._devices, address=(self.host, self.port))

    async def stop(self) -> None:
        """Drops all clients and closes the port."""
        if self._server is not None:
            self._server.close()
            self._server = None


def listening_port(listener: object) -> int:
    """The TCP port on which a listening asyncio server was bound."""
    if not isinstance(listener, asyncio.Server):
        raise TypeError(f"{listener!r} does not listen")
    port: int = listener.sockets[0].getsockname()[1]
    return port
