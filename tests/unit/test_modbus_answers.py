"""Which PDUs are answers at all, by the tables of the Modbus application protocol, section 6 and 7."""

import asyncio

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pymodbus import FramerType
from pymodbus.framer import FRAMER_NAME_TO_CLASS
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadInputRegistersResponse
from pymodbus.transport import CommParams, CommType

from agent.core.address import Table
from agent.core.blocks import Block
from agent.drivers.modbus.wire.answers import Reply, check_ours, values_of, why_malformed
from agent.drivers.modbus.wire.conversation import Conversation
from agent.drivers.modbus.wire.errors import MalformedError
from agent.drivers.modbus.wire.requests import masking, reading, writing


@pytest.mark.parametrize("pdu", ["01 02 ff 01", "02 01 00", "03 04 00 01 00 02", "04 02 00 07", "84 02", "90 01",
                                 "05 00 01 ff 00", "06 00 01 00 02", "0f 00 01 00 09", "10 00 01 00 02",
                                 "16 00 04 00 f2 00 25"])  # fmt: skip
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
        ("16 00 04 00 f2", "5 bytes, expected 7"),
        ("2b 0e 01", "function 43"),
        ("00 00", "function 0"),
    ],
)
def test_what_it_does_not_is_told(pdu, says):
    assert says in why_malformed(bytes.fromhex(pdu))


def reply(pdu, unit=1, transaction=0):
    made = Reply(bytes.fromhex(pdu))
    made.dev_id, made.transaction_id = unit, transaction
    return made


def test_values_are_numbers_of_16_bits_or_bits_in_the_order_of_their_addresses():
    assert values_of(reply("04 04 00 07 ff 00"), 2).tolist() == [7, 0xFF00]
    assert values_of(reply("01 02 05 03"), 10).tolist() == [True, False, True, *[False] * 5, True, True]


ASKED = reading(Block(1, Table.INPUT, 30, 2, (0,)))


@pytest.mark.parametrize(
    ("request_", "pdu", "says"),
    [
        (ASKED, "04 02 00 07", "2 bytes of values came where 4 were asked"),
        (ASKED, "03 04 00 07 00 08", "unit 1, function 3, expected 0, 1, 4"),
        (ASKED, "83 02", "function 3"),
        (reading(Block(1, Table.COIL, 0, 9, (0,))), "01 01 00", "1 bytes of values came where 2 were asked"),
        (writing(1, Table.COIL, 7, [1], False), "05 00 07 00 00", "repeats 00070000 of a write of 0007ff00"),
        (writing(1, Table.HOLDING, 7, [5], False), "06 00 08 00 05", "repeats"),
        (writing(1, Table.HOLDING, 7, [5, 6], False), "10 00 07 00 03", "repeats"),
        (writing(1, Table.COIL, 7, [1] * 9, False), "0f 00 07 00 08", "repeats"),
        (masking(1, 4, 0xFF0D, 0x25), "16 00 04 00 f2 00 24", "repeats"),
    ],
)
def test_an_answer_to_something_else_is_none(request_, pdu, says):
    with pytest.raises(MalformedError, match=says):
        check_ours(reply(pdu), request_)


@pytest.mark.parametrize(
    ("request_", "pdu"),
    [
        (ASKED, "04 04 00 07 00 08"),
        (ASKED, "84 02"),
        (writing(1, Table.COIL, 7, [1], False), "05 00 07 ff 00"),
        (writing(1, Table.COIL, 7, [1], True), "0f 00 07 00 01"),
        (writing(1, Table.COIL, 7, [1] * 9, False), "0f 00 07 00 09"),
        (writing(1, Table.HOLDING, 7, [5], False), "06 00 07 00 05"),
        (writing(1, Table.HOLDING, 7, [5], True), "10 00 07 00 01"),
        (masking(1, 4, 0xFF0D, 0x25), "16 00 04 00 f2 00 25"),
    ],
)
def test_an_answer_to_what_was_asked_is_taken(request_, pdu):
    check_ours(reply(pdu), request_)


REGISTERS = [0, 7, 0xFFFF]
WIRES = (FramerType.SOCKET, FramerType.RTU, FramerType.ASCII)
TRANSACTION = {FramerType.SOCKET: 0x1234}
NEVER_WRONG = (None, MalformedError)


def heard(framer, *parts, local_echo=False):
    """What a client that asked unit 1 for three input registers makes of bytes: registers, an error, or None."""

    async def listen():
        kind = CommType.TCP if framer is FramerType.SOCKET else CommType.SERIAL
        client = Conversation(CommParams(comm_type=kind, timeout_connect=1.0), framer, local_echo=local_echo)
        client.request_dev_id, client.request_transaction_id = 1, TRANSACTION.get(framer, 0)
        client._echo = b"abc" if local_echo else b""
        future = client.response_future = asyncio.get_running_loop().create_future()
        for data in parts:
            client.datagram_received(data, None)
        if not future.done():
            return None
        if future.exception():
            return future.exception()
        request = reading(Block(1, Table.INPUT, 5, 3, (0,)))
        request.transaction_id = TRANSACTION.get(framer, 0)
        try:
            check_ours(future.result(), request)
        except MalformedError as error:
            return error
        return values_of(future.result(), 3).tolist()

    return asyncio.run(listen())


