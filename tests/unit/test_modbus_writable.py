"""What a write puts where, and what cannot be written."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.address import Table
from agent.core.decoding import Decoder
from agent.core.nouns import Tag, Write
from agent.core.registers import field_of
from agent.drivers.modbus.writable import Change, change_of, why_not_writable

NAN = math.nan


def tag(address, kind="uint16", **more):
    return Tag("rig/a/b", address, kind, **{"writable": True, **more})


def change(wanted, value=NAN, text=None, array=None, unit=1, base=0):
    return change_of(wanted, Write("w", 0, value, text, array), unit, base)


def test_numbers_texts_and_coils():
    assert change(tag("holding:7"), 5.0) == Change(1, Table.HOLDING, 7, (5,))
    assert change(tag("3/40008", scale=0.1, offset=1), 1.5) == Change(3, Table.HOLDING, 7, (5,))
    assert change(tag("holding:7", "float32", order="CDAB"), 1.0).values == (0, 0x3F80)
    assert change(tag("holding:7", "string(4)"), text="ab").values == (0x6162, 0)
    assert change(tag("coil:7", "bool"), 1.0) == Change(1, Table.COIL, 7, (1,))


@pytest.mark.parametrize(
    ("kind", "order", "value", "mask", "written"),
    [
        ("bit3", "ABCD", 1.0, 0x0008, 0x0008),
        ("bit3", "ABCD", 0.0, 0x0008, 0x0000),
        ("uint16.15", "ABCD", 1.0, 0x8000, 0x8000),
        ("bit3", "BADC", 1.0, 0x0800, 0x0800),
        ("bool", "ABCD", 1.0, 0x0001, 0x0001),
        ("uint8l", "ABCD", 0x12, 0x00FF, 0x0012),
        ("uint8h", "ABCD", 0x12, 0xFF00, 0x1200),
        ("int8h", "ABCD", -1, 0xFF00, 0xFF00),
        ("uint8h", "BADC", 0x12, 0x00FF, 0x0012),
    ],
)
def test_a_part_of_a_register_is_written_by_mask(kind, order, value, mask, written):
    assert change(tag("holding:4", kind, order=order), value) == Change(1, Table.HOLDING, 4, (written,), mask)


@given(st.sampled_from([*(f"bit{n}" for n in range(16)), "uint8l", "uint8h"]), st.sampled_from(["ABCD", "BADC"]),
       st.integers(0, 255), st.integers(0, 0xFFFF))  # fmt: skip
def test_what_is_written_by_mask_is_what_is_read_and_nothing_else_changes(kind, order, number, before):
    wanted = tag("holding:4", kind, order=order)
    value = float(number if kind.startswith("u") else number & 1)
    made = change(wanted, value)
    after = (before & ~made.mask & 0xFFFF) | made.values[0]
    decoder = Decoder.of([field_of(wanted, 1)], [0])
    assert decoder.decode(np.array([after], np.uint16))[0][0] == value
    assert after & ~made.mask == before & ~made.mask
    assert made.done([after])


def test_arrays_of_registers_and_coils_are_written_whole():
    made = change(tag("holding:7", "uint16[3]", scale=0.5), array=(1.0, 2.0, 3.0))
    assert made == Change(1, Table.HOLDING, 7, (2, 4, 6))
    made = change(tag("holding:7", "float32[2]", order="CDAB"), array=(1.0, 0.0))
    assert made.values == (0, 0x3F80, 0, 0)
    made = change(tag("coil:7", "bool[9]"), array=(1.0, *[0.0] * 8))
    assert made == Change(1, Table.COIL, 7, (1, *[0] * 8))


@pytest.mark.parametrize(
    ("wanted", "given_", "says"),
    [
        (tag("holding:7", writable=False), {"value": 1.0}, "not marked writable"),
        (tag("input:7"), {"value": 1.0}, "can only be read"),
        (tag("holding:7"), {"value": NAN}, "expected a number"),
        (tag("holding:7"), {"value": 70000.0}, "expected 0 to 65535"),
        (tag("holding:7"), {"array": (1.0, 2.0)}, "is one value"),
        (tag("holding:7", eu_lo=0, eu_hi=10), {"value": 10.5}, "expected 0 to 10"),
        (tag("holding:7", "string(4)"), {"value": 3.0}, "is text"),
        (tag("holding:7", "string(4)"), {"text": "hello"}, "expected at most 4"),
        (tag("coil:7", "bool"), {"value": 0.5}, "expected 0 or 1"),
        (tag("holding:7", "bit3"), {"value": 2.0}, "expected 0 or 1"),
        (tag("holding:7", "uint8l"), {"value": 256.0}, "expected 0 to 255"),
        (tag("holding:7", "uint16[3]"), {"value": 3.0}, "one value for an array, expected 3"),
        (tag("holding:7", "uint16[3]"), {"array": (1.0, 2.0)}, "2 values for an array, expected 3"),
        (tag("holding:7", "uint16[3]", eu_lo=0, eu_hi=10), {"array": (1.0, 2.0, 11.0)}, r"b\[2\]: 11 is outside"),
        (tag("holding:7", "uint16[3]"), {"array": (1.0, NAN, 2.0)}, r"b\[1\]: cannot write nan"),
        (tag("holding:7", "uint16[124]"), {"array": (1.0,) * 124}, "expected at most 123"),
        (tag("coil:7", "bool[1969]"), {"array": (1.0,) * 1969}, "expected at most 1968"),
        (tag("holding:7", "bool[4]"), {"array": (1.0,) * 4}, "expected no array of them"),
        (tag("holding:7", "string(250)"), {"text": "x"}, "expected at most 123"),
    ],
)
def test_what_cannot_be_written_says_why(wanted, given_, says):
    with pytest.raises(ValueError, match=says):
        change(wanted, **given_)


def test_the_check_before_any_device_says_the_same():
    wanted = tag("holding:7", "string(250)")
    assert "one request writes no more" in why_not_writable(field_of(wanted, 1), wanted)
    wanted = tag("holding:7", "bit3")
    assert why_not_writable(field_of(wanted, 1), wanted) == ""
