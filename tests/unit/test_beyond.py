"""What becomes of a value outside the range of its tag, and how arrays and server stamps travel."""

import numpy as np
import pytest

from agent.core import quality, wire
from agent.core.nouns import Batch, Kind, Tag
from agent.core.scaling import Scaling, engineering
from agent.runtime.inbox import Route, routed

LO, HI = -1.0, 2.0


@pytest.mark.parametrize(
    ("beyond", "values", "statuses"),
    [
        (
            "uncertain",
            [-5.0, 0.5, 9.0],
            ["UncertainEngineeringUnitsExceeded", "Good", "UncertainEngineeringUnitsExceeded"],
        ),
        ("clamp", [-1.0, 0.5, 2.0], ["Good", "Good", "Good"]),
        ("bad", [np.nan, 0.5, np.nan], ["BadOutOfRange", "Good", "BadOutOfRange"]),
    ],
)
def test_a_value_beyond_its_range_becomes_what_the_tag_says(beyond, values, statuses):
    tags = [Tag("a/b/c", "x", eu_lo=LO, eu_hi=HI, beyond=beyond)] * 3
    value, status = engineering(np.array([-5.0, 0.5, 9.0]), np.zeros(3, np.uint32), Scaling.of(tags))
    np.testing.assert_array_equal(value, values)
    assert [quality.name(int(s)) for s in status] == statuses


def test_a_clamped_value_says_at_which_end_it_is_held():
    tags = [Tag("a/b/c", "x", eu_lo=LO, eu_hi=HI, beyond="clamp")] * 2
    _, status = engineering(np.array([-5.0, 9.0]), np.zeros(2, np.uint32), Scaling.of(tags))
    assert status.tolist() == [quality.LIMITED_LOW, quality.LIMITED_HIGH]


@pytest.mark.parametrize("beyond", ["uncertain", "clamp", "bad"])
@pytest.mark.parametrize("raw", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_bad_whatever_becomes_of_the_rest(beyond, raw):
    tags = [Tag("a/b/c", "x", eu_lo=LO, eu_hi=HI, beyond=beyond)]
    value, status = engineering(np.array([raw]), np.zeros(1, np.uint32), Scaling.of(tags))
    assert np.isnan(value[0])
    assert quality.is_bad(int(status[0]))


def test_a_range_open_at_one_end_clamps_at_the_other():
    tags = [Tag("a/b/c", "x", eu_hi=HI, beyond="clamp")] * 2
    value, _ = engineering(np.array([-50.0, 50.0]), np.zeros(2, np.uint32), Scaling.of(tags))
    assert value.tolist() == [-50.0, HI]


def test_a_bad_status_is_left_as_it_is():
    tags = [Tag("a/b/c", "x", eu_lo=LO, eu_hi=HI, beyond="bad")]
    _, status = engineering(np.array([9.0]), np.array([quality.BAD_DEVICE_FAILURE], np.uint32), Scaling.of(tags))
    assert status.tolist() == [quality.BAD_DEVICE_FAILURE]


def _batch():
    zero = np.zeros(3, np.int64)
    arrays = ((1, np.array([1.5, 2.5])),)
    server_ns = np.array([7, 8, 9], np.int64)
    return Batch("plc", np.arange(3, dtype=np.int32), np.array([1.0, np.nan, 3.0]), np.zeros(3, np.uint32), zero, zero,
        ((2, "three"),), arrays, server_ns)  # fmt: skip


def test_arrays_and_server_stamps_are_routed_with_their_rows():
    part = routed(_batch(), Route("a", np.array([-1, 5, 6], np.int32)))
    assert part.tag.tolist() == [5, 6]
    assert part.texts == ((1, "three"),)
    assert part.server_ns.tolist() == [8, 9]
    ((row, array),) = part.arrays
    assert (row, array.tolist()) == (0, [1.5, 2.5])


def test_arrays_and_server_stamps_are_sent_as_they_are():
    found = wire.decode(Batch, wire.encode(_batch()))
    assert found.server_ns.tolist() == [7, 8, 9]
    assert found.arrays[0][1].tolist() == [1.5, 2.5]


def test_a_message_without_what_was_added_later_is_still_read():
    message = wire.encode(_batch()).replace(b'"server_ns"', b'"servant_x"').replace(b'"arrays"', b'"orrays"')
    found = wire.decode(Batch, message)
    assert found.arrays == ()
    assert len(found.server_ns) == 0


@pytest.mark.parametrize(
    ("kind", "expected"), [("float32[8]", Kind.ARRAY), ("string(4)", Kind.TEXT), ("bool", Kind.NUMBER)]
)
def test_the_type_says_what_kind_of_value_a_tag_has(kind, expected):
    assert Tag("a/b/c", "x", kind).kind is expected
