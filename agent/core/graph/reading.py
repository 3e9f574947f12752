"""The graph in the bytes of an ONNX file: everything in one file, plain nodes, dense tensors that are what they say."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from agent.core.graph import protobuf, schema
from agent.core.graph.nouns import TYPES, WORDS, Array, Graph, Node, Port

IR_VERSIONS = range(4, 14)
OPSETS = {"": range(13, 25), "ai.onnx.ml": range(1, 6)}
MOST_AXES = 8
LONGEST_AXIS = 2**31 - 1
LONGEST_METADATA = 2**20
# AttributeProto.AttributeType: where its value stands.
VALUES = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
EMPTY: dict[str, Any] = {"f": 0.0, "i": 0, "s": b""}


def read(content: bytes) -> Graph:
    """The graph of a file. ValueError says why these bytes are none that may be used."""
    try:
        model = protobuf.parse(memoryview(content), schema.MODEL, "the model", protobuf.Budget())
    except ValueError as error:
        raise ValueError(f"not an ONNX file: {error}") from error
    if "graph" not in model:
        raise ValueError("not an ONNX file: it holds no graph")
    if model["functions"]:
        raise ValueError("it has functions or subgraphs (If, Loop, Scan); expected a plain graph")
    if model["training"]:
        raise ValueError("it has training steps; expected a graph that only computes")
    graph = model["graph"]
    if graph["sparse"]:
        raise ValueError("it has sparse tensors; expected dense ones")
    ir_version = model.get("ir_version", 0)
    if ir_version not in IR_VERSIONS:
        raise ValueError(f"IR version {ir_version}, expected {IR_VERSIONS[0]} to {IR_VERSIONS[-1]}")
    opset = _opset(model["opsets"])
    nodes = tuple(_node(each) for each in graph["nodes"])
    constants = _constants(graph["initializers"])
    ports = [tuple(_port(each) for each in graph[name]) for name in ("inputs", "outputs")]
    return Graph(nodes, constants, ports[0], ports[1], opset, _metadata(model["props"]))


def _opset(opsets: Sequence[dict[str, Any]]) -> int:
    """The version of the standard domain."""
    found: dict[str, int] = {}
    for each in opsets:
        domain, version = _domain(each.get("domain", "")), each.get("version", 0)
        if domain not in OPSETS:
            raise ValueError(
                f"operators of {domain} are not known; expected {', '.join(d or 'ai.onnx' for d in OPSETS)}"
            )
        if domain in found:
            raise ValueError(f"it names the version of {domain or 'ai.onnx'} twice")
        if version not in (known := OPSETS[domain]):
            expected = f"expected {known[0]} to {known[-1]}"
            raise ValueError(f"operators of {domain or 'ai.onnx'} in version {version}, {expected}")
        found[domain] = version
    if "" not in found:
        raise ValueError("it does not say which version of the operators it means")
    return found[""]


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _metadata(props: Sequence[dict[str, str]]) -> dict[str, str]:
    metadata: dict[str, str] = {}
    for entry in props:
        key, value = entry.get("key", ""), entry.get("value", "")
        if key in metadata:
            raise ValueError(f"metadata {key} stands there twice")
        metadata[key] = value
    size = sum(len(text) for entry in metadata.items() for text in entry)
    if size > LONGEST_METADATA:
        raise ValueError(f"metadata of {size} characters, expected at most {LONGEST_METADATA}")
    return metadata


def _node(raw: dict[str, Any]) -> Node:
    operator, domain = raw.get("operator", ""), _domain(raw.get("domain", ""))
    name = f"{domain}.{operator}" if domain else operator
    attributes: dict[str, Any] = {}
    for each in raw["attributes"]:
        key = each.get("name", "")
        if key in attributes:
            raise ValueError(f"{name} has its attribute {key} twice")
        attributes[key] = _attribute(each, f"attribute {key} of {name}")
    return Node(name, tuple(raw["inputs"]), tuple(raw["outputs"]), attributes)


def _attribute(raw: dict[str, Any], what: str) -> Any:
    if "graph" in raw or raw["graphs"]:
        raise ValueError("it has functions or subgraphs (If, Loop, Scan); expected a plain graph")
    if "sparse" in raw or raw["sparses"]:
        raise ValueError("it has sparse tensors; expected dense ones")
    if raw.get("reference"):
        raise ValueError(f"{what} refers to a function's {raw['reference']}")
    holds = [field for field in VALUES.values() if raw.get(field) not in (None, [])]
    kind = VALUES.get(raw.get("type", 0))
    if kind is None or raw["tensors"] or any(field != kind for field in holds):
        raise ValueError(f"{what} is not of the type that it states")
    value: Any = raw.get(kind, EMPTY.get(kind))
    if kind == "t":
        if value is None:
            raise ValueError(f"{what} holds no tensor")
        return _tensor(value, what)
    if kind == "s":
        return _text(value, what)
    return tuple(_text(each, what) for each in value) if kind == "strings" else _plain(value)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _text(value: bytes | memoryview, what: str) -> str:
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        raise ValueError(f"{what} is not UTF-8") from None


def _constants(tensors: Sequence[dict[str, Any]]) -> dict[str, Array]:
    constants: dict[str, Array] = {}
    for each in tensors:
        name = each.get("name", "")
        if name in constants or not name:
            raise ValueError(f"tensor {name or 'without a name'} stands there twice, or has no name")
        constants[name] = _tensor(each, f"tensor {name}")
    return constants


def _tensor(raw: dict[str, Any], what: str) -> Array:
    """An array that no later hand can change."""
    if raw["external"] or raw.get("location", 0):
        raise ValueError("it keeps tensors in other files; expected everything in one file")
    kind = raw.get("type", 0)
    if kind not in TYPES:
        expected = ", ".join(WORDS[n] for n in TYPES)
        raise ValueError(f"{what} is of type {WORDS.get(kind, kind)}, expected {expected}")
    dims, dtype = raw["dims"], TYPES[kind]
    if len(dims) > MOST_AXES or any(not 0 <= dim <= LONGEST_AXIS for dim in dims):
        raise ValueError(f"{what} has dimensions {dims[:MOST_AXES]}, expected at most {MOST_AXES} from 0 to 2^31")
    asked = prod(dims)
    values = _values(raw, kind, dtype, what)
    if len(values) != asked:
        raise ValueError(f"{what} holds {len(values)} values, but its dimensions {dims} ask for {asked}")
    array = values.reshape(dims)
    array.flags.writeable = False
    return array


def _values(raw: dict[str, Any], kind: int, dtype: np.dtype[Any], what: str) -> Array:
    lists = {1: "singles", 6: "wholes4", 7: "wholes8", 9: "wholes4", 11: "doubles"}
    held = [name for name in ("singles", "wholes4", "wholes8", "doubles", "texts") if raw[name]]
    if held and (held != [lists[kind]] or "raw" in raw):
        raise ValueError(f"{what} holds values of another type than it states")
    if "raw" not in raw:
        return np.array(raw[lists[kind]], np.int64 if kind in (6, 7, 9) else dtype).astype(dtype)
    if len(raw["raw"]) % dtype.itemsize:
        raise ValueError(f"{what} holds {len(raw['raw'])} bytes, which are no whole number of values")
    octets = np.frombuffer(raw["raw"], np.uint8)
    if kind == 9 and octets.size and octets.max() > 1:
        raise ValueError(f"{what} holds bytes that are neither true nor false")
    return octets.copy().view(dtype)


def _port(raw: dict[str, Any]) -> Port:
    name, kind = raw.get("name", ""), raw.get("type", {})
    tensor = kind.get("tensor")
    if tensor is None:
        raise ValueError(f"{name or 'a port'} is no tensor")
    element = tensor.get("element", 0)
    dims = tensor["shape"]["dims"] if "shape" in tensor else []
    shape = tuple(dim.get("value", dim.get("param")) for dim in dims)
    if len(shape) > MOST_AXES or any(isinstance(n, int) and not 0 <= n <= LONGEST_AXIS for n in shape):
        raise ValueError(
            f"{name} has dimensions {list(shape)[:MOST_AXES]}, expected at most {MOST_AXES} from 0 to 2^31"
        )
    return Port(name, f"tensor({WORDS.get(element, element)})", shape)
