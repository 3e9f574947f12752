"""Which PDUs are answers at all, by the tables of the Modbus application protocol, section 6 and 7."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerAscii, FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadInputRegistersResponse

from agent.drivers.modbus.answers import guard, why_malformed


@pytest.mark.parametrize("pdu", ["01 02 ff 01", "02 01 00", "03 04 00 01 00 02", "04 02 00 07", "84 02", "90 01",
                                 "05 00 01 ff 00", "06 00 01 00 02", "10 00 01 00 02"])  # fmt: skip
def test_what_the_protocol_lets_a_device_say_is_well_formed(pdu):
    assert why_malformed(bytes.fromhex(pdu)) == ""


@pytest.mark.parametrize(
    ("pdu", "says"),
    [
        ("04", "byte count of 0 in 1"),
        ("04 02 00", "byte count of 2 in 3"),
        ("04 02 00 07 00", "byte count of 2 in 5"),
        ("04 03 00 07 00", "byte count of 3"),
        ("84", "exception of 1"),
        ("84 02 00 07", "exception of 4"),
        ("06 00 01 00", "4 bytes, expected 5"),
        ("2b 0e 01", "function 43"),
        ("00 00", "function 0"),
    ],
)
def test_what_it_does_not_is_told(pdu, says):
    assert says in why_malformed(bytes.fromhex(pdu))


FRAMES = {FramerType.RTU: FramerRTU, FramerType.ASCII: FramerAscii}
REGISTERS = [0, 7, 0xFFFF]


def heard(framer, data):
    """What a client that asked unit 1 for three input registers makes of bytes: registers, an error, or None."""

    async def listen():
        client = AsyncModbusSerialClient("", framer=framer)
        guard(client)
        client.ctx.request_dev_id = 1
        future = client.ctx.response_future = asyncio.get_running_loop().create_future()
        client.ctx.datagram_received(data, None)
        if not future.done():
            return None
        return future.exception() or future.result().registers

    return asyncio.run(listen())


def framed(framer):
    pdu = ReadInputRegistersResponse(registers=REGISTERS, dev_id=1)
    return FRAMES[framer](DecodePDU(False)).buildFrame(pdu)


@pytest.mark.parametrize("framer", FRAMES)
def test_a_sound_frame_is_heard(framer):
    assert heard(framer, framed(framer)) == REGISTERS


@pytest.mark.parametrize("framer", FRAMES)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(at=st.integers(0, 40), bit=st.integers(0, 7))
def test_one_flipped_bit_on_a_serial_line_is_never_a_wrong_value(framer, at, bit):
    frame = bytearray(framed(framer))
    frame[at % len(frame)] ^= 1 << bit
    got = heard(framer, bytes(frame))
    assert got is None or isinstance(got, ModbusException) or got == REGISTERS  # ASCII: a letter may change its case


@pytest.mark.parametrize("framer", FRAMES)
@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.one_of(st.binary(max_size=300), st.text(":0123456789abcdefxyz \r\n", max_size=60).map(str.encode)))
def test_noise_on_a_serial_line_fails_the_request_at_most(framer, data):
    assert heard(framer, data) is None or isinstance(heard(framer, data), ModbusException)


@pytest.mark.parametrize("noise", [b":zz04020007F2\r\n", b":zz0402000700F2\r\n"])
def test_an_ascii_frame_whose_unit_is_no_number_fails_the_request(noise):
    assert isinstance(heard(FramerType.ASCII, noise), ModbusException)
