"""Addresses, types, byte orders by byte position, scaling and quality."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import quality
from agent.core.address import Address, Table, parse
from agent.core.byteorder import positions
from agent.core.decoding import Decoder
from agent.core.nouns import Kind, Tag
from agent.core.registers import encode, field_of
from agent.core.scaling import Scaling, engineering, raw_of

ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
PACK = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}


def tag(address="holding:0", **more):
    return Tag("rig/a/b", address, **more)


def decoded(tags, words, start=0):
    fields = [field_of(t, 1) for t in tags]
    raw, status, texts = Decoder.of(fields, [f.at.offset - start for f in fields]).decode(np.array(words, np.uint16))
    return *engineering(raw, status, Scaling.of(tags), texts), dict(texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("input:30", Address(None, Table.INPUT, 30)),
        ("holding:0x1F", Address(None, Table.HOLDING, 31)),
        ("coil:1", Address(None, Table.COIL, 1)),
        ("discrete:65535", Address(None, Table.DISCRETE, 65535)),
        ("30031", Address(None, Table.INPUT, 30)),
        ("40001", Address(None, Table.HOLDING, 0)),
        ("400001", Address(None, Table.HOLDING, 0)),
        ("465536", Address(None, Table.HOLDING, 65535)),
        ("00001", Address(None, Table.COIL, 0)),
        ("10002", Address(None, Table.DISCRETE, 1)),
        ("2/input:30", Address(2, Table.INPUT, 30)),
        (" 7/30031 ", Address(7, Table.INPUT, 30)),
        ("49999", Address(None, Table.HOLDING, 9998)),
        ("365536", Address(None, Table.INPUT, 65535)),
        ("4x0001", Address(None, Table.HOLDING, 0)),
        ("3X31", Address(None, Table.INPUT, 30)),
        ("2/1x00016", Address(2, Table.DISCRETE, 15)),
        ("4x65536", Address(None, Table.HOLDING, 65535)),
        ("coil:0XfF", Address(None, Table.COIL, 255)),
    ],
)
def test_addresses(text, expected):
    assert parse(text) == expected
    assert parse(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("holding:65536", "PDU offset 65536 does not exist, expected 0 to 65535"),
        ("300000", "PDU offset -1"),
        ("40000", "PDU offset -1"),
        ("465537", "PDU offset 65536"),
        ("4x0", "PDU offset -1"),
        ("4x65537", "PDU offset 65536"),
        ("2x0001", "or 4x0031"),
        ("0x0001", "expected table:offset"),  # a coil, or a hexadecimal number
        ("holding:0x10000", "PDU offset 65536"),
        ("holding:1F", "expected table:offset"),
        ("20001", "begins with 0, 1, 3 or 4"),
        ("register:3", "expected one of coil, discrete, holding, input"),
        ("300/input:1", "unit 300"),
        ("holding:-1", "expected table:offset"),
        ("4001", "expected table:offset"),
        ("", "expected table:offset"),
    ],
)
def test_a_wrong_address_says_what_was_expected(text, says):
    with pytest.raises(ValueError, match=says) as caught:
        parse(text)
    assert repr(text) in str(caught.value)


def test_a_list_that_counts_from_1():
    for text, offset in [("input:30", 29), ("9/holding:0x1F", 30), ("coil:1", 0), ("discrete:65536", 65535)]:
        assert parse(text, 1).offset == offset
        assert parse(text, 1).unit == (9 if "/" in text else None)
    for text in ("30031", "400031", "4x0031", "3x31"):
        assert parse(text, 1) == parse(text)  # Modicon counts from 1 anyway
        assert parse(text, 1).offset == 30
    with pytest.raises(ValueError, match=r"'input:0': PDU offset -1 .* \(input:1 is offset 0 here\)"):
        parse("input:0", 1)
    assert field_of(tag("input:65536", type="int16"), 1, 1).at == Address(1, Table.INPUT, 65535)


@given(st.text(max_size=12))
def test_any_text_is_an_address_or_a_plain_error(text):
    try:
        assert 0 <= parse(text).offset <= 65535
    except ValueError as error:
        assert "expected" in str(error) or "Modicon" in str(error)


# 1.0 is 3F 80 00 00; where each byte goes is written out here by hand, not computed.
@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("ABCD", [0x3F80, 0x0001]),
        ("CDAB", [0x0001, 0x3F80]),
        ("BADC", [0x803F, 0x0100]),
        ("DCBA", [0x0100, 0x803F]),
    ],
)
def test_orders_of_32_bits_by_byte_position(order, words):
    value, status, _ = decoded([tag(type="float32", order=order)], words)
    assert value[0] == struct.unpack(">f", bytes.fromhex("3f800001"))[0]
    assert status[0] == quality.GOOD


@pytest.mark.parametrize(
    ("order", "letters", "wire"),
    [
        ("ABCD", "ABCDEFGH", "0102 0304 0506 0708"),
        ("CDAB", "GHEFCDAB", "0708 0506 0304 0102"),
        ("BADC", "BADCFEHG", "0201 0403 0605 0807"),
        ("DCBA", "HGFEDCBA", "0807 0605 0403 0201"),
    ],
)
def test_orders_of_64_bits_by_byte_position(order, letters, wire):
    words = [int(w, 16) for w in wire.split()]
    for name in (order, letters):
        value, status, texts = decoded([tag(type="uint64", order=name)], words)
        assert texts == {0: str(0x0102030405060708)}  # beyond 2^53: exact digits beside the vectors, no number
        assert np.isnan(value[0])
        assert status[0] == quality.BAD_OUT_OF_RANGE


@given(kind=st.sampled_from(sorted(PACK)), order=st.sampled_from(ORDERS), content=st.binary(min_size=8, max_size=8))
def test_every_type_and_order_agrees_with_struct_and_survives_a_write(kind, order, content):
    size = struct.calcsize(PACK[kind])
    (expected,) = struct.unpack(">" + PACK[kind], content[:size])
    wire = bytearray(size)
    for byte, position in zip(content, positions(order, size), strict=False):
        wire[position] = byte
    words = struct.unpack(f">{size // 2}H", wire)
    t = tag("holding:7", type=kind, order=order)
    value, status, texts = decoded([t], words, start=7)
    if np.isfinite(expected) and abs(expected) <= 2**53:
        assert value[0] == expected
        assert encode(field_of(t, 1), float(expected)) == list(words) or expected == 0
    else:
        assert np.isnan(value[0]) or abs(expected) > 2**53
        assert quality.is_bad(int(status[0])) or kind.startswith("float")
        assert kind.startswith("float") or texts == {0: str(expected)}


def test_bits_strings_and_both_layouts():
    tags = [
        tag("holding:0", type="uint16.3"),
        tag("holding:0", type="bit0"),
        tag("holding:0", type="bit8", order="BADC"),
        tag("holding:1", type="string(5)"),
        tag("holding:4", type="string(4)", order="BADC"),
        tag("holding:6", type="int16"),
    ]
    words = [0b1001, 0x4142, 0x4320, 0x2000, 0x5859, 0x005A, 0xFFFE]
    value, status, texts = decoded(tags, words)
    assert value[[0, 1, 2, 5]].tolist() == [1, 1, 1, -2]
    assert texts == {3: "ABC", 4: "YXZ"}
    assert np.isnan(value[3])
    assert not status.any()
    assert tags[3].kind is Kind.TEXT


def test_coils():
    tags = [tag("coil:3", type="bool"), tag("coil:1", type="bool")]
    fields = [field_of(t, 1) for t in tags]
    raw, status, _ = Decoder.of(fields, [2, 0]).decode(np.array([True, False, False], np.bool_))
    assert raw.tolist() == [0.0, 1.0]
    assert not status.any()


def test_quality_of_sentinel_nan_infinity_and_range():
    tags = [
        tag("holding:0", type="int16", scale=0.1, offset=1.0, invalid=-32768, eu_lo=0.0, eu_hi=100.0),
        tag("holding:1", type="int16", scale=0.1, offset=1.0, invalid=-32768, eu_lo=0.0, eu_hi=100.0),
        tag("holding:2", type="int16", scale=0.1, eu_hi=100.0),
        tag("holding:3", type="float32", invalid=-9999.9),
        tag("holding:5", type="float32"),
        tag("holding:7", type="float32"),
    ]
    floats = struct.pack(">fff", -9999.9, float("nan"), float("inf"))
    words = [0x8000, 990, 2000, *struct.unpack(">6H", floats)]
    value, status, _ = decoded(tags, words)
    assert status.tolist() == [
        quality.BAD_SENSOR_FAILURE,
        quality.GOOD,
        quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED,
        quality.BAD_SENSOR_FAILURE,
        quality.BAD_SENSOR_FAILURE,
        quality.BAD_OUT_OF_RANGE,
    ]
    assert value[1:3].tolist() == [100.0, 200.0]
    assert np.isnan(value[[0, 3, 4, 5]]).all()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"type": "flaot32"}, "expected bool, bit0"),
        ({"type": "uint16.16"}, "no bit 16"),
        ({"type": "string"}, "expected bool"),
        ({"type": "float32", "order": "ACBD"}, "expected one of ABCD, CDAB, BADC, DCBA"),
        ({"type": "float32", "address": "coil:1"}, "expected bool"),
        ({"type": "float64", "address": "holding:65533"}, "beyond offset 65535"),
    ],
)
def test_what_cannot_be_read_says_why(more, says):
    with pytest.raises(ValueError, match=says):
        field_of(tag(**more), 1)


def test_writes_scale_back_and_refuse_what_does_not_fit():
    t = tag(type="int16", scale=0.1, offset=5.0, eu_lo=0.0, eu_hi=4000.0)
    assert encode(field_of(t, 1), raw_of(t, 7.5)) == [25]
    with pytest.raises(ValueError, match="expected 0 to 4000"):
        raw_of(t, 4000.1)
    with pytest.raises(ValueError, match="expected -32768 to 32767"):
        encode(field_of(t, 1), raw_of(t, 3999.0))
    with pytest.raises(ValueError, match="expected a number"):
        raw_of(t, float("nan"))
    with pytest.raises(ValueError, match="at most 4"):
        encode(field_of(tag(type="string(4)"), 1), "ABCDE")
    assert encode(field_of(tag(type="string(4)", order="BADC"), 1), "XYZ") == [0x5958, 0x005A]
