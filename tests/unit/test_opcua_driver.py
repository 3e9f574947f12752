"""The OPC UA driver without a server: node ids, values to columns, and what is known of each tag."""

import uuid
from datetime import UTC, datetime

import numpy as np
import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from agent.core import quality
from agent.core.nouns import Tag
from agent.drivers.opcua.known import Known
from agent.drivers.opcua.node import NodeRef, parse
from agent.drivers.opcua.values import Raw, raw_of, utc_ns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ns=2;s=Pump.Speed", NodeRef(2, "", "Pump.Speed")),
        ("i=2258", NodeRef(0, "", 2258)),
        ("nsu=http://maker/plc;s=a;b=c", NodeRef(0, "http://maker/plc", "a;b=c")),
        ('ns=3;s="DB1"."Level"', NodeRef(3, "", '"DB1"."Level"')),
        ("ns=1;b=AQI=", NodeRef(1, "", b"\x01\x02")),
        (
            "ns=1;g=09087e75-8e5e-499b-954f-f2a9603db28a",
            NodeRef(1, "", uuid.UUID("09087e75-8e5e-499b-954f-f2a9603db28a")),
        ),
    ],
)
def test_node_ids(text, expected):
    assert parse(text) == expected


@given(st.text(max_size=20))
def test_any_text_is_a_node_id_or_a_plain_error(text):
    try:
        said = str(parse(text))
    except ValueError as error:
        said = str(error)
    assert said.startswith(("NodeRef(", f"address {text!r}"))


def test_namespaces_are_found_by_uri_wherever_they_are():
    ref = parse("nsu=urn:b;i=1")
    assert ref.index_in(["", "urn:a", "urn:b"]) == 2
    assert ref.index_in(["", "urn:b", "urn:a"]) == 1
    assert ref.index_in(["", "urn:a"]) is None
    assert parse("ns=2;i=1").index_in(["", "urn:a"]) is None


def test_values_to_columns():
    stamp = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    values = [
        ua.DataValue(ua.Variant(1.5), SourceTimestamp=stamp),
        ua.DataValue(ua.Variant(True)),
        ua.DataValue(ua.Variant(2.0), StatusCode=ua.StatusCode(0x408F_0000)),
        ua.DataValue(ua.Variant(2.0), StatusCode=ua.StatusCode(0x808C_0000)),
        ua.DataValue(ua.Variant("12")),
        ua.DataValue(ua.Variant(ua.LocalizedText("Wasser"))),
        ua.DataValue(None),
        ua.DataValue(ua.Variant([1.0, 2.0])),
        ua.DataValue(ua.Variant(-(2**60), ua.VariantType.Int64)),
        ua.DataValue(ua.Variant(2**53, ua.VariantType.Int64), StatusCode=None),
        ua.DataValue(ua.Variant("12")),
    ]
    kinds = ["float64"] * 4 + ["string", "string"] + ["float64"] * 5
    raw = raw_of(values, [Tag(f"a/b/{i}", "i=1", kind) for i, kind in enumerate(kinds)])
    nothing = np.nan
    np.testing.assert_array_equal(
        raw.value, [1.5, 1.0, 2.0, nothing, nothing, nothing, nothing, nothing, nothing, 2.0**53, nothing]
    )
    assert [quality.name(int(s)) for s in raw.status] == [
        "Good",
        "Good",
        "0x408F0000",
        "BadSensorFailure",
        "Good",
        "Good",
        "BadNoData",
        "BadTypeMismatch",
        "BadOutOfRange",
        "Good",
        "BadTypeMismatch",
    ]
    assert raw.texts == ((4, "12"), (5, "Wasser"), (8, str(-(2**60))))
    assert raw.source_ns[0] == 1767323045678901000
    assert raw.source_ns[1] == 0
    assert utc_ns(stamp.replace(tzinfo=None)) == 1767323045678901000


def rows(*which):
    return np.array(which, np.intp)


def raw(*values, source=0, status=quality.GOOD):
    k = len(values)
    return Raw(np.array(values, float), np.full(k, status, np.uint32), np.full(k, source, np.int64), ())


ALL = np.ones(2, np.bool_)
S = 1_000_000_000


def test_what_a_new_subscription_repeats_is_left_out():
    known = Known(2)
    known.read(rows(0, 1), raw(1.0, 2.0, source=5), ALL, 10)
    passed, _ = known.notified(rows(0, 1), raw(1.0, 2.0, source=5), 20)
    assert len(passed) == 0
    passed, values = known.notified(rows(1), raw(3.0, source=6), 30)
    assert passed.tolist() == [1]
    assert values.value.tolist() == [3.0]


def test_late_notifications_never_end_on_an_older_value():
    known = Known(2)
    known.notified(rows(0), raw(1.0, source=100), 1)
    known.read(rows(0), raw(4.0, source=400), ALL, 10)
    passed, values = known.notified(
        rows(0, 0), joined := Raw(np.array([2.0, 3.0]), np.zeros(2, np.uint32), np.array([200, 300]), ()), 20
    )
    assert len(joined.value) == 2
    assert passed.tolist() == [0, 0, 0]
    assert values.value.tolist() == [2.0, 3.0, 4.0]
    assert values.source_ns.tolist() == [200, 300, 400]


def test_a_read_that_was_overtaken_is_left_out():
    known = Known(2)
    known.notified(rows(0), raw(5.0, source=500), 50)
    passed, _ = known.read(rows(0, 1), raw(4.0, 9.0, source=400), ALL, 40)
    assert passed.tolist() == [1]
    assert known.newest.value.tolist() == [5.0, 9.0]


def test_silence_needs_two_reads_and_patience_and_ends_with_a_word():
    known = Known(2)
    known.notified(rows(0, 1), raw(1.0, 1.0), 1)
    known.read(rows(0, 1), raw(2.0, 1.0), ALL, 2 * S)
    assert not known.silent(100 * S, S)  # one read proves nothing
    known.read(rows(0, 1), raw(2.0, 1.0), ALL, 3 * S)
    assert not known.silent(3 * S, 2 * S)
    assert known.silent(5 * S, 2 * S)
    known.notified(rows(0), raw(2.0), 6 * S)
    assert not known.silent(100 * S, S)


def test_a_read_that_agrees_again_is_no_silence():
    known = Known(2)
    known.notified(rows(0), raw(1.0), 1)
    for at, value in enumerate((2.0, 1.0, 2.0, 1.0), start=2):
        known.read(rows(0), raw(value), ALL, at * S)
    assert not known.silent(100 * S, S)


def test_a_fast_signal_that_is_notified_is_no_silence():
    known = Known(1)
    for at in range(2, 50):
        known.notified(rows(0), raw(float(at)), at * S)
        known.read(rows(0), raw(at + 0.5), np.ones(1, np.bool_), at * S + 1)
        assert not known.silent(at * S + 2, 0)
