"""Arrays in registers and coils: where their elements lie, how they are scaled, and what one bad element does."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import quality
from agent.core.blocks import plan, readings
from agent.core.byteorder import positions
from agent.core.nouns import Kind, Tag
from agent.core.registers import encode, field_of
from agent.core.scaling import Scaling
from agent.drivers import modbus
from agent.drivers.modbus.layout import Layout, Outcome

PACK = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "float32": "f", "float64": "d", "float16": "e"}


def tag(address, kind, **more):
    return Tag(f"rig/a/{address}-{kind}", address, kind, **more)


def read(tags, words, bits=()):
    """The columns of tags on unit 1 whose holding registers from 0 are `words` and coils from 0 `bits`."""
    fields = [field_of(t, 1) for t in tags]
    blocks = plan(readings(fields))
    layout = Layout.of(blocks, fields, np.arange(len(tags), dtype=np.int32), Scaling.of(tags))
    outcomes = []
    for block in blocks:
        source = bits if block.table.bits else words
        outcomes.append(Outcome(list(source[block.start : block.start + block.count]), quality.GOOD, 5))
    return layout.columns(outcomes)


def by_tag(columns, which):
    return {int(columns.tag[row]): content for row, content in which}


@settings(deadline=None)
@given(
    kind=st.sampled_from(sorted(PACK)),
    order=st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"]),
    n=st.integers(1, 9),
    seed=st.randoms(use_true_random=False),
)
def test_elements_lie_one_after_another_in_the_order_of_the_tag(kind, order, n, seed):
    size = struct.calcsize(PACK[kind])
    expected = [float(seed.randrange(0, 2000)) for _ in range(n)]
    wire = bytearray()
    for value in expected:
        content, place = struct.pack(">" + PACK[kind], value if kind.startswith("f") else int(value)), bytearray(size)
        for byte, position in zip(content, positions(order, size), strict=True):
            place[position] = byte
        wire += place
    words = struct.unpack(f">{len(wire) // 2}H", wire)
    columns = read([tag("holding:0", f"{kind}[{n}]", order=order, scale=0.5, offset=1.0)], words)
    ((row, array),) = columns.arrays
    assert (row, columns.status.tolist()) == (0, [quality.GOOD])
    assert np.isnan(columns.value[0])
    assert array.tolist() == [0.5 * v + 1.0 for v in expected]


def test_every_sort_of_array_between_single_tags():
    words = [0x0102, 0x0304, 0x8001, 0x0003, 0x1234, 0x5678, 9, 0x4142]
    tags = [
        tag("holding:0", "uint8[3]"),
        tag("holding:0", "int8[4]", order="BADC"),
        tag("holding:0", "uint8h[2]"),
        tag("holding:0", "uint8l[2]"),
        tag("holding:2", "bool[18]"),
        tag("holding:2", "bit15[2]"),
        tag("holding:2", "uint16.0[2]"),
        tag("holding:4", "bcd16[2]"),
        tag("holding:6", "uint16"),
        tag("holding:7", "string(2)"),
        tag("coil:1", "bool[3]"),
        tag("coil:4", "bool"),
        tag("holding:0", "uint8"),
    ]
    columns = read(tags, words, [0, 1, 0, 1, 1])
    arrays = {row: array.tolist() for row, array in by_tag(columns, columns.arrays).items()}
    assert arrays == {
        0: [1, 2, 3],
        1: [2, 1, 4, 3],
        2: [1, 3],
        3: [2, 4],
        4: [1, *[0] * 14, 1, 1, 1],
        5: [1, 0],
        6: [1, 1],
        7: [1234, 5678],
        10: [1, 0, 1],
    }
    single = dict(zip(columns.tag.tolist(), columns.value.tolist(), strict=True))
    assert (single[8], single[11], single[12]) == (9, 1, 2)
    assert by_tag(columns, columns.texts) == {9: "AB"}
    assert not columns.status.any()
    assert {t.kind for t in tags[:8]} == {Kind.ARRAY}


def test_the_worst_element_is_the_status_and_a_bad_one_leaves_no_array():
    words = struct.unpack(">8H", struct.pack(">4f", 1.0, 2.0, float("nan"), 50.0))
    tags = [
        tag("holding:0", "float32[2]", eu_lo=0, eu_hi=10),
        tag("holding:4", "float32[2]"),
        tag("holding:6", "float32[1]", eu_lo=0, eu_hi=10),
        tag("holding:0", "float32[2]", invalid=2.0),
        tag("holding:6", "float32[1]", eu_hi=10, beyond="clamp"),
        tag("holding:0", "uint64[2]"),
    ]
    columns = read(tags, words)
    status = {int(t): quality.name(int(s)) for t, s in zip(columns.tag, columns.status, strict=True)}
    assert status == {
        0: "Good",
        1: "BadSensorFailure",
        2: "UncertainEngineeringUnitsExceeded",
        3: "BadSensorFailure",
        4: "Good",
        5: "BadOutOfRange",  # beyond 2^53: no float64 holds them
    }
    arrays = {row: array.tolist() for row, array in by_tag(columns, columns.arrays).items()}
    assert arrays == {0: [1.0, 2.0], 2: [50.0], 4: [10.0]}
    assert columns.texts == ()
    assert np.isnan(columns.value).all()


def test_the_sentinel_of_a_float32_array_is_compared_as_a_float32():
    words = struct.unpack(">2H", struct.pack(">f", -9999.9))
    columns = read([tag("holding:0", "float32[1]", invalid=-9999.9)], words)
    assert columns.status.tolist() == [quality.BAD_SENSOR_FAILURE]


def test_a_request_that_failed_takes_its_arrays_and_one_left_out_its_rows():
    tags = [tag("holding:0", "uint16[2]"), tag("holding:50", "uint16[2]"), tag("holding:99", "string(2)")]
    fields = [field_of(t, 1) for t in tags]
    blocks = plan(readings(fields))
    layout = Layout.of(blocks, fields, np.arange(3, dtype=np.int32), Scaling.of(tags))
    good, bad = Outcome([1, 2], quality.GOOD, 5), Outcome((), quality.BAD_NO_COMMUNICATION, 6)
    columns = layout.columns([bad, good, None])
    assert (columns.tag.tolist(), columns.t_ns.tolist()) == ([0, 1], [6, 5])
    assert [(row, array.tolist()) for row, array in columns.arrays] == [(1, [1, 2])]
    columns = layout.columns([None, None, Outcome([0x4142], quality.GOOD, 7)])
    assert (columns.tag.tolist(), columns.texts, columns.arrays) == ([2], ((0, "AB"),), ())


@pytest.mark.parametrize(
    ("address", "kind", "says"),
    [
        ("holding:0", "float32[0]", "expected 1 to 2000 numbers"),
        ("holding:0", "float32[]", "expected 1 to 2000 numbers"),
        ("holding:0", "string(4)[2]", "expected 1 to 2000 numbers"),
        ("coil:0", "uint16[2]", "does not lie in coil, expected bool"),
        ("holding:65534", "uint16[3]", "needs 3 registers, beyond offset 65535"),
        ("holding:0", "flaot[3]", "is not understood"),
    ],
)
def test_an_array_that_cannot_be_read_says_why(address, kind, says):
    with pytest.raises(ValueError, match=says):
        field_of(tag(address, kind), 1)


def test_an_array_is_checked_as_a_whole():
    config = modbus.Config(id="plc", type="modbus", host="h", max_registers=10)
    tags = [
        tag("holding:0", "float32[8]"),
        tag("holding:0", "float32[5]", invalid=-1.0),
        tag("holding:0", "int16[4]", invalid=70000),
        tag("holding:0", "int16[4]", writable=True),
        tag("input:0", "int16[4]", writable=True),
    ]
    found = dict(modbus.check(config, tags))
    assert sorted(found) == [0, 2, 4]
    assert "16 registers long, expected at most 10" in found[0]
    assert "expected -32768 to 32767" in found[2]
    assert "input can only be read" in found[4]
    with pytest.raises(ValueError, match="an array cannot be written"):
        encode(field_of(tags[1], 1), 1.0)
