"""Along axes: sums, norms, extremes, the largest k."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from agent.core.graph.nouns import Array, Node
from agent.core.graph.operators.arithmetic import Operator

Over = Callable[..., Any]


def _reduction(f: Over) -> Operator:
    """Axes stand in an attribute, or (from version 18, of a sum from 13) in an input; none means all."""

    def over(node: Node, opset: int, x: Array, given: Array | None = None) -> Array:
        axes = node.attributes.get("axes") if given is None else tuple(given.tolist())
        if not axes and node.attributes.get("noop_with_empty_axes", 0):
            return x
        axis = tuple(axes) if axes else tuple(range(x.ndim))
        return np.asarray(f(x, axis=axis, keepdims=bool(node.attributes.get("keepdims", 1))), x.dtype)

    return over


def _l1(x: Array, **over: Any) -> Any:
    return np.abs(x).sum(**over)


def _l2(x: Array, **over: Any) -> Any:
    return np.sqrt((x * x).sum(**over))


def _log_sum(x: Array, **over: Any) -> Any:
    return np.log(x.sum(**over))


def _log_sum_exp(x: Array, axis: tuple[int, ...], keepdims: bool) -> Any:
    """max + log sum exp(x - max), which never overflows."""
    top = x.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    found = np.log(np.exp(x - top).sum(axis=axis, keepdims=True)) + top
    return found if keepdims else np.squeeze(found, axis)


def _square(x: Array, **over: Any) -> Any:
    return (x * x).sum(**over)


def _position(f: Callable[[Array], Any]) -> Operator:
    """Where the first (or last) extreme along one axis is, int64."""

    def at(node: Node, opset: int, x: Array) -> Array:
        axis, last = node.attributes.get("axis", 0), node.attributes.get("select_last_index", 0)
        moved = np.moveaxis(x, axis, -1)
        found = np.asarray(f(moved[..., ::-1] if last else moved), np.int64)
        found = moved.shape[-1] - 1 - found if last else found
        return np.expand_dims(found, axis) if node.attributes.get("keepdims", 1) else found

    return at


def _cumulative(node: Node, opset: int, x: Array, axis: Array) -> Array:
    along = int(axis.reshape(()))
    back = bool(node.attributes.get("reverse", 0))
    moved = np.flip(x, along) if back else x
    total = np.cumsum(moved, axis=along, dtype=x.dtype)
    total = total - moved if node.attributes.get("exclusive", 0) else total
    return np.flip(total, along) if back else total


def _top(node: Node, opset: int, x: Array, k: Array) -> tuple[Array, Array]:
    """The k largest (or smallest) along an axis, in order, with where they are; of equal ones the first comes first."""
    axis, count = node.attributes.get("axis", -1), int(k.reshape(()))
    if not 0 <= count <= x.shape[axis]:
        raise ValueError(f"k is {count} of {x.shape[axis]} values")
    order = np.argsort(-x if node.attributes.get("largest", 1) else x, axis=axis, kind="stable")
    chosen = np.take(order, np.arange(count), axis=axis)
    return np.take_along_axis(x, chosen, axis), chosen.astype(np.int64)


OPERATORS: Mapping[str, Operator] = {
    "ArgMax": _position(lambda x: np.argmax(x, -1)),
    "ArgMin": _position(lambda x: np.argmin(x, -1)),
    "CumSum": _cumulative,
    "ReduceL1": _reduction(_l1),
    "ReduceL2": _reduction(_l2),
    "ReduceLogSum": _reduction(_log_sum),
    "ReduceLogSumExp": _reduction(_log_sum_exp),
    "ReduceMax": _reduction(np.max),
    "ReduceMean": _reduction(np.mean),
    "ReduceMin": _reduction(np.min),
    "ReduceProd": _reduction(np.prod),
    "ReduceSum": _reduction(np.sum),
    "ReduceSumSquare": _reduction(_square),
    "TopK": _top,
}
