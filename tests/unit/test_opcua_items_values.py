"""What a server sends as the columns of tags: numbers, texts, arrays, structures, and types that do not fit."""

import struct
from datetime import UTC, datetime

import numpy as np
import pytest
from asyncua import ua
from asyncua.ua.ua_binary import variant_to_binary

from agent.core import quality
from agent.core.nouns import Tag
from agent.core.scaling import Scaling
from agent.drivers.opcua import items, values
from agent.drivers.opcua.binary import messages
from agent.drivers.opcua.binary.builtin import NodeId, T
from agent.drivers.opcua.binary.cursor import Cursor
from agent.drivers.opcua.binary.structures import Definition, Field, Form, Types
from agent.drivers.opcua.values import Raw, batch_of

V = ua.VariantType
STAMP = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
MOTOR = Definition(
    Form.PLAIN,
    (Field("Speed", NodeId(0, 11)), Field("Loads", NodeId(0, 6), 1), Field("At", NodeId(0, 13))),
    NodeId(2, 5),
)
TYPES = Types({NodeId(2, 4): MOTOR}, {NodeId(0, int(kind)): int(kind) for kind in T}, {NodeId(2, 5): NodeId(2, 4)})
TICKS = ua.datetime_to_win_epoch(STAMP)


def motor(speed=1.5):
    body = struct.pack("<d3iq", speed, 2, 7, 8, TICKS)
    return ua.Variant(ua.ExtensionObject(TypeId=ua.NodeId(5, 2), Body=body), V.ExtensionObject)


def value(variant, status=None):
    mask = 1 | (2 if status is not None else 0)
    return bytes([mask]) + variant_to_binary(variant) + (struct.pack("<I", status) if status is not None else b"")


def read(*pairs):
    """(what came, status names, texts, arrays, what was told) of (encoded value, type or (type, member)) pairs."""
    samples = messages.samples(Cursor(struct.pack("<i", len(pairs)) + b"".join(v for v, _ in pairs)), handles=False)
    tags = []
    for n, (_, kind) in enumerate(pairs):
        kind, member = kind if isinstance(kind, tuple) else (kind, "")
        tags.append(Tag(f"a/b/{n}", f"i={n}{member}", kind))
    told = []
    every = np.arange(len(pairs))
    plan = items.plan(tags)
    place, rows = plan.spread(every)
    raw = values.raw_of(samples, place, rows, values.wanted(tags), TYPES, lambda row, text: told.append((row, text)))
    texts = {i: b for i, b in raw.beside if isinstance(b, str)}
    arrays = {i: b.tolist() for i, b in raw.beside if not isinstance(b, str)}
    return raw.value.tolist(), [quality.name(int(s)) for s in raw.status], texts, arrays, told


def test_numbers():
    found, names, texts, _, _ = read(
        (value(ua.Variant(1.5)), "float64"),
        (value(ua.Variant(True)), "float64"),
        (value(ua.Variant(2.0), 0x408F_0000), "float64"),
        (value(ua.Variant(2.0), 0x808C_0000), "float64"),
        (value(ua.Variant("12")), "float64"),
        (b"\x00", "float64"),
        (value(ua.Variant(-(2**60), V.Int64)), "float64"),
        (value(ua.Variant(2**53, V.Int64)), "float64"),
        (value(ua.Variant(ua.StatusCode(0x8034_0000), V.StatusCode)), "uint32"),
        (value(ua.Variant(STAMP)), "float64"),
        (value(ua.Variant([1.0])), "float64"),
        (value(ua.Variant(7, V.Byte)), "float64"),
    )
    nan = np.nan
    np.testing.assert_array_equal(
        found, [1.5, 1.0, 2.0, nan, nan, nan, nan, 2.0**53, float(0x8034_0000), STAMP.timestamp(), nan, 7.0]
    )
    assert names == [
        *("Good", "Good", "0x408F0000", "BadSensorFailure", "BadTypeMismatch", "BadNoData", "BadOutOfRange", "Good"),
        *("Good", "Good", "BadTypeMismatch", "Good"),
    ]
    assert texts == {6: str(-(2**60))}


def test_texts():
    found, names, texts, _, _ = read(
        (value(ua.Variant("12")), "string"),
        (value(ua.Variant(ua.LocalizedText("Wasser"))), "string"),
        (value(ua.Variant(ua.LocalizedText(None))), "string"),
        (value(ua.Variant(STAMP)), "string"),
        (value(ua.Variant(b"\x01\xff")), "string"),
        (value(ua.Variant(5, V.Int16)), "string(8)"),
        (value(ua.Variant(1.5)), "string"),
        (value(ua.Variant(True)), "string"),
        (value(ua.Variant(["a", 'b"'], V.String)), "string"),
        (value(ua.Variant(ua.NodeId("x", 2))), "string"),
        (value(ua.Variant(ua.StatusCode(0x8034_0000), V.StatusCode)), "string"),
        (value(ua.Variant(None, V.String)), "string"),
        (value(motor()), "string"),
    )
    assert np.isnan(found).all()
    assert texts == {
        0: "12",
        1: "Wasser",
        2: "",
        3: "2026-01-02T03:04:05.678901+00:00",
        4: "01ff",
        5: "5",
        6: "1.5",
        7: "True",
        8: '["a","b\\""]',
        9: "ns=2;s=x",
        10: "BadNodeIdUnknown",
        12: '{"Speed":1.5,"Loads":[7,8],"At":"2026-01-02T03:04:05.678901+00:00"}',
    }
    assert names == ["Good"] * 11 + ["BadNoData", "Good"]


