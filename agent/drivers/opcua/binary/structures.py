"""Structures that a server defines (OPC 10000-3 §8.48, DataTypeDefinition), decoded by their definition. Pure.

Nothing is generated from what a server says: a definition is data, and a decoded structure is a dict of its fields.

    plain       the fields one after the other
    optional    first a UInt32: bit n says whether the n-th optional field is there (OPC 10000-6 §5.2.7)
    union       first a UInt32: 0 for none, n for the n-th field alone (§5.2.8)
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from agent.drivers.opcua.binary.builtin import FIXED, DataValue, Extension, MalformedError, NodeId, T, Ticks, Variant
from agent.drivers.opcua.binary.cursor import DEEPEST, Cursor


class Form(IntEnum):
    """StructureType (OPC 10000-3 §8.49). The last two have fields that may hold a subtype of what they say."""

    PLAIN = 0
    OPTIONAL = 1
    UNION = 2
    PLAIN_SUBTYPED = 3
    UNION_SUBTYPED = 4


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a structure: its data type as the server named it, rank (below 1: a scalar), `flag` IsOptional."""

    name: str
    data_type: NodeId
    rank: int = -1
    flag: bool = False


@dataclass(frozen=True, slots=True)
class Definition:
    """A StructureDefinition. `encoding` is the NodeId that stands before a body so encoded."""

    form: Form
    fields: tuple[Field, ...]
    encoding: NodeId


@dataclass(frozen=True, slots=True)
class Types:
    """What is known of a server's types, by NodeId of the data type: structures, and the builtin type of each other.

    `by_encoding`: the data type of each encoding. `missed`: encodings that were met inside a structure, and not known.
    """

    structures: Mapping[NodeId, Definition]
    builtins: Mapping[NodeId, int]
    by_encoding: Mapping[NodeId, NodeId]
    missed: set[NodeId] = field(default_factory=set)

    def knows(self, encoding: NodeId) -> bool:
        """Whether a body that is encoded so can be decoded."""
        return encoding in self.by_encoding and self.by_encoding[encoding] in self.structures


class UnknownTypeError(LookupError):
    """A structure whose definition is not known; `encoding` says which."""

    def __init__(self, encoding: NodeId) -> None:
        """Name it."""
        super().__init__(f"no definition of the structure encoded as {encoding}")
        self.encoding = encoding


def definition_of(body: bytes) -> Definition:
    """A StructureDefinition from its own encoding. MalformedError."""
    cursor = Cursor(body)
    encoding = cursor.nodeid()
    cursor.nodeid()
    form = cursor.i4()
    if form not in list(Form):
        raise MalformedError(f"{form} is no StructureType")
    return Definition(Form(form), tuple(_field_of(cursor) for _ in range(cursor.count())), encoding)


def _field_of(cursor: Cursor) -> Field:
    name = cursor.text() or ""
    cursor.localized()
    data_type, rank = cursor.nodeid(), cursor.i4()
    cursor.array(T.UINT32)
    cursor.u4()
    return Field(name, data_type, rank, bool(cursor.u1()))


def decoded(found: Extension, types: Types, depth: int = 0) -> dict[str, Any]:
    """The fields of a structure by name, nested ones too. UnknownTypeError, MalformedError."""
    if found.body is None or not types.knows(found.encoding):
        raise UnknownTypeError(found.encoding)
    return _structure(Cursor(found.body), types.structures[types.by_encoding[found.encoding]], types, depth)


def _structure(cursor: Cursor, definition: Definition, types: Types, depth: int) -> dict[str, Any]:
    if depth > DEEPEST:
        raise MalformedError(f"structures nested deeper than {DEEPEST} levels")
    subtyped = definition.form in (Form.PLAIN_SUBTYPED, Form.UNION_SUBTYPED)
    fields = definition.fields
    if definition.form in (Form.UNION, Form.UNION_SUBTYPED):
        which = cursor.u4()
        if which > len(fields):
            raise MalformedError(f"field {which} of a union of {len(fields)}")
        fields = fields[which - 1 : which] if which else ()
    elif definition.form is Form.OPTIONAL:
        mask, optional = cursor.u4(), [f.name for f in fields if f.flag]
        there = {name for bit, name in enumerate(optional) if mask >> bit & 1}
        fields = tuple(f for f in fields if not f.flag or f.name in there)
    return {f.name: _field(cursor, f, subtyped and f.flag, types, depth) for f in fields}


def _field(cursor: Cursor, field: Field, subtyped: bool, types: Types, depth: int) -> Any:
    if field.rank < 1:
        return _value(cursor, field.data_type, subtyped, types, depth)
    if field.rank == 1:
        return _array(cursor, field.data_type, subtyped, types, depth)
    dims = tuple(cursor.array(T.INT32))  # a matrix: its lengths, then the elements without a count (§5.2.5)
    size = math.prod(max(0, n) for n in dims)
    if size > len(cursor.data):
        raise MalformedError(f"a matrix of {dims} in {len(cursor.data)} bytes")
    return nested([_value(cursor, field.data_type, subtyped, types, depth) for _ in range(size)], dims)


def _array(cursor: Cursor, data_type: NodeId, subtyped: bool, types: Types, depth: int) -> list[Any]:
    builtin = types.builtins.get(data_type)
    if builtin in FIXED and not subtyped:
        return cursor.array(builtin)
    return [_value(cursor, data_type, subtyped, types, depth) for _ in range(cursor.count())]


def _value(cursor: Cursor, data_type: NodeId, subtyped: bool, types: Types, depth: int) -> Any:
    definition = types.structures.get(data_type)
    if definition is not None and not subtyped:
        return _structure(cursor, definition, types, depth + 1)
    builtin = T.EXTENSION if definition is not None else types.builtins.get(data_type)
    if builtin is None:
        raise UnknownTypeError(data_type)
    return opened(cursor.builtin(T.VARIANT if subtyped and builtin != T.EXTENSION else builtin), types, depth + 1)


def opened(value: Any, types: Types, depth: int = 0) -> Any:
    """A decoded value with the structures in it as dicts, Variants as what they hold, a matrix as lists of lists."""
    if isinstance(value, Extension):
        return decoded(value, types, depth)
    if isinstance(value, Variant):
        if value.dims is None:
            return opened(value.value, types, depth)
        return nested([opened(v, types, depth) for v in value.value], value.dims)
    if isinstance(value, DataValue):
        return opened(value.value, types, depth)
    return value


def nested(flat: list[Any], dims: tuple[int, ...]) -> list[Any]:
    """The elements of an array of several dimensions as lists of lists."""
    if len(dims) < 2:
        return flat
    step = math.prod(dims[1:])
    return [nested(flat[i * step : (i + 1) * step], dims[1:]) for i in range(dims[0])]


def as_json(value: Any) -> str:
    """A decoded value as JSON text. NaN and infinity, which JSON does not have, become null."""
    return json.dumps(_jsonable(value), ensure_ascii=False, separators=(",", ":"))


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _jsonable(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Ticks | uuid.UUID | NodeId):
        return str(value)
    return value
