"""Runs a graph with numpy, node by node: where onnxruntime cannot run, and to say beforehand what a graph would take.

Slower than onnxruntime (tens of microseconds a node) and equal to it within the rounding of the element type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from agent.core.graph.nouns import Array, Graph, Node
from agent.core.graph.operators import arithmetic, layers, reductions, shapes, trees
from agent.core.graph.operators.arithmetic import Operator

OPERATORS: Mapping[str, Operator] = {
    **arithmetic.OPERATORS, **layers.OPERATORS, **reductions.OPERATORS, **shapes.OPERATORS, **trees.OPERATORS,
}  # fmt: skip
MOST_VALUES = 2**22  # of one array: 16 MiB of float32


class TooMuch(RuntimeError):  # noqa: N818
    """A graph that would make more values than it may."""


FAILURES = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)


def missing(graph: Graph) -> tuple[str, ...]:
    """Operators of a graph that have no numpy evaluation."""
    return tuple(sorted(graph.operators - set(OPERATORS)))


def run(graph: Graph, arrays: Sequence[Array]) -> list[Array]:
    """The outputs of a graph for one array an input. RuntimeError names the node that fails, or would make too much."""
    held: dict[str, Array] = dict(graph.constants)
    held |= {port.name: array for port, array in zip(graph.inputs, arrays, strict=True)}
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            inputs = [held[name] if name else None for name in node.inputs]
            try:
                _bounded(node, inputs)
                made = OPERATORS[node.operator](node, graph.opset, *inputs)
            except FAILURES as error:
                raise RuntimeError(f"{node}: {error or type(error).__name__}") from error
            held.update(zip(node.outputs, made if isinstance(made, tuple) else (made,), strict=False))
    return [held[port.name] for port in graph.outputs]


def _bounded(node: Node, inputs: Sequence[Any]) -> None:
    values = _values(node, inputs)
    if values > MOST_VALUES:
        raise TooMuch(f"{node}: makes {values} values, expected at most {MOST_VALUES}")


def _values(node: Node, inputs: Sequence[Any]) -> Any:
    """How many values a node makes, before it makes them; 0 where there are not more than in its largest input."""
    operator, shapes_of = node.operator, [each.shape for each in inputs if each is not None]
    if operator == "MatMul":
        a, b = inputs[0].shape, inputs[1].shape
        return prod(np.broadcast_shapes(a[:-2], b[:-2])) * prod(a[-2:-1]) * prod(b[-1:] if b[1:] else ())
    if operator == "Gemm":
        of, (a, b) = node.attributes.get, shapes_of[:2]
        return int(a[1] if of("transA", 0) else a[0]) * int(b[0] if of("transB", 0) else b[1])
    if operator == "Concat":
        return sum(map(prod, shapes_of))
    if operator == "Gather":
        x, at = shapes_of
        return prod(at) * prod(x) // max(x[node.attributes.get("axis", 0)], 1)
    if operator in ("Conv", "MaxPool", "AveragePool"):
        return _padded(node, inputs)
    if operator == "GatherElements":
        return prod(shapes_of[1])
    return prod(np.broadcast_shapes(*shapes_of)) if operator in arithmetic.OPERATORS else 0


def _padded(node: Node, inputs: Sequence[Any]) -> Any:
    """Values of the padded input, or of the output of a convolution, whichever are more."""
    x = inputs[0].shape
    pads = node.attributes.get("pads", (0,) * 2 * (len(x) - 2))
    wide = [size + pads[n] + pads[n + len(x) - 2] for n, size in enumerate(x[2:])]
    channels = max(x[1], inputs[1].shape[0]) if node.operator == "Conv" else x[1]
    return x[0] * channels * prod(wide)
