"""What an ONNX file holds, read from its bytes alone: operators, metadata, external data. No onnx, no onnxruntime.

A look before the bytes are given to a runtime: of the protobuf wire format only what is needed for that
(https://protobuf.dev/programming-guides/encoding; field numbers from onnx.proto3 of IR version 8 and later).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Field = tuple[int, int | memoryview]

# Field numbers: ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto, StringStringEntryProto.
MODEL_GRAPH, MODEL_METADATA, MODEL_FUNCTIONS = 7, 14, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE = 1, 5, 15
NODE_OPERATOR, NODE_DOMAIN, NODE_ATTRIBUTE = 4, 7, 5
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = 5, 6, 10, 11
TENSOR_EXTERNAL, TENSOR_LOCATION = 13, 14
ENTRY_KEY, ENTRY_VALUE = 1, 2


@dataclass(frozen=True, slots=True)
class Contents:
    """What stands in an ONNX file. `operators`: `Op`, or `domain.Op` outside the standard domain."""

    operators: frozenset[str]
    metadata: dict[str, str]
    external: bool
    subgraphs: bool
    functions: bool


def contents(model: bytes) -> Contents:
    """What an ONNX file holds. ValueError where the bytes are not a protobuf message or hold no graph."""
    operators: set[str] = set()
    metadata: dict[str, str] = {}
    marks = {"graph": False, "external": False, "subgraphs": False, "functions": False}
    for number, value in fields(memoryview(model)):
        if number == MODEL_GRAPH:
            marks["graph"] = True
            _graph(_message(value), operators, marks)
        elif number == MODEL_METADATA:
            entry = {n: bytes(_message(v)).decode() for n, v in fields(_message(value))}
            metadata[entry.get(ENTRY_KEY, "")] = entry.get(ENTRY_VALUE, "")
        elif number == MODEL_FUNCTIONS:
            marks["functions"] = True
    if not marks["graph"]:
        raise ValueError("it holds no graph")
    return Contents(frozenset(operators), metadata, marks["external"], marks["subgraphs"], marks["functions"])


def fields(message: memoryview) -> Iterator[Field]:
    """(field number, varint or bytes) of one message; ValueError where it is cut short or malformed."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(message, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"byte {at}: no protobuf field has wire type {wire}")
        if number == 0 or at + size > len(message):
            raise ValueError(f"byte {at}: cut short, or not a protobuf message")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for i in range(10):
        if at + i >= len(message):
            break
        byte = message[at + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, at + i + 1
    raise ValueError(f"byte {at}: cut short, or not a protobuf message")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message was expected")
    return value


def _graph(graph: memoryview, operators: set[str], marks: dict[str, bool]) -> None:
    for number, value in fields(graph):
        if number == GRAPH_NODE:
            _node(_message(value), operators, marks)
        elif number == GRAPH_INITIALIZER:
            _tensor(_message(value), marks)
        elif number == GRAPH_SPARSE:  # values and indices are tensors of their own
            for _, part in fields(_message(value)):
                if not isinstance(part, int):
                    _tensor(part, marks)


def _node(node: memoryview, operators: set[str], marks: dict[str, bool]) -> None:
    name, domain = "", ""
    for number, value in fields(node):
        if number == NODE_OPERATOR:
            name = bytes(_message(value)).decode()
        elif number == NODE_DOMAIN:
            domain = bytes(_message(value)).decode()
        elif number == NODE_ATTRIBUTE:
            _attribute(_message(value), marks)
    operators.add(name if domain in ("", "ai.onnx") else f"{domain}.{name}")


def _attribute(attribute: memoryview, marks: dict[str, bool]) -> None:
    for number, value in fields(attribute):
        if number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
            marks["subgraphs"] = True
        elif number in (ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS):
            _tensor(_message(value), marks)


def _tensor(tensor: memoryview, marks: dict[str, bool]) -> None:
    for number, value in fields(tensor):
        if number == TENSOR_EXTERNAL or (number == TENSOR_LOCATION and value == 1):
            marks["external"] = True
