"""Which bytes are an answer at all: pymodbus decodes what is too long, odd, or of a function that nobody asked for."""

from __future__ import annotations

import struct

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient, AsyncModbusUdpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

Client = AsyncModbusTcpClient | AsyncModbusUdpClient | AsyncModbusSerialClient

COUNTED = {1: 1, 2: 1, 3: 2, 4: 2}  # reads, whose data have a byte count: bytes of the smallest datum
BITS = (1, 2)
ECHOED = {5: 5, 6: 5, 15: 5, 16: 5}  # writes, whose answer has a fixed length


def why_malformed(pdu: bytes) -> str:
    """What is wrong with a PDU as an answer to any request of ours, empty if nothing (application protocol 6, 7)."""
    function = pdu[0]
    if function & 0x80:
        return "" if len(pdu) == 2 else f"an exception of {len(pdu)} bytes, expected 2"
    if function in ECHOED:
        return "" if len(pdu) == ECHOED[function] else f"{len(pdu)} bytes, expected {ECHOED[function]}"
    if function not in COUNTED:
        return f"function {function}, which is never asked"
    count = pdu[1] if len(pdu) > 1 else 0
    if len(pdu) != 2 + count or count % COUNTED[function]:
        return f"a byte count of {count} in {len(pdu)} bytes"
    return ""


def check_ours(answer: ModbusPDU, client: Client, function: int, count: int | None) -> None:
    """ModbusException unless it answers the last request, a read with `count` values (None: a write).

    pymodbus lets transaction 0 and, where unit 0 was asked, any unit pass.
    """
    expected = (client.ctx.request_transaction_id, client.ctx.request_dev_id, function)
    found = (answer.transaction_id, answer.dev_id, answer.function_code & 0x7F)
    if found != expected:
        form = "the answer is to transaction {}, unit {}, function {}, expected {}, {}, {}"
        raise ModbusException(form.format(*found, *expected))
    if count is None or answer.isError():
        return
    came, asked = (len(answer.bits), -(-count // 8) * 8) if function in BITS else (len(answer.registers), count)
    if came != asked:
        raise ModbusException(f"{came} values came where {asked} were asked")


def guard(client: Client) -> None:
    """Make bytes that are no answer fail the request in flight, if there is one, and nothing else.

    Of a client that has not yet connected: what comes before its first request is nobody's answer.
    """
    client.ctx.response_future.cancel()
    _contain(client)
    decode = client.ctx.framer.decoder.decode

    def strict(frame: bytes) -> ModbusPDU | None:
        if why := why_malformed(frame):
            raise ModbusException(why)
        return decode(frame)

    client.ctx.framer.decoder.decode = strict  # type: ignore[method-assign]


def _contain(client: Client) -> None:
    """Make bytes that cannot be decoded fail the request in flight; pymodbus lets them fail in the event loop."""
    decode = client.ctx.callback_data

    def contained(data: bytes, addr: tuple[object, ...] | None = None) -> int:
        try:
            return decode(data, addr)
        except (ModbusException, struct.error, IndexError, ValueError) as error:
            why = error.string if isinstance(error, ModbusException) else error
            if not client.ctx.response_future.done():
                client.ctx.response_future.set_exception(ModbusException(f"not a Modbus answer: {why}"))
            return len(data)

    client.ctx.callback_data = contained  # type: ignore[method-assign]
