"""Our decoding of OPC UA Binary against what the library encodes, and against bytes that are none."""

import struct
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from asyncua import ua
from asyncua.ua.ua_binary import pack_uatype, struct_to_binary, variant_to_binary
from hypothesis import given
from hypothesis import strategies as st

from agent.drivers.opcua.binary import builtin, messages
from agent.drivers.opcua.binary.builtin import MalformedError, T
from agent.drivers.opcua.binary.cursor import Cursor

V = ua.VariantType
STAMPS = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
INTEGERS = {
    V.SByte: (8, True),
    V.Byte: (8, False),
    V.Int16: (16, True),
    V.UInt16: (16, False),
    V.Int32: (32, True),
    V.UInt32: (32, False),
    V.Int64: (64, True),
    V.UInt64: (64, False),
}


def whole(kind):
    bits, signed = INTEGERS[kind]
    return st.integers(-(2 ** (bits - 1)) if signed else 0, 2 ** (bits - signed) - 1)


def node_ids():
    index = st.integers(0, 65535)
    return st.one_of(
        st.builds(ua.NodeId, st.integers(0, 2**32 - 1), index),
        st.builds(ua.NodeId, st.text(max_size=9), index),
        st.builds(ua.NodeId, st.uuids(), index),
        st.builds(ua.NodeId, st.binary(max_size=9), index),
    )


SCALARS = {
    **{kind: whole(kind) for kind in INTEGERS},
    V.Boolean: st.booleans(),
    V.Float: st.floats(width=32),
    V.Double: st.floats(),
    V.String: st.text(max_size=20) | st.none(),
    V.ByteString: st.binary(max_size=20),
    V.Guid: st.uuids(),
    V.DateTime: STAMPS,
    V.NodeId: node_ids(),
    V.StatusCode: st.sampled_from([0, 0x8034_0000, 0x480]).map(ua.StatusCode),
    V.LocalizedText: st.builds(ua.LocalizedText, st.text(max_size=9), st.none() | st.just("de")),
    V.QualifiedName: st.builds(ua.QualifiedName, st.text(max_size=9), st.integers(0, 9)),
}


@st.composite
def variants(draw):
    kind = draw(st.sampled_from(list(SCALARS)))
    if draw(st.booleans()):
        return ua.Variant(draw(SCALARS[kind]), kind)
    return ua.Variant(draw(st.lists(SCALARS[kind].filter(lambda v: v is not None), max_size=5)), kind, is_array=True)


