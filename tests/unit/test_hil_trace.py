"""A bus trace as a device: frames cut and built, and which recorded outcome a request gets."""

import json

import pytest

from hil.bus_trace import Outcome, load
from hil.frames import Frame, Requests, built, read_answer, read_values, whole

# Modbus over serial line 1.02 and the application protocol give no whole frames; these are libmodbus'.
FRAMES = {
    "tcp": (Frame(17, b"\x03\x00\x6b\x00\x03", 0x0102), "0102 0000 0006 11 03 006b 0003"),
    "rtu": (Frame(17, b"\x03\x00\x6b\x00\x03"), "11 03 006b 0003 7687"),
    "ascii": (Frame(17, b"\x03\x00\x6b\x00\x03"), b":1103006B00037E\r\n".hex()),
}


@pytest.mark.parametrize("transport", FRAMES)
def test_frames_are_built_and_known_again(transport):
    frame, wire = FRAMES[transport]
    content = bytes.fromhex(wire)
    assert built(transport, frame) == content
    assert whole(transport, content) == frame
    for wrong in (content[:-1], content + b"U", content[:-1] + bytes([content[-1] ^ 1])):
        if transport != "tcp" or len(wrong) != len(content):
            assert whole(transport, wrong) is None


@pytest.mark.parametrize("transport", FRAMES)
def test_requests_are_cut_out_of_a_stream_in_any_pieces(transport):
    writes = [b"\x10\x00\x01\x00\x02\x04\x00\x01\x00\x02", b"\x0f\x00\x01\x00\x09\x02\xff\x01", b"\x06\x00\x01\x00\x05",
              b"\x16\x00\x04\x00\xf2\x00\x25", b"\x01\x00\x00\x00\x08"]  # fmt: skip
    wanted = [Frame(3, pdu, i if transport == "tcp" else 0) for i, pdu in enumerate(writes)]
    stream = b"".join(built(transport, frame) for frame in wanted)
    for step in (1, 3, len(stream)):
        cut = Requests(transport)
        found = [frame for at in range(0, len(stream), step) for frame in cut.take(stream[at : at + step])]
        assert found == wanted


def test_values_of_answers():
    assert read_values(b"\x03\x04\x00\x07\xff\x00", 2) == [7, 0xFF00]
    assert read_values(b"\x01\x02\x05\x03", 10) == [1, 0, 1, 0, 0, 0, 0, 0, 1, 1]
    assert read_answer(3, [7, 0xFF00]) == b"\x03\x04\x00\x07\xff\x00"
    assert read_answer(1, [1, 0, 1, 0, 0, 0, 0, 0, 1, 1]) == b"\x01\x02\x05\x03"


def recorded(folder, transport, *lines):
    """The recording of (direction, bytes or frame); a step of 10 ms between."""
    path = folder / "bus.trace"
    text = [json.dumps({"trace": 1, "source": "p", "transport": transport})]
    for i, (direction, content) in enumerate(lines):
        data = built(transport, content) if isinstance(content, Frame) else content
        text.append(json.dumps({"t_ns": 10_000_000 * i, "conn": 1, "dir": direction, "hex": data.hex()}))
    path.write_text("\n".join(text) + "\n")
    return load(path)


def read(start, count=1, unit=1, number=0):
    return Frame(unit, bytes([3]) + start.to_bytes(2, "big") + count.to_bytes(2, "big"), number)


def answer(*values, unit=1, number=0):
    return Frame(unit, read_answer(3, list(values)), number)


def test_answers_come_in_order_then_the_last_again_with_the_transaction_of_the_request(tmp_path):
    lines = [(">", read(5, number=7)), ("<", answer(1, number=7)), (">", read(5, number=8)), ("<", answer(2, number=8))]
    recording = recorded(tmp_path, "tcp", *lines)
    found = [recording.outcome(read(5, number=n)) for n in (100, 101, 102)]
    assert [o.answer for o in found] == [answer(1, number=100), answer(2, number=101), answer(2, number=102)]
    assert found[0].delay_s == pytest.approx(0.01)


def test_exceptions_silence_noise_and_ends_are_as_recorded(tmp_path):
    refused = Frame(1, b"\x83\x02", 2)
    recording = recorded(
        tmp_path, "tcp",
        (">", read(1, number=1)), (">", read(2, number=2)), ("<", refused), (">", read(3, number=3)),
        ("<", b"\xa5\xa5\xa5"), (">", read(4, number=4)), ("x", b""),
    )  # fmt: skip
    assert recording.outcome(read(1, number=9)) == Outcome()
    assert recording.outcome(read(2, number=9)).answer == Frame(1, b"\x83\x02", 9)
    assert recording.outcome(read(3, number=9)).raw == b"\xa5\xa5\xa5"
    assert recording.outcome(read(4, number=9)).closed


def test_an_echo_is_no_answer_and_pieces_are_put_together(tmp_path):
    sent, said = built("rtu", read(5)), built("rtu", answer(7))
    recording = recorded(tmp_path, "rtu", (">", read(5)), ("<", sent[:3]), ("<", sent[3:] + said[:2]), ("<", said[2:]))
    assert recording.outcome(read(5)).answer == answer(7)


def test_a_write_is_repeated_as_it_is_asked(tmp_path):
    write = Frame(1, b"\x06\x00\x01\x00\x05")
    recording = recorded(tmp_path, "rtu", (">", write), ("<", write))
    assert recording.outcome(Frame(1, b"\x06\x00\x01\x00\x09")).answer == Frame(1, b"\x06\x00\x01\x00\x09")


def test_what_was_not_asked_is_composed_refused_or_silent(tmp_path):
    lines = [
        (">", read(5, 2)),
        ("<", answer(1, 2)),
        (">", read(7)),
        ("<", answer(3)),
        (">", read(5, unit=9)),
        ("-", b""),
    ]
    recording = recorded(tmp_path, "rtu", *lines, ("-", b""))
    assert recording.outcome(read(6, 2)).answer == answer(2, 3)
    assert recording.outcome(read(7, 2)).answer == Frame(1, b"\x83\x02")
    assert recording.outcome(read(6, unit=9)) == Outcome()


def test_a_request_that_was_cut_off_by_the_end_is_not_a_silence(tmp_path):
    recording = recorded(tmp_path, "rtu", (">", read(5)), ("<", answer(1)), (">", read(5)), ("-", b""))
    assert [recording.outcome(read(5)).answer for _ in range(3)] == [answer(1)] * 3
