"""Structures decoded by their definition, against what the library encodes for the same types."""

import dataclasses
import json
from datetime import UTC, datetime
from typing import Optional

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given
from hypothesis import strategies as st
from test_opcua_items_binary import SCALARS, plain, same

from agent.drivers.opcua.binary import structures
from agent.drivers.opcua.binary.builtin import Extension, MalformedError, NodeId, T, Ticks
from agent.drivers.opcua.binary.cursor import Cursor
from agent.drivers.opcua.binary.structures import Definition, Field, Form, Types, UnknownTypeError

V = ua.VariantType
BUILTINS = {NodeId(0, kind.value): kind.value for kind in V if kind.value <= 25}
SCALAR_KINDS = [kind for kind in SCALARS if kind not in (V.StatusCode,)]


@dataclasses.dataclass
class Made:
    """One made-up type: ours and theirs, with a value of it (theirs) and what it should read as."""

    definition: Definition
    theirs: type
    value: object
    expected: dict


class Maker:
    """Draws types and values; `known` is what a server would tell of them."""

    def __init__(self, draw):
        self.draw = draw
        self.known = {}

    def structure(self, depth):
        form = self.draw(st.sampled_from([Form.PLAIN, Form.OPTIONAL, Form.UNION]))
        n = self.draw(st.integers(1, 4))
        name = f"f{len(self.known)}"
        fields, hints, values, expected = [], [], {}, {}
        for i in range(n):
            data_type, hint, value, reads = self.field(depth)
            array = self.draw(st.booleans())
            if array:
                hint, value, reads = list[hint], [value] * (k := self.draw(st.integers(0, 3))), [reads] * k
            optional = form is Form.OPTIONAL and self.draw(st.booleans())
            fields.append(Field(f"x{i}", data_type, 1 if array else -1, optional))
            if optional and self.draw(st.booleans()):
                value = None
            else:
                expected[f"x{i}"] = reads
            values[f"x{i}"] = value
            hints.append((f"x{i}", Optional[hint] if optional else hint))  # noqa: UP045
        ours = NodeId(2, len(self.known))
        self.known[ours] = Definition(form, tuple(fields), NodeId(3, len(self.known)))
        if form is Form.UNION:
            theirs = dataclasses.make_dataclass(
                name, [("Encoding", ua.UInt32, 0), ("Value", object, None)], bases=(ua.UaUnion,)
            )
            theirs._union_types = [hint for _, hint in hints]
            which = self.draw(st.integers(0, n))
            value = theirs()
            value.Encoding, value.Value = which, values[f"x{which - 1}"] if which else None
            return ours, theirs, value, {f"x{which - 1}": expected[f"x{which - 1}"]} if which else {}
        if form is Form.OPTIONAL:
            theirs = dataclasses.make_dataclass(name, [("Encoding", ua.UInt32), *hints])
            return ours, theirs, theirs(0, **values), expected
        theirs = dataclasses.make_dataclass(name, hints)
        return ours, theirs, theirs(**values), expected

    def field(self, depth):
        if depth and self.draw(st.integers(0, 3)) == 0:
            return self.structure(depth - 1)
        kind = self.draw(st.sampled_from(SCALAR_KINDS))
        value = self.draw(SCALARS[kind].filter(lambda v: v is not None))
        return NodeId(0, kind.value), getattr(ua, kind.name), value, plain(value)


@st.composite
def made(draw):
    maker = Maker(draw)
    data_type, _, value, expected = maker.structure(2)
    return maker.known, data_type, struct_to_binary(value), expected


def types(known):
    return Types(known, BUILTINS, {d.encoding: data_type for data_type, d in known.items()})


@given(made())
def test_structures_as_the_library_encodes_them(made):
    known, data_type, body, expected = made
    found = structures.decoded(Extension(known[data_type].encoding, body), types(known))
    assert same(found, expected)
    json.loads(structures.as_json(found))