def plain(value):
    """What our decoder gives for a value of the library."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, datetime):
        return (value - datetime(1601, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 10
    if isinstance(value, ua.NodeId):
        return builtin.NodeId(value.NamespaceIndex, value.Identifier)
    if isinstance(value, ua.StatusCode):
        return value.value
    if isinstance(value, ua.LocalizedText):
        return value.Text
    if isinstance(value, ua.QualifiedName):
        return f"{value.NamespaceIndex}:{value.Name}" if value.NamespaceIndex else value.Name
    return value


def same(ours, theirs):
    np.testing.assert_equal(ours, theirs)  # NaN equals NaN
    return True


@given(variants())
def test_variants_as_the_library_encodes_them(variant):
    cursor = Cursor(variant_to_binary(variant))
    found = cursor.variant()
    assert found.type == variant.VariantType.value
    assert (found.dims is not None) == variant.is_array
    assert same(found.value, plain(variant.Value))
    assert cursor.at == len(cursor.data)


def test_a_matrix_is_flat_row_by_row():
    found = Cursor(variant_to_binary(ua.Variant([[1, 2, 3], [4, 5, 6]], V.Int16))).variant()
    assert found == builtin.Variant(T.INT16, [1, 2, 3, 4, 5, 6], (2, 3))


def test_an_expanded_node_id_keeps_its_uri():
    data = pack_uatype(V.ExpandedNodeId, ua.ExpandedNodeId(5, 0, ua.NodeIdType.Numeric, "urn:a", 1))
    assert Cursor(data).nodeid() == builtin.NodeId(0, 5, "urn:a")
    assert str(Cursor(data).nodeid()) == "nsu=urn:a;i=5"


def test_structures_variants_of_variants_and_diagnostics():
    inner = ua.Variant([ua.Variant(1.5, V.Double), ua.Variant("a", V.String)], V.Variant)
    found = Cursor(variant_to_binary(inner)).variant()
    assert [v.value for v in found.value] == [1.5, "a"]
    body = ua.ExtensionObject(TypeId=ua.NodeId(77, 2), Body=b"abc")
    found = Cursor(variant_to_binary(ua.Variant(body, V.ExtensionObject))).variant()
    assert found.value == builtin.Extension(builtin.NodeId(2, 77), b"abc")
    cursor = Cursor(bytes([0x7F]) + struct.pack("<4i", 1, 2, 3, 4) + struct.pack("<i", -1) + bytes(4) + bytes([0]))
    cursor.diagnostic()
    assert cursor.at == len(cursor.data)


@st.composite
def data_values(draw):
    """(bytes after the standard's Table 26, value, status, source, server)."""
    variant = draw(st.none() | variants())
    source, server = draw(st.none() | STAMPS), draw(st.none() | STAMPS)
    status = draw(st.sampled_from([None, 0, 0x480, 0x4090_0000]))
    pico = draw(st.booleans())
    mask, data = 0, b""
    for bit, part in (
        (1, variant and variant_to_binary(variant)),
        (2, status is not None and struct.pack("<I", status)),
        (4, source and struct.pack("<q", plain(source))),
        (16, source and pico and struct.pack("<H", 77)),
        (8, server and struct.pack("<q", plain(server))),
        (32, server and pico and struct.pack("<H", 78)),
    ):
        mask |= bit if part else 0
        data += part or b""
    return bytes([mask]) + data, variant, status or 0, source, server


def unix(stamp):
    return 0 if stamp is None else (stamp - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@given(st.lists(data_values(), max_size=12), st.booleans())
def test_columns_hold_what_each_value_holds(values, handles):
    data = struct.pack("<i", len(values))
    for row, (octets, *_) in enumerate(values):
        data += (struct.pack("<I", 7 * row) if handles else b"") + octets
    cursor = Cursor(data)
    found = messages.samples(cursor, handles)
    assert cursor.at == len(data)
    assert found.handle.tolist() == ([7 * row for row in range(len(values))] if handles else [])
    for row, (_, variant, status, source, server) in enumerate(values):
        assert (found.status[row], found.source_ns[row], found.server_ns[row]) == (status, unix(source), unix(server))
        if variant is None:
            assert found.kind[row] == 0
        elif found.kind[row] == messages.OTHER:
            assert same(found.others[row].value, plain(variant.Value))
        else:
            assert found.kind[row] == variant.VariantType.value
            assert same(found.number[row], float(plain(variant.Value)))


def test_integers_beyond_a_float_stay_integers():
    values = [2**53, 2**53 + 1, -(2**60), 5]
    data = struct.pack("<i", 4) + b"".join(b"\x01" + variant_to_binary(ua.Variant(v, V.Int64)) for v in values)
    found = messages.samples(Cursor(data), handles=False)
    assert {row: v.value for row, v in found.others.items()} == {1: 2**53 + 1, 2: -(2**60)}
    assert found.number[[0, 3]].tolist() == [2.0**53, 5.0]


def test_a_publish_response_of_the_library():
    item = ua.MonitoredItemNotification(3, ua.DataValue(ua.Variant(2.5, V.Double), ua.StatusCode(0x480)))
    response = ua.PublishResponse()
    response.Parameters = ua.PublishResult(
        9,
        [4, 5],
        True,
        ua.NotificationMessage(
            5,
            datetime(2026, 1, 1, tzinfo=UTC),
            [],
        ),
        [],
        [],
    )
    response.Parameters.NotificationMessage.NotificationData = [
        ua.DataChangeNotification([item, item]),
        ua.StatusChangeNotification(Status=ua.StatusCode(ua.StatusCodes.BadTimeout)),
    ]
    cursor = Cursor(struct_to_binary(response))
    assert messages.service_result(cursor, messages.PUBLISH) == 0
    found = messages.published(cursor)
    assert (found.subscription, found.message.sequence, found.message.keep_alive) == (9, 5, False)
    assert found.message.ended == ua.StatusCodes.BadTimeout
    (samples,) = found.message.samples
    assert samples.handle.tolist() == [3, 3]
    assert samples.number.tolist() == [2.5, 2.5]
    assert samples.status.tolist() == [0x480, 0x480]


def test_a_response_of_another_type_is_no_answer():
    with pytest.raises(MalformedError, match="i=829, expected i=634"):
        messages.service_result(Cursor(struct_to_binary(ua.PublishResponse())), messages.READ)


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(data):
    for read in (
        Cursor.variant,
        Cursor.datavalue,
        Cursor.nodeid,
        Cursor.diagnostic,
        lambda cursor: messages.service_result(cursor, messages.READ),
        messages.published,
        messages.read_results,
        lambda cursor: messages.samples(cursor, handles=True),
    ):
        try:
            read(cursor := Cursor(data))
        except MalformedError:
            continue
        assert cursor.at <= len(data)


@pytest.mark.parametrize(
    ("read", "data"),
    [(Cursor.variant, b"\x18" * 100), (Cursor.datavalue, b"\x01\x17" * 100), (Cursor.diagnostic, b"\x40" * 100)],
    ids=["variant", "datavalue", "diagnostic"],
)
def test_nesting_without_end_is_refused(read, data):
    with pytest.raises(MalformedError, match="deeper"):
        read(Cursor(data))