def test_arrays():
    _, names, _, arrays, told = read(
        (value(ua.Variant([1, 2], V.Int16)), "int16[]"),
        (value(ua.Variant([1.5, 2.5], V.Float)), "float32[2]"),
        (value(ua.Variant([1.5, 2.5], V.Float)), "float32[3]"),
        (value(ua.Variant([[1, 2], [3, 4]], V.Int32)), "float64[4]"),
        (value(ua.Variant([], V.Double, is_array=True)), "float64[]"),
        (value(ua.Variant(1.0)), "float64[1]"),
        (value(ua.Variant(["a"], V.String)), "float64[]"),
        (value(ua.Variant([2**60], V.Int64)), "int64[]"),
        (value(motor()), ("int32[2]", "#Loads")),
        (value(ua.Variant([STAMP], V.DateTime)), "float64[]"),
    )
    assert arrays == {
        0: [1.0, 2.0], 1: [1.5, 2.5], 3: [1.0, 2.0, 3.0, 4.0], 4: [], 8: [7.0, 8.0], 9: [STAMP.timestamp()]
    }  # fmt: skip
    bad = "BadTypeMismatch"
    assert names == ["Good", "Good", bad, "Good", "Good", bad, bad, "BadOutOfRange", "Good", "Good"]
    assert told[0] == (2, "an array of 2 came, expected an array of 3 numbers")


def test_members():
    found, names, texts, _, told = read(
        (value(motor()), ("float64", "#Speed")),
        (value(motor()), ("float64", "#Loads[1]")),
        (value(motor()), ("float64", "#Loads[2]")),
        (value(motor()), ("float64", "#At")),
        (value(motor()), ("string", "#At")),
        (value(motor(), 0x8034_0000), ("float64", "#Speed")),
        (value(ua.Variant([3, 4], V.Int16)), ("float64", "#[1]")),
        (value(ua.Variant([[1, 2], [3, 4]], V.Int32)), ("float64", "#[1,0]")),
        (value(ua.Variant(1.0)), ("float64", "#Speed")),
    )
    np.testing.assert_array_equal(found, [1.5, 8.0, np.nan, STAMP.timestamp(), np.nan, np.nan, 4.0, 3.0, np.nan])
    assert [names[i] for i in (2, 5, 8)] == ["BadTypeMismatch", "BadNodeIdUnknown", "BadTypeMismatch"]
    assert texts == {4: "2026-01-02T03:04:05.678901+00:00"}
    assert told == [
        (2, "Loads[2] is beyond the end, the array has 2 elements"),
        (8, "Speed is not there"),
    ]


def test_a_structure_that_is_not_known_is_told_and_remembered():
    unknown = ua.Variant(ua.ExtensionObject(TypeId=ua.NodeId(9, 2), Body=b"x"), V.ExtensionObject)
    _, names, _, _, told = read((value(unknown), "string"))
    assert names == ["BadTypeMismatch"]
    assert "no definition of the structure encoded as ns=2;i=9" in told[0][1]
    assert NodeId(2, 9) in TYPES.missed


@pytest.mark.parametrize("kind", ["float64", "string", "float64[]"])
def test_bad_values_have_nothing_beside(kind):
    found, names, texts, arrays, _ = read((value(ua.Variant("x"), 0x8034_0000), kind))
    assert (names, texts, arrays) == (["BadNodeIdUnknown"], {}, {})
    assert np.isnan(found[0])


def test_an_array_is_scaled_and_has_the_worst_status_of_its_elements():
    tags = [Tag(f"a/b/{n}", "i=1", "float64[2]", scale=2.0, offset=1.0, eu_hi=10.0) for n in range(4)]
    contents = [np.array(pair) for pair in ([1.0, 2.0], [1.0, 9.0], [1.0, np.nan], [1.0, np.inf])]
    none = np.zeros(4, np.int64)
    raw = Raw(np.full(4, np.nan), np.zeros(4, np.uint32), none, none, tuple(enumerate(contents)))
    batch = batch_of("plc", np.arange(4, dtype=np.intp), raw, none, Scaling.of(tags))
    assert [quality.name(int(s)) for s in batch.status] == [
        "Good",
        "UncertainEngineeringUnitsExceeded",
        "BadSensorFailure",
        "BadOutOfRange",
    ]
    assert [(row, array.tolist()) for row, array in batch.arrays] == [(0, [3.0, 5.0]), (1, [3.0, 19.0])]


def test_an_empty_array_is_good_and_has_no_elements():
    none = np.zeros(1, np.int64)
    raw = Raw(np.full(1, np.nan), np.zeros(1, np.uint32), none, none, ((0, np.zeros(0)),))
    batch = batch_of("plc", np.zeros(1, np.intp), raw, none, Scaling.of([Tag("a/b/c", "i=1", "float64[]")]))
    assert (batch.status.tolist(), batch.arrays) == ([quality.GOOD], ())