@given(made(), st.data())
def test_a_body_that_is_cut_or_changed_is_decoded_or_refused(made, data):
    known, data_type, body, _ = made
    cut = bytearray(body[: data.draw(st.integers(0, len(body)))])
    if cut:
        cut[data.draw(st.integers(0, len(cut) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        structures.decoded(Extension(known[data_type].encoding, bytes(cut)), types(known))
    except (MalformedError, UnknownTypeError):
        return


def test_a_definition_as_the_library_encodes_it():
    theirs = ua.StructureDefinition(
        ua.NodeId(5, 2),
        ua.NodeId(22),
        ua.StructureType.StructureWithOptionalFields,
        [
            ua.StructureField("Speed", ua.LocalizedText("rpm"), ua.NodeId(11), -1, [], 0, False),
            ua.StructureField("Load", ua.LocalizedText(), ua.NodeId("Load", 2), 1, [4], 0, True),
        ],
    )
    found = structures.definition_of(struct_to_binary(theirs))
    assert found == Definition(
        Form.OPTIONAL,
        (Field("Speed", NodeId(0, 11), -1, False), Field("Load", NodeId(2, "Load"), 1, True)),
        NodeId(2, 5),
    )


def test_what_is_not_known_is_named_and_recursion_ends():
    known = {NodeId(2, 1): Definition(Form.PLAIN, (Field("x", NodeId(2, 9)),), NodeId(3, 1))}
    with pytest.raises(UnknownTypeError, match="ns=2;i=9"):
        structures.decoded(Extension(NodeId(3, 1), b"1234"), types(known))
    with pytest.raises(UnknownTypeError, match="ns=3;i=7"):
        structures.decoded(Extension(NodeId(3, 7), b"1234"), types(known))
    endless = {NodeId(2, 1): Definition(Form.PLAIN, (Field("x", NodeId(2, 1)),), NodeId(3, 1))}
    with pytest.raises(MalformedError, match="deeper"):
        structures.decoded(Extension(NodeId(3, 1), b"1234"), types(endless))


def test_a_field_of_a_subtype_carries_its_own_type():
    known = {
        NodeId(2, 1): Definition(Form.PLAIN_SUBTYPED, (Field("x", NodeId(2, 2), -1, True),), NodeId(3, 1)),
        NodeId(2, 2): Definition(Form.PLAIN, (), NodeId(3, 2)),
        NodeId(2, 3): Definition(Form.PLAIN, (Field("y", NodeId(0, 6)),), NodeId(3, 3)),
    }
    body = bytes([2]) + (3).to_bytes(2, "little") + (3).to_bytes(4, "little") + bytes([1]) + (4).to_bytes(4, "little")
    body += (77).to_bytes(4, "little")
    assert structures.decoded(Extension(NodeId(3, 1), body), types(known)) == {"x": {"y": 77}}


def test_json_of_what_json_does_not_have():
    moment = Ticks(plain(datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=UTC)))
    value = {"a": float("nan"), "b": b"\x01\xff", "c": moment, "d": [None, True, "ü"], "e": NodeId(2, "x")}
    assert structures.as_json(value) == (
        '{"a":null,"b":"01ff","c":"2026-01-02T03:04:05.000600+00:00","d":[null,true,"ü"],"e":"ns=2;s=x"}'
    )


def test_a_matrix_in_a_structure():
    known = {NodeId(2, 1): Definition(Form.PLAIN, (Field("m", NodeId(0, T.BYTE), 2),), NodeId(3, 1))}
    body = (2).to_bytes(4, "little") + (2).to_bytes(4, "little") + (3).to_bytes(4, "little") + bytes(range(6))
    assert structures.decoded(Extension(NodeId(3, 1), body), types(known)) == {"m": [[0, 1, 2], [3, 4, 5]]}
    with pytest.raises(MalformedError):
        structures.decoded(Extension(NodeId(3, 1), body[:4] + b"\xff\xff\xff\x7f" * 2), types(known))
    assert Cursor(body).i4() == 2
