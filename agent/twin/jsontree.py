"""Dataclasses as JSON that a person can read in a diff, and back with every mistake named by its path.

Driven by the annotations, as `core.wire` is: float, int, str, bool, F8 (f8 arrays of any shape), tuples, mappings by
name, nested dataclasses, `X | None`, and Any for what is only carried along. Unknown names are refused: a typing
error in a file must not become a default. Numbers are finite and keep 9 significant digits.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

T = TypeVar("T")
DIGITS = 9
WIDTH = 110


def read(kind: type[T], tree: Any, path: str = "twin") -> T:
    """The dataclass `kind` of a JSON tree; ValueError names the path and what was expected there."""
    value: T = _value(kind, tree, path)
    return value


def tree(value: Any) -> Any:
    """The JSON tree of a dataclass; fields that are None are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {name: tree(v) for name, v in named.items() if v is not None}
    if isinstance(value, np.ndarray):
        return tree(value.tolist())
    if isinstance(value, Mapping):
        return {str(k): tree(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [tree(v) for v in value]
    if isinstance(value, float | np.floating):
        return _number(float(value))
    return value


def text(node: Any) -> str:
    """JSON with one matrix row a line, short branches on one line; the same tree gives the same bytes."""
    return _text(node, 0) + "\n"


def _number(value: float) -> float | None:
    """9 digits; what is not known (NaN) is null."""
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise ValueError("a number that is not finite cannot stand in a model file")
    return float(f"{value:.{DIGITS}g}")


def _text(node: Any, depth: int) -> str:
    line = json.dumps(node, ensure_ascii=False, allow_nan=False)
    if len(line) + 2 * depth <= WIDTH or not isinstance(node, dict | list):
        return line
    if isinstance(node, list) and not any(isinstance(v, dict | list) for v in node):
        return line
    inner, outer = "  " * (depth + 1), "  " * depth
    if isinstance(node, dict):
        body = [f"{inner}{json.dumps(k, ensure_ascii=False)}: {_text(v, depth + 1)}" for k, v in node.items()]
        return "{\n" + ",\n".join(body) + f"\n{outer}}}"
    return "[\n" + ",\n".join(inner + _text(v, depth + 1) for v in node) + f"\n{outer}]"


@cache
def _fields(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Type of each field, and whether it may be left out."""
    hints = get_type_hints(kind)
    none = dataclasses.MISSING
    return {
        f.name: (hints[f.name], f.default is not none or f.default_factory is not none)
        for f in dataclasses.fields(kind)
    }


def _value(kind: Any, node: Any, path: str) -> Any:
    if kind is Any:
        return node
    if kind is float:
        return _float(node, path)
    if kind in (int, str, bool):
        return _plain(kind, node, path)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = next(k for k in get_args(kind) if k is not type(None))
        return None if node is None else _value(inner, node, path)
    if origin is np.ndarray:
        return _array(node, path)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, node, path)
    return _container(origin, get_args(kind), node, path)


def _float(node: Any, path: str) -> float:
    if node is None:
        return math.nan
    if isinstance(node, bool) or not isinstance(node, int | float) or not math.isfinite(node):
        raise ValueError(f"{path} is {node!r}, expected a finite number")
    return float(node)


def _plain(kind: type[Any], node: Any, path: str) -> Any:
    if not isinstance(node, kind) or (kind is int and isinstance(node, bool)):
        raise ValueError(f"{path} is {node!r}, expected {'a word' if kind is str else kind.__name__}")
    return node


def _array(node: Any, path: str) -> Any:
    try:
        array = np.array(node, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected numbers in rows of one length ({error})") from error
    if not np.isfinite(array).all():
        raise ValueError(f"{path} holds a number that is not finite")
    return array


def _dataclass(kind: Any, node: Any, path: str) -> Any:
    if not isinstance(node, dict):
        raise ValueError(f"{path}: expected an object with {', '.join(_fields(kind))}")
    known = _fields(kind)
    unknown = sorted(set(node) - set(known))
    missing = sorted(
        name for name, (_, free) in known.items() if not free and name not in node and not _optional(kind, name)
    )
    if unknown or missing:
        said = [f"unknown: {', '.join(unknown)}"] * bool(unknown) + [f"missing: {', '.join(missing)}"] * bool(missing)
        raise ValueError(f"{path}: {'; '.join(said)}; expected {', '.join(known)}")
    given = {name: _value(hint, node[name], f"{path}.{name}") for name, (hint, _) in known.items() if name in node}
    absent = {name: None for name, (_, free) in known.items() if not free and name not in node}
    return kind(**given, **absent)


def _optional(kind: Any, name: str) -> bool:
    hint = _fields(kind)[name][0]
    return get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint)


def _container(origin: Any, arguments: tuple[Any, ...], node: Any, path: str) -> Any:
    if origin is tuple:
        if not isinstance(node, list):
            raise ValueError(f"{path}: expected a list")
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_value(arguments[0], v, f"{path}[{i}]") for i, v in enumerate(node))
        if len(node) != len(arguments):
            raise ValueError(f"{path}: {len(node)} entries, expected {len(arguments)}")
        return tuple(_value(k, v, f"{path}[{i}]") for i, (k, v) in enumerate(zip(arguments, node, strict=True)))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(node, dict):
            raise ValueError(f"{path}: expected an object")
        return {str(k): _value(arguments[1], v, f"{path}.{k}") for k, v in node.items()}
    raise TypeError(f"{path}: no reading of {origin}")
