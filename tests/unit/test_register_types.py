"""Bytes of a register, float16, binary coded decimals and strings, against struct and bytes written out by hand."""

import struct
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_registers import decoded, tag

from agent.core import quality
from agent.core.registers import encode, field_of


@given(st.binary(min_size=2, max_size=2))
def test_bytes_of_a_register_agree_with_struct(content):
    kinds = ["int8h", "int8l", "uint8h", "uint8l"]
    tags = [tag(type=kind) for kind in kinds] + [tag(type=kind, order="BADC") for kind in kinds]
    value, status, texts = decoded(tags, struct.unpack(">H", content))
    high_first = [*struct.unpack(">bb", content), *struct.unpack(">BB", content)]
    low_first = [*struct.unpack(">bb", content[::-1]), *struct.unpack(">BB", content[::-1])]
    assert value.tolist() == high_first + low_first
    assert not status.any()
    assert not texts


def test_a_byte_is_scaled_and_has_a_sentinel():
    tags = [tag(type="int8l", scale=0.5, invalid=-128), tag(type="uint8h", invalid=255), tag(type="uint8l")]
    value, status, _ = decoded(tags, [0xFF80])
    assert status.tolist() == [quality.BAD_SENSOR_FAILURE, quality.BAD_SENSOR_FAILURE, quality.GOOD]
    assert value[2] == 128
    with pytest.raises(ValueError, match="expected -128 to 127"):
        encode(field_of(tags[0], 1), 128)


@given(content=st.binary(min_size=2, max_size=2), swapped=st.booleans())
def test_float16_agrees_with_struct_and_survives_a_write(content, swapped):
    (expected,) = struct.unpack(">e", content)
    words = struct.unpack("<H" if swapped else ">H", content)
    t = tag(type="float16", order="BADC" if swapped else "ABCD")
    value, status, _ = decoded([t], words)
    if np.isfinite(expected):
        assert value[0] == expected
        assert encode(field_of(t, 1), expected) == list(words)
    else:
        assert quality.is_bad(int(status[0]))


def test_float16_by_hand_with_its_sentinel_and_largest_value():
    tags = [tag("holding:0", type="float16"), tag("holding:1", type="float16", invalid=-9999.9)]
    value, status, _ = decoded(tags, [0x3C01, 0xF0E2])  # 1 + 2^-10; -10000, the nearest to the sentinel
    assert value[0] == 1.0009765625
    assert status.tolist() == [quality.GOOD, quality.BAD_SENSOR_FAILURE]
    assert encode(field_of(tags[0], 1), 65504.0) == [0x7BFF]
    with pytest.raises(ValueError, match="does not fit a float of 16 bits"):
        encode(field_of(tags[0], 1), 65520.0)


@pytest.mark.parametrize(
    ("kind", "order", "words", "expected"),
    [
        ("bcd16", "ABCD", [0x1234], 1234),
        ("bcd16", "BADC", [0x3412], 1234),
        ("bcd16", "ABCD", [0x0009], 9),
        ("bcd32", "ABCD", [0x1234, 0x5678], 12345678),
        ("bcd32", "CDAB", [0x5678, 0x1234], 12345678),
        ("bcd32", "BADC", [0x3412, 0x7856], 12345678),
        ("bcd32", "DCBA", [0x7856, 0x3412], 12345678),
        ("bcd32", "ABCD", [0x9999, 0x9999], 99999999),
    ],
)
def test_decimals_by_byte_position_survive_a_write(kind, order, words, expected):
    t = tag(type=kind, order=order)
    value, status, _ = decoded([t], words)
    assert value.tolist() == [expected]
    assert status.tolist() == [quality.GOOD]
    assert encode(field_of(t, 1), expected) == words


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=8))
def test_decimals_are_the_digits_people_read_or_bad(words):
    tags = [tag(f"holding:{i}", type="bcd16") for i in range(len(words))]
    tags += [tag(f"holding:{i}", type="bcd32", scale=0.01) for i in range(len(words) - 1)]
    shown = [f"{w:04x}" for w in words]
    shown += [first + second for first, second in pairwise(shown)]
    value, status, texts = decoded(tags, words)
    for text, t, v, s in zip(shown, tags, value, status, strict=True):
        if text.isdecimal():
            assert (v, s) == (t.scale * int(text), quality.GOOD)
        else:
            assert np.isnan(v)
            assert s == quality.BAD_OUT_OF_RANGE
    assert not texts


def test_decimals_refuse_what_has_too_many_digits_or_a_sign():
    for kind, says in (("bcd16", "expected 0 to 9999$"), ("bcd32", "expected 0 to 99999999$")):
        for raw in (-1, 10**8, float("inf"), float("nan")):
            with pytest.raises(ValueError, match=says):
                encode(field_of(tag(type=kind), 1), raw)


@pytest.mark.parametrize(
    ("chars", "order", "words", "expected"),
    [
        (8, "ABCD", [0x5055, 0x4D50, 0x2031, 0x0000], "PUMP 1"),
        (8, "BADC", [0x5550, 0x504D, 0x3120, 0x0000], "PUMP 1"),
        (8, "DCBA", [0x5550, 0x504D, 0x3120, 0x0000], "PUMP 1"),
        (5, "ABCD", [0x5055, 0x4D50, 0x3100], "PUMP1"),
        (5, "BADC", [0x5550, 0x504D, 0x0031], "PUMP1"),
    ],
)
def test_strings_in_both_layouts_survive_a_write(chars, order, words, expected):
    t = tag(type=f"string({chars})", order=order)
    _, status, texts = decoded([t], words)
    assert texts == {0: expected}
    assert not status.any()
    assert encode(field_of(t, 1), expected) == words


def test_a_string_of_odd_length_leaves_the_byte_beside_it_alone():
    _, _, texts = decoded([tag(type="string(5)"), tag("holding:2", type="uint8l")], [0x4142, 0x4344, 0x4558])
    assert texts == {0: "ABCDE"}
    with pytest.raises(ValueError, match="at most 5"):
        encode(field_of(tag(type="string(5)"), 1), "ABCDEF")


def test_a_float_beyond_all_numbers_is_refused_plainly():
    for raw in (float("inf"), float("-inf"), 1e300):
        with pytest.raises(ValueError, match="expected 0 to 18446744073709551615"):
            encode(field_of(tag(type="uint64"), 1), raw)
