"""Value by value: arithmetic, comparisons, activations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np

from agent.core.graph.nouns import TYPES, Array, Node

Operator = Callable[..., Any]

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _of_one(f: Callable[[Array], Array]) -> Operator:
    return lambda node, opset, x: np.asarray(f(x), x.dtype)


def _of_two(f: Callable[[Array, Array], Array]) -> Operator:
    return lambda node, opset, a, b: f(a, b)


def _of_many(f: Callable[[Array, Array], Array]) -> Operator:
    return lambda node, opset, *xs: reduce(f, xs)


def _mean(node: Node, opset: int, *xs: Array) -> Array:
    return np.asarray(reduce(np.add, xs) / len(xs), xs[0].dtype)


def _clip(node: Node, opset: int, x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _pow(node: Node, opset: int, x: Array, y: Array) -> Any:
    return np.power(x, y.astype(x.dtype)).astype(x.dtype)


def _where(node: Node, opset: int, condition: Array, a: Array, b: Array) -> Array:
    return np.where(condition, a, b)


def _cast(node: Node, opset: int, x: Array) -> Array:
    return x.astype(TYPES[node.attributes["to"]])


def _erf_of(x: Array) -> Any:
    return _erf(x)


def _sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), which never overflows."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _softplus(x: Array) -> Array:
    return np.logaddexp(x, np.zeros_like(x))


def _isinf(node: Node, opset: int, x: Array) -> Array:
    up, down = node.attributes.get("detect_positive", 1), node.attributes.get("detect_negative", 1)
    return (np.isposinf(x) & bool(up)) | (np.isneginf(x) & bool(down))


def _elu(node: Node, opset: int, x: Array) -> Array:
    """x for x >= 0, else alpha (exp(x) - 1)."""
    alpha = node.attributes.get("alpha", 1.0)
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x).astype(x.dtype)


def _selu(node: Node, opset: int, x: Array) -> Any:
    """gamma x for x > 0, else gamma alpha (exp(x) - 1)."""
    alpha = node.attributes.get("alpha", 1.67326319217681884765625)
    gamma = node.attributes.get("gamma", 1.05070102214813232421875)
    return (gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))).astype(x.dtype)


def _gelu(node: Node, opset: int, x: Array) -> Any:
    """x Phi(x), or its approximation by tanh."""
    if node.attributes.get("approximate", "none") == "tanh":
        inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)
        return (0.5 * x * (1.0 + np.tanh(inner))).astype(x.dtype)
    return (0.5 * x * (1.0 + _erf(x / math.sqrt(2.0)))).astype(x.dtype)


def _leaky(node: Node, opset: int, x: Array) -> Array:
    return np.where(x < 0, node.attributes.get("alpha", 0.01) * x, x).astype(x.dtype)


def _prelu(node: Node, opset: int, x: Array, slope: Array) -> Array:
    return np.where(x < 0, slope * x, x).astype(x.dtype)


def _hard_sigmoid(node: Node, opset: int, x: Array) -> Any:
    alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    return np.clip(alpha * x + beta, 0.0, 1.0).astype(x.dtype)


def _softmax(node: Node, opset: int, x: Array) -> Any:
    """exp(x - max) over its sum along the axis."""
    axis = node.attributes.get("axis", -1)
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _log_softmax(node: Node, opset: int, x: Array) -> Any:
    axis = node.attributes.get("axis", -1)
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


OPERATORS: Mapping[str, Operator] = {
    "Abs": _of_one(np.abs),
    "Add": _of_two(np.add),
    "And": _of_two(np.logical_and),
    "Cast": _cast,
    "Ceil": _of_one(np.ceil),
    "Clip": _clip,
    "Div": _of_two(np.divide),
    "Elu": _elu,
    "Equal": _of_two(np.equal),
    "Erf": _of_one(_erf_of),
    "Exp": _of_one(np.exp),
    "Floor": _of_one(np.floor),
    "Gelu": _gelu,
    "Greater": _of_two(np.greater),
    "GreaterOrEqual": _of_two(np.greater_equal),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _of_one(lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0)),
    "Identity": _of_one(lambda x: x),
    "IsInf": _isinf,
    "IsNaN": lambda node, opset, x: np.isnan(x),
    "LeakyRelu": _leaky,
    "Less": _of_two(np.less),
    "LessOrEqual": _of_two(np.less_equal),
    "Log": _of_one(np.log),
    "LogSoftmax": _log_softmax,
    "Max": _of_many(np.maximum),
    "Mean": _mean,
    "Min": _of_many(np.minimum),
    "Mul": _of_two(np.multiply),
    "Neg": _of_one(np.negative),
    "Not": _of_one(np.logical_not),
    "Or": _of_two(np.logical_or),
    "PRelu": _prelu,
    "Pow": _pow,
    "Reciprocal": _of_one(np.reciprocal),
    "Relu": _of_one(lambda x: np.maximum(x, 0)),
    "Round": _of_one(np.rint),
    "Selu": _selu,
    "Sigmoid": _of_one(_sigmoid),
    "Sign": _of_one(np.sign),
    "Softmax": _softmax,
    "Softplus": _of_one(_softplus),
    "Softsign": _of_one(lambda x: x / (1.0 + np.abs(x))),
    "Sqrt": _of_one(np.sqrt),
    "Sub": _of_two(np.subtract),
    "Sum": _of_many(np.add),
    "Tanh": _of_one(np.tanh),
    "Where": _where,
    "Xor": _of_two(np.logical_xor),
}
