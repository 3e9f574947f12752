"""The message of Sparkplug B, described to Google's protobuf library (Sparkplug 3.0.0, chapter 6.4).

The definition is data here, numbers and names as the specification gives them, so that no generated code and no file
under another licence has to come with us; encoding and decoding are the library's. What we never send or read
(templates, data sets, metadata, extensions) is left out: a decoder passes over fields that it does not know.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

MOST_BYTES = 1 << 20

UINT32, UINT64, FLOAT, DOUBLE = Field.TYPE_UINT32, Field.TYPE_UINT64, Field.TYPE_FLOAT, Field.TYPE_DOUBLE
BOOL, STRING, BYTES, MESSAGE = Field.TYPE_BOOL, Field.TYPE_STRING, Field.TYPE_BYTES, Field.TYPE_MESSAGE

PACKAGE = "org.eclipse.tahu.protobuf"


class DataType(IntEnum):
    """What sort of value a metric or a property has (6.4.16): those we send."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    DOUBLE_ARRAY = 31


# Which field of the union `value` carries each type.
CARRIED_BY: dict[DataType, str] = {
    DataType.INT8: "int_value",
    DataType.INT16: "int_value",
    DataType.INT32: "int_value",
    DataType.INT64: "long_value",
    DataType.UINT8: "int_value",
    DataType.UINT16: "int_value",
    DataType.UINT64: "long_value",
    DataType.FLOAT: "float_value",
    DataType.DOUBLE: "double_value",
    DataType.BOOLEAN: "boolean_value",
    DataType.STRING: "string_value",
    DataType.DATETIME: "long_value",
    DataType.DOUBLE_ARRAY: "bytes_value",
}

# (name, number, type); of messages the type is the message's name, a list in brackets.
_VALUES = (
    ("int_value", UINT32),
    ("long_value", UINT64),
    ("float_value", FLOAT),
    ("double_value", DOUBLE),
    ("boolean_value", BOOL),
    ("string_value", STRING),
)
_PROPERTY = (("type", 1, UINT32), ("is_null", 2, BOOL))
_SET = (("keys", 1, [STRING]), ("values", 2, ["PropertyValue"]))
_METRIC = (
    ("name", 1, STRING),
    ("alias", 2, UINT64),
    ("timestamp", 3, UINT64),
    ("datatype", 4, UINT32),
    ("is_historical", 5, BOOL),
    ("is_transient", 6, BOOL),
    ("is_null", 7, BOOL),
    ("properties", 9, "PropertySet"),
)
_PAYLOAD = (("timestamp", 1, UINT64), ("metrics", 2, ["Metric"]), ("seq", 3, UINT64), ("uuid", 4, STRING))


def _described() -> FileDescriptorProto:
    file = FileDescriptorProto(name="sparkplug_b.proto", package=PACKAGE, syntax="proto2")
    payload = file.message_type.add(name="Payload")
    _fill(payload, _PAYLOAD)
    _fill(payload.nested_type.add(name="PropertyValue"), _PROPERTY, _VALUES, 3)
    _fill(payload.nested_type.add(name="PropertySet"), _SET)
    _fill(payload.nested_type.add(name="Metric"), _METRIC, (*_VALUES, ("bytes_value", BYTES)), 10)
    return file


def _fill(message: Any, fields: Any, values: Any = (), first: int = 0) -> None:
    """Fields by name, number and type; `values` are a union, numbered from `first` on."""
    for name, number, kind in fields:
        _field(message, name, number, kind)
    if values:
        message.oneof_decl.add(name="value")
    for number, (name, kind) in enumerate(values, first):
        _field(message, name, number, kind).oneof_index = 0


def _field(message: Any, name: str, number: int, kind: Any) -> Any:
    label = Field.LABEL_REPEATED if isinstance(kind, list) else Field.LABEL_OPTIONAL
    kind = kind[0] if isinstance(kind, list) else kind
    field = message.field.add(name=name, number=number, label=label)
    if isinstance(kind, str):
        field.type, field.type_name = MESSAGE, f".{PACKAGE}.Payload.{kind}"
    else:
        field.type = kind
    return field


def _compiled() -> Any:
    """The class of payloads, in a pool of its own: another library's description of the same messages is its affair."""
    pool = DescriptorPool()
    pool.Add(_described())
    return GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.Payload"))


Payload = _compiled()


def decoded(content: bytes) -> Any:
    """A payload. ValueError: it is none, or larger than anything a host has to say to us."""
    if len(content) > MOST_BYTES:
        raise ValueError(f"{len(content)} bytes, expected {MOST_BYTES} at most")
    try:
        return Payload.FromString(content)
    except DecodeError as error:
        raise ValueError(f"not a Sparkplug B payload: {error}") from error
