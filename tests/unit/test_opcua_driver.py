"""The OPC UA driver without a server: node ids, and what is known of each tag."""

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import quality
from agent.drivers.opcua.known import Known
from agent.drivers.opcua.node import NodeRef, parse
from agent.drivers.opcua.values import Raw


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


def rows(*which):
    return np.array(which, np.intp)


def raw(*values, source=0, status=quality.GOOD):
    k = len(values)
    stamps = np.full(k, source, np.int64)
    return Raw(np.array(values, float), np.full(k, status, np.uint32), stamps, np.zeros(k, np.int64))


def fresh(n, deadband=0.0, unheard=None):
    return Known(np.full(n, deadband), None if unheard is None else np.full(n, unheard))


ALL = np.ones(2, np.bool_)
S = 1_000_000_000


def test_what_a_new_subscription_repeats_is_left_out():
    known = fresh(2)
    known.read(rows(0, 1), raw(1.0, 2.0, source=5), ALL, 10)
    passed, _ = known.notified(rows(0, 1), raw(1.0, 2.0, source=5), 20)
    assert len(passed) == 0
    passed, values = known.notified(rows(1), raw(3.0, source=6), 30)
    assert passed.tolist() == [1]
    assert values.value.tolist() == [3.0]


def test_late_notifications_never_end_on_an_older_value():
    known = fresh(2)
    known.notified(rows(0), raw(1.0, source=100), 1)
    known.read(rows(0), raw(4.0, source=400), ALL, 10)
    passed, values = known.notified(
        rows(0, 0),
        joined := Raw(np.array([2.0, 3.0]), np.zeros(2, np.uint32), np.array([200, 300]), np.zeros(2, np.int64)),
        20,
    )
    assert len(joined.value) == 2
    assert passed.tolist() == [0, 0, 0]
    assert values.value.tolist() == [2.0, 3.0, 4.0]
    assert values.source_ns.tolist() == [200, 300, 400]


def test_a_read_that_was_overtaken_is_left_out():
    known = fresh(2)
    known.notified(rows(0), raw(5.0, source=500), 50)
    passed, _ = known.read(rows(0, 1), raw(4.0, 9.0, source=400), ALL, 40)
    assert passed.tolist() == [1]
    assert known.newest.value.tolist() == [5.0, 9.0]


def test_silence_needs_two_reads_and_patience_and_ends_with_a_word():
    known = fresh(2)
    known.notified(rows(0, 1), raw(1.0, 1.0), 1)
    known.read(rows(0, 1), raw(2.0, 1.0), ALL, 2 * S)
    assert not known.silent(100 * S, S)  # one read proves nothing
    known.read(rows(0, 1), raw(2.0, 1.0), ALL, 3 * S)
    assert not known.silent(3 * S, 2 * S)
    assert known.silent(5 * S, 2 * S)
    known.notified(rows(0), raw(2.0), 6 * S)
    assert not known.silent(100 * S, S)


def test_a_read_that_agrees_again_is_no_silence():
    known = fresh(2)
    known.notified(rows(0), raw(1.0), 1)
    for at, value in enumerate((2.0, 1.0, 2.0, 1.0), start=2):
        known.read(rows(0), raw(value), ALL, at * S)
    assert not known.silent(100 * S, S)


def test_a_fast_signal_that_is_notified_is_no_silence():
    known = fresh(1)
    for at in range(2, 50):
        known.notified(rows(0), raw(float(at)), at * S)
        known.read(rows(0), raw(at + 0.5), np.ones(1, np.bool_), at * S + 1)
        assert not known.silent(at * S + 2, 0)


def test_a_difference_within_the_deadband_is_neither_silence_nor_a_new_value():
    known = fresh(1, deadband=0.5)
    known.notified(rows(0), raw(1.0), 1)
    for at in range(2, 6):
        _, values = known.read(rows(0), raw(1.4), ALL[:1], at * S)
        assert values.value.tolist() == [1.0]  # confirmed as it was told
    assert not known.silent(100 * S, S)
    for at in range(6, 9):
        _, values = known.read(rows(0), raw(1.6), ALL[:1], at * S)
    assert values.value.tolist() == [1.6]
    assert known.silent(100 * S, S)


def test_what_a_server_filters_itself_is_no_silence_but_a_new_status_is():
    known = fresh(1, unheard=np.inf)
    known.notified(rows(0), raw(1.0), 1)
    for at in range(2, 6):
        _, values = known.read(rows(0), raw(9.0), ALL[:1], at * S)
    assert values.value.tolist() == [9.0]
    assert not known.silent(100 * S, S)
    for at in range(6, 9):
        known.read(rows(0), raw(9.0, status=0x4090_0000), ALL[:1], at * S)
    assert known.silent(100 * S, S)


def test_the_overflow_bit_of_a_notification_is_no_difference():
    known = fresh(1)
    known.notified(rows(0), raw(1.0, status=0x480), 1)
    for at in range(2, 6):
        known.read(rows(0), raw(1.0), ALL[:1], at * S)
    assert not known.silent(100 * S, S)


def test_texts_and_arrays_are_kept_beside_and_compared():
    known = fresh(2)
    nothing = np.full(2, np.nan)
    columns = (np.zeros(2, np.uint32), np.zeros(2, np.int64), np.zeros(2, np.int64))
    first = Raw(nothing, *columns, ((0, "a"), (1, np.array([1.0, np.nan]))))
    known.notified(rows(0, 1), first, 1)
    passed, _ = known.notified(rows(0, 1), first, 2)
    assert len(passed) == 0
    passed, values = known.notified(rows(1, 0), Raw(nothing, *columns, ((0, np.array([2.0, np.nan])), (1, "a"))), 3)
    assert passed.tolist() == [1]
    assert values.beside[0][1][0] == 2.0
    known.notified(rows(0), raw(5.0), 4)
    assert [i for i, _ in known.newest.of(rows(0, 1)).beside] == [1]


def test_a_deadband_holds_within_one_message():
    known = fresh(1, deadband=0.5)
    known.notified(rows(0), raw(1.0), 1)
    passed, values = known.notified(rows(0, 0, 0, 0), raw(1.4, 1.6, 1.8, 2.2), 2)
    assert passed.tolist() == [0, 0]
    assert values.value.tolist() == [1.6, 2.2]
