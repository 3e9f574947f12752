"""How a connection is opened, by transport. OSError says why it cannot be."""

from __future__ import annotations

import asyncio
import errno
import random
import ssl
import termios
from collections.abc import Callable
from dataclasses import dataclass

from pymodbus import FramerType
from pymodbus.transport import CommParams, CommType
from pymodbus.transport.serialtransport import SerialTransport
from serial.rs485 import RS485Settings

from agent.drivers.modbus.config import Config
from agent.drivers.modbus.wire import security
from agent.drivers.modbus.wire.conversation import Conversation, ignored

FRAMER = {
    "tcp": FramerType.SOCKET,
    "tls": FramerType.SOCKET,
    "udp": FramerType.SOCKET,
    "rtu-over-tcp": FramerType.RTU,
    "rtu": FramerType.RTU,
    "ascii": FramerType.ASCII,
}
KIND = {"tls": CommType.TLS, "udp": CommType.UDP, "rtu": CommType.SERIAL, "ascii": CommType.SERIAL}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to: host and port; for a serial line the device, and 0."""

    host: str
    port: int

    def __str__(self) -> str:
        """The endpoint in a message."""
        return f"{self.host}:{self.port}" if self.port else self.host


def endpoints(config: Config) -> list[Endpoint]:
    """The main endpoint and, where there is one, its backup."""
    if config.serial:
        return [Endpoint(config.device, 0)]
    main = Endpoint(config.host, config.port)
    return [main, Endpoint(config.backup_host, config.backup_port or config.port)] if config.backup_host else [main]


async def opened(
    config: Config,
    to: Endpoint,
    timeout_s: float,
    heard: Callable[[int, int | None], None] = ignored,
    trace: Callable[[str, bytes], None] = ignored,
) -> Conversation:
    """A connection whose answers are waited for `timeout_s`; to connect takes as long as it takes."""
    params = CommParams(
        comm_type=KIND.get(config.transport, CommType.TCP),
        reconnect_delay=0.0,
        timeout_connect=timeout_s,
        host=to.host,
        port=to.port,
    )
    made = Conversation(params, FRAMER[config.transport], heard, trace, config.local_echo)
    if config.serial:
        _open_port(made, config)
    else:
        await _connect(made, config, to)
    # A gateway may hand a late answer to the connection that follows: its transactions are others.
    made.next_tid = random.randrange(65_000)
    return made


async def _connect(made: Conversation, config: Config, to: Endpoint) -> None:
    loop = asyncio.get_running_loop()
    if config.transport == "udp":
        await loop.create_datagram_endpoint(lambda: made, remote_addr=(to.host, to.port))
    elif config.transport == "tls":
        await _connect_tls(made, config, to)
    else:
        await loop.create_connection(lambda: made, to.host, to.port)


async def _connect_tls(made: Conversation, config: Config, to: Endpoint) -> None:
    loop, name = asyncio.get_running_loop(), config.server_name or to.host
    context = security.context(config)
    try:
        transport, _ = await loop.create_connection(lambda: made, to.host, to.port, ssl=context, server_hostname=name)
    except ssl.SSLError as error:
        raise ConnectionError(security.in_words(error, name)) from error
    except (ConnectionResetError, ConnectionAbortedError) as error:
        raise ConnectionError("it closed the TLS handshake: it may not trust our certificate") from error
    try:
        security.check_pin(config, transport.get_extra_info("ssl_object"))
    except ConnectionError:
        transport.abort()
        raise


class Port(SerialTransport):
    """pymodbus' serial port, which leaves none open that it could not set up."""

    def __init__(self, made: Conversation, config: Config) -> None:
        """Open it. OSError, termios.error."""
        line = (config.baudrate, config.bytesize, config.parity, config.stopbits)
        try:
            super().__init__(asyncio.get_running_loop(), made, config.device, *line, None)
        except (OSError, ValueError, termios.error):
            if "sync_serial" in self.__dict__:
                self.sync_serial.close()
            raise


def _open_port(made: Conversation, config: Config) -> None:
    try:
        port = Port(made, config)
    except (ValueError, termios.error) as error:
        raise OSError(f"it does not take these serial settings: {error.args[-1]}") from error
    except OSError as error:
        if error.errno != errno.EAGAIN:
            raise
        raise OSError("another program holds this port (the daemon, if one runs)") from error
    try:
        if config.rs485:
            _drive_rts(port, config)
    except OSError:
        port.close()
        raise
    made.transport = port
    port.setup()


def _drive_rts(port: SerialTransport, config: Config) -> None:
    try:
        port.sync_serial.rs485_mode = RS485Settings(
            rts_level_for_tx=config.rts_high_during_send,
            rts_level_for_rx=config.rts_high_after_send,
            loopback=config.rx_during_tx,
            delay_before_tx=config.delay_rts_before_send_s,
            delay_before_rx=config.delay_rts_after_send_s,
        )
    except ValueError as error:
        text = f"its driver does not know RS-485 ({error}), expected rs485: false: most adapters switch by themselves"
        raise OSError(text) from error
