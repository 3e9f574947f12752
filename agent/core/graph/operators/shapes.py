"""What moves values and computes none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agent.core.graph.nouns import Array, Node
from agent.core.graph.operators.arithmetic import Operator


def _concat(node: Node, opset: int, *xs: Array) -> Array:
    return np.concatenate(xs, axis=node.attributes["axis"])


def _constant(node: Node, opset: int) -> Array:
    """One of value, value_float(s), value_int(s)."""
    ((name, value),) = node.attributes.items()
    if name == "value":
        return np.asarray(value)
    return np.asarray(value, np.int64 if "int" in name else np.float32)


def _flatten(node: Node, opset: int, x: Array) -> Array:
    axis = node.attributes.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(int(np.prod(x.shape[:axis], dtype=np.int64)), int(np.prod(x.shape[axis:], dtype=np.int64)))


def _gather(node: Node, opset: int, x: Array, at: Array) -> Array:
    axis = node.attributes.get("axis", 0)
    return np.take(x, _from_start(at, x.shape[axis]), axis=axis)


def _gather_elements(node: Node, opset: int, x: Array, at: Array) -> Array:
    """The other axes of the indices may be shorter than those of x."""
    axis = node.attributes.get("axis", 0) % x.ndim
    held = tuple(slice(None) if n == axis else slice(size) for n, size in enumerate(at.shape))
    return np.take_along_axis(x[held], _from_start(at, x.shape[axis]), axis)


def _from_start(at: Array, size: int) -> Array:
    if at.size and (at.min() < -size or at.max() >= size):
        raise ValueError(f"index {at.max()} of {size}")
    return np.where(at < 0, at + size, at)


def _reshape(node: Node, opset: int, x: Array, shape: Array) -> Array:
    """0 stands for the size that this axis had, -1 for what is left."""
    keep = not node.attributes.get("allowzero", 0)
    return x.reshape([x.shape[n] if keep and size == 0 else size for n, size in enumerate(shape.tolist())])


def _shape(node: Node, opset: int, x: Array) -> Array:
    start, end = node.attributes.get("start", 0), node.attributes.get("end")
    return np.array(x.shape[start:end], np.int64)


def _slice(
    node: Node, opset: int, x: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None
) -> Any:
    named = range(len(starts)) if axes is None else axes.tolist()
    strides = [1] * len(starts) if steps is None else steps.tolist()
    cut: list[Any] = [slice(None)] * x.ndim
    for axis, start, end, step in zip(named, starts.tolist(), ends.tolist(), strides, strict=True):
        size = x.shape[axis]
        # Backwards an end below the first element means: all of them.
        cut[axis] = slice(start, None if step < 0 and end < -size else end, step)
    return x[tuple(cut)]


def _axes(node: Node, given: Array | None) -> Sequence[int] | None:
    return node.attributes.get("axes") if given is None else given.tolist()


def _squeeze(node: Node, opset: int, x: Array, given: Array | None = None) -> Array:
    axes = _axes(node, given)
    return np.squeeze(x, None if axes is None else tuple(axes))


def _transpose(node: Node, opset: int, x: Array) -> Array:
    return np.transpose(x, node.attributes.get("perm"))


def _unsqueeze(node: Node, opset: int, x: Array, given: Array | None = None) -> Array:
    return np.expand_dims(x, tuple(_axes(node, given) or ()))


OPERATORS: Mapping[str, Operator] = {
    "Concat": _concat,
    "Constant": _constant,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
