"""A graph as values: ports, nodes in an order in which they can run, constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# TensorProto.DataType: only these may stand in a file.
TYPES: Mapping[int, np.dtype[Any]] = {
    1: np.dtype(np.float32),
    6: np.dtype(np.int32),
    7: np.dtype(np.int64),
    9: np.dtype(np.bool_),
    11: np.dtype(np.float64),
}
WORDS = {1: "float", 6: "int32", 7: "int64", 8: "string", 9: "bool", 10: "float16", 11: "double"}


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a graph: its element type in onnxruntime's words; shape, a name or None where any size."""

    name: str
    type: str
    shape: tuple[int | str | None, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.type} {list(self.shape)}"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operation. operator: `Op`, or `domain.Op` outside the standard domain; "" among inputs is one left out.

    attributes: int, float, str, Array, or a tuple of int, float or str, by name.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.operator} (which makes {self.outputs[0]})"


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """All of an ONNX file. `constants`: its initializers by name; `opset`: of the standard domain."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    opset: int
    metadata: Mapping[str, str]

    @property
    def operators(self) -> frozenset[str]:
        """The operators of its nodes."""
        return frozenset(node.operator for node in self.nodes)