def framed(framer, registers=REGISTERS):
    pdu = ReadInputRegistersResponse(registers=registers, dev_id=1, transaction_id=TRANSACTION.get(framer, 0))
    return FRAMER_NAME_TO_CLASS[framer](DecodePDU(False)).buildFrame(pdu)


def harmless(got):
    return got is None or isinstance(got, MalformedError)


@pytest.mark.parametrize("framer", WIRES)
def test_a_sound_frame_is_heard_in_one_piece_or_in_many(framer):
    frame = framed(framer)
    assert heard(framer, frame) == REGISTERS
    assert heard(framer, *(frame[i : i + 1] for i in range(len(frame)))) == REGISTERS


@pytest.mark.parametrize("framer", [FramerType.RTU, FramerType.ASCII])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(at=st.integers(0, 40), bit=st.integers(0, 7))
def test_one_flipped_bit_on_a_serial_line_is_never_a_wrong_value(framer, at, bit):
    frame = bytearray(framed(framer))
    frame[at % len(frame)] ^= 1 << bit
    got = heard(framer, bytes(frame))
    assert harmless(got) or got == REGISTERS  # ASCII: a letter may change its case


HEADER = 9  # MBAP, function, byte count: after these the values are TCP's to protect


def mutated(data, frame, protected):
    """The frame with pieces cut out, doubled, put in or changed before the byte `protected`."""
    frame = bytearray(frame)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, min(protected, len(frame)) - 1))
        kind = data.draw(st.sampled_from(["set", "cut", "insert", "double", "end"]))
        if kind == "set":
            frame[at] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del frame[at : at + data.draw(st.integers(1, 4))]
        elif kind == "insert":
            frame[at:at] = data.draw(st.binary(min_size=1, max_size=6))
        elif kind == "double":
            frame[at:at] = frame[at:]
        else:
            frame += data.draw(st.binary(max_size=6))
        if not frame:
            break
    return bytes(frame)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.data())
def test_no_mutation_of_a_tcp_frame_before_its_values_gives_others(data):
    frame = mutated(data, framed(FramerType.SOCKET), HEADER)
    got = heard(FramerType.SOCKET, frame)
    assert harmless(got) or got == REGISTERS or frame[:HEADER] == framed(FramerType.SOCKET)[:HEADER]


@pytest.mark.parametrize("framer", [FramerType.RTU, FramerType.ASCII])
@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_no_mutation_of_a_serial_frame_gives_other_values(framer, data):
    """A checksum of 16 (RTU) or 8 bits (ASCII) can be met by chance: such a frame is what the device may have said."""
    frame = mutated(data, framed(framer), 10_000)
    got = heard(framer, frame)
    assert harmless(got) or got == REGISTERS or framed(framer, got) in frame


@pytest.mark.parametrize("framer", WIRES)
@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(
        st.one_of(st.binary(max_size=300), st.text(":0123456789ABCDEFabcxyz \r\n", max_size=60).map(str.encode)),
        min_size=1,
        max_size=4,
    )
)
@example([b"\x12\x34\x00\x00\x00\x00\x01\x04"])
@example([b"\x12\x34\x00\x00\x00\x02\x01\x80"])
@example([b"\x01\x2b\x0e\x01\x04"])
@example([b"\x01\x18\x00\x00"])
@example([b":01\r\n", b":0104\r\n"])
def test_noise_fails_the_request_at_most(framer, parts):
    assert harmless(heard(framer, *(part for part in parts if part)))


@pytest.mark.parametrize("noise", [b":zz04020007F2\r\n", b":zz0402000700F2\r\n"])
def test_an_ascii_frame_whose_unit_is_no_number_fails_the_request(noise):
    assert isinstance(heard(FramerType.ASCII, noise), MalformedError)


def test_an_exception_with_more_than_its_code_is_no_answer():
    assert "exception of 3" in str(heard(FramerType.SOCKET, bytes.fromhex("1234 0000 0004 01 84 02 00")))


def test_a_local_echo_is_left_out_in_any_pieces_and_nothing_else_is():
    frame = framed(FramerType.RTU)
    assert heard(FramerType.RTU, b"abc", frame, local_echo=True) == REGISTERS
    assert heard(FramerType.RTU, b"abc" + frame, local_echo=True) == REGISTERS
    assert heard(FramerType.RTU, b"a", b"b", b"c" + frame[:4], frame[4:], local_echo=True) == REGISTERS
    changed = heard(FramerType.RTU, b"abX", frame, local_echo=True)
    assert isinstance(changed, MalformedError)
    assert "our own request came back as 61 62 58, expected 61 62 63" in str(changed)
    assert isinstance(heard(FramerType.RTU, frame, local_echo=True), MalformedError)
