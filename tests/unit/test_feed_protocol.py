"""The feed's messages: they survive the way there and back, and whatever a client sends is at most a WireError."""

import json
import struct

import numpy as np
import pytest
from feed_taps import catalogue, snapshot
from hypothesis import given
from hypothesis import strategies as st

from agent.core.nouns import Answer, Point, Request, Role
from agent.core.wire import WireError
from agent.sinks.feed import protocol
from agent.sinks.feed.protocol import Beat, Kind


def there_and_back(noun):
    message = protocol.pack(noun)
    length, kind = protocol.measure(message[: protocol.HEADER.size], 1 << 20)
    assert length == len(message) - protocol.HEADER.size
    return protocol.unpack(kind, message[protocol.HEADER.size :])


@pytest.mark.parametrize(
    "noun",
    [
        catalogue([Point("tank/lower/level", Role.MEASURED, unit="m", eu_lo=0.0, eu_hi=2.5, trace=0.5)]),
        Request("r1", "ack", "tank/high", "anna", {"comment": "seen"}),
        Answer("r1", False, "no such alarm"),
        Beat("opcua", {"sessions": 2.0}),
    ],
)
def test_nouns_survive(noun):
    assert there_and_back(noun) == noun


def test_a_snapshot_survives_bit_for_bit():
    sent = snapshot([0.1, float("nan"), -0.0], texts={2: "Kräuter"})
    got = there_and_back(sent)
    assert got.value.tobytes() == sent.value.tobytes()
    np.testing.assert_array_equal(got.status, sent.status)
    assert got.texts == {2: "Kräuter"}


def test_a_message_over_the_limit_is_refused_before_its_body_is_read():
    with pytest.raises(WireError, match="70000 bytes"):
        protocol.measure(protocol.HEADER.pack(70_000, Kind.REQUEST), protocol.CLIENT_MESSAGE_LIMIT)


def test_an_unknown_kind_is_refused():
    with pytest.raises(WireError, match="kind 99"):
        protocol.measure(protocol.HEADER.pack(4, 99), 100)


def body(tree):
    header = json.dumps(tree).encode()
    return struct.pack("<I", len(header)) + header


@given(st.binary(max_size=200), st.sampled_from(list(Kind)))
def test_any_bytes_give_only_a_wire_error(content, kind):
    with pytest.raises(WireError):
        protocol.unpack(kind, content)


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(trees, trees, st.sampled_from([Kind.REQUEST, Kind.BEAT]))
def test_any_tree_gives_a_noun_or_a_wire_error(value, columns, kind):
    try:
        protocol.unpack(kind, body({"v": value, "c": columns}))
    except WireError:
        pass


def test_a_bottomless_tree_is_a_wire_error():
    deep = b"[" * 50_000
    with pytest.raises(WireError):
        protocol.unpack(Kind.REQUEST, struct.pack("<I", len(deep)) + deep)
