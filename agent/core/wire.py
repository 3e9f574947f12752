"""One encoding for everything that leaves a process: a JSON header, then the arrays as raw little-endian columns.

    message = u4 header length | header (JSON, UTF-8) | column 0 | column 1 | ...

The feed, the journal and checkpoints use it. It is driven by the type annotations of the dataclasses themselves,
so a noun has no second description of itself. Floats survive exactly (JSON prints the shortest exact form; what is
not finite is written as a string, so that the header stays valid JSON).
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
import types
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

T = TypeVar("T")
Columns = list[np.ndarray[Any, Any]]

# What stands in the JSON tree as it is. Sequences of nothing else (names, reasons) are taken whole.
VERBATIM = frozenset({str, int, bool, type(None)})

_HEADER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)

# What bytes made by chance or with intent can raise in here.
NOT_A_MESSAGE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)


class WireError(ValueError):
    """Bytes that are not a message, or not one of the type asked for."""


def encode(noun: Any) -> bytes:
    """The message of a dataclass (or a container of them). TypeError names what cannot be sent."""
    columns: Columns = []
    tree = _tree(noun, columns)
    header = _HEADER.encode({"v": tree, "c": [[c.dtype.str, list(c.shape)] for c in columns]}).encode()
    return b"".join([struct.pack("<I", len(header)), header, *(c.tobytes() for c in columns)])


def decode(kind: type[T], message: bytes | memoryview) -> T:
    """The value of type `kind` in a message. WireError says what was wrong with the bytes."""
    try:
        (length,) = struct.unpack_from("<I", message)
        header = json.loads(bytes(message[4 : 4 + length]))
        value: T = _value(kind, header["v"], _columns(header["c"], memoryview(message)[4 + length :]))
    except (struct.error, *NOT_A_MESSAGE) as error:
        raise WireError(f"not a message of type {getattr(kind, '__name__', kind)}: {error}") from error
    return value


def _columns(specs: list[list[Any]], body: memoryview) -> Columns:
    columns: Columns = []
    at = 0
    for dtype, shape in specs:
        size = math.prod(shape) * np.dtype(dtype).itemsize
        columns.append(np.frombuffer(body[at : at + size], dtype).reshape(shape).copy())
        at += size
    return columns


@cache
def _fields(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind)}


def _tree(value: Any, columns: Columns) -> Any:
    kind = value.__class__
    if kind in VERBATIM:
        return value
    if kind is np.ndarray:
        little = value.astype(value.dtype.newbyteorder("<"), copy=False)
        columns.append(np.ascontiguousarray(little).reshape(value.shape))
        return len(columns) - 1
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    return _branch(value, columns)


def _branch(value: Any, columns: Columns) -> Any:
    if isinstance(value, tuple | list):
        return list(value) if VERBATIM.issuperset(map(type, value)) else [_tree(v, columns) for v in value]
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        names = _fields(value.__class__)
        return {name: v if (v := getattr(value, name)).__class__ in VERBATIM else _tree(v, columns) for name in names}
    if isinstance(value, Mapping):
        return {str(k): _tree(v, columns) for k, v in value.items()}
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    raise TypeError(f"cannot send a {type(value).__name__}")


def _value(kind: Any, tree: Any, columns: Columns) -> Any:
    if kind is float:
        return float(tree)
    if kind in (int, str, bool):
        if not isinstance(tree, kind):
            raise TypeError(f"expected {kind.__name__}, got {tree!r}")
        return tree
    if kind is type(None) or kind is Any:
        return tree
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = next(k for k in get_args(kind) if k is not type(None))
        return None if tree is None else _value(inner, tree, columns)
    if origin is np.ndarray:
        return columns[tree]
    return _container(kind, origin, tree, columns)


def _container(kind: Any, origin: Any, tree: Any, columns: Columns) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        known = {name: hint for name, hint in _fields(kind).items() if name in tree}
        return kind(**{name: _value(hint, tree[name], columns) for name, hint in known.items()})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(tree)
    if isinstance(kind, type) and issubclass(kind, tuple):  # a subclass such as Names
        return kind(tree)
    arguments = get_args(kind)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        whole = arguments[0] in VERBATIM and set(map(type, tree)) == {arguments[0]}
        return tuple(tree) if whole else tuple(_value(arguments[0], v, columns) for v in tree)
    if origin is tuple:
        return tuple(_value(k, v, columns) for k, v in zip(arguments, tree, strict=True))
    if origin is list:
        return [_value(arguments[0], v, columns) for v in tree]
    if origin is not None and issubclass(origin, Mapping):
        return {_key(arguments[0], k): _value(arguments[1], v, columns) for k, v in tree.items()}
    raise TypeError(f"cannot receive a {kind}")


def _key(kind: Any, key: str) -> Any:
    return int(key) if kind is int else key
