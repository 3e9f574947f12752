"""Layers of networks: products, convolutions and pools over any number of axes, normalisations, a scaler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from agent.core.graph.nouns import Array, Node
from agent.core.graph.operators.arithmetic import Operator


def _matmul(node: Node, opset: int, a: Array, b: Array) -> Any:
    return np.matmul(a, b)


def _gemm(node: Node, opset: int, a: Array, b: Array, c: Array | None = None) -> Array:
    """alpha A B + beta C."""
    of = node.attributes.get
    a, b = a.T if of("transA", 0) else a, b.T if of("transB", 0) else b
    product = of("alpha", 1.0) * (a @ b)
    return np.asarray(product if c is None else product + of("beta", 1.0) * c, a.dtype)


def _padding(node: Node, size: tuple[int, ...], kernel: tuple[int, ...]) -> list[tuple[int, int]]:
    """What is put before and after each axis."""
    word, axes = node.attributes.get("auto_pad", "NOTSET"), range(len(kernel))
    if word in ("SAME_UPPER", "SAME_LOWER"):
        strides = node.attributes.get("strides", (1,) * len(kernel))
        spread = node.attributes.get("dilations", (1,) * len(kernel))
        whole = [
            max((-(-size[n] // strides[n]) - 1) * strides[n] + (kernel[n] - 1) * spread[n] + 1 - size[n], 0)
            for n in axes
        ]
        halves = [(each // 2, each - each // 2) for each in whole]
        return halves if word == "SAME_UPPER" else [(after, before) for before, after in halves]
    pads = node.attributes.get("pads", (0,) * 2 * len(kernel))
    return [(pads[n], pads[n + len(kernel)]) for n in axes]


def _patches(node: Node, x: Array, kernel: tuple[int, ...], fill: float) -> Array:
    """[N, C, *out, *kernel] of [N, C, *size]: what lies under the kernel at each place; a view."""
    n = len(kernel)
    strides, spread = (node.attributes.get(name, (1,) * n) for name in ("strides", "dilations"))
    padded = np.pad(x, [(0, 0), (0, 0), *_padding(node, x.shape[2:], kernel)], constant_values=fill)
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, spread, strict=True))
    under = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(2, 2 + n)))
    steps = [slice(None, None, s) for s in strides] + [slice(None, None, d) for d in spread]
    return under[(slice(None), slice(None), *steps)]


def _conv(node: Node, opset: int, x: Array, w: Array, b: Array | None = None) -> Array:
    """y[n, m, *out] = sum over the channels of m's group and the kernel, x[n, c, *under] w[m, c, *kernel] + b[m]."""
    kernel, groups = w.shape[2:], node.attributes.get("group", 1)
    if x.shape[1] != w.shape[1] * groups or w.shape[0] % groups:
        raise ValueError(f"{x.shape[1]} channels in {groups} groups for weights {list(w.shape)}")
    patches = _patches(node, x, kernel, 0.0)
    n, out = len(kernel), patches.shape[2 : 2 + len(kernel)]
    parts = []
    for group in range(groups):
        chosen = patches[:, group * w.shape[1] : (group + 1) * w.shape[1]]
        mine = w[group * (w.shape[0] // groups) : (group + 1) * (w.shape[0] // groups)]
        axes = [1, *range(2 + n, 2 + 2 * n)]
        parts.append(np.moveaxis(np.tensordot(chosen, mine, (axes, [1, *range(2, 2 + n)])), -1, 1))
    y = np.concatenate(parts, axis=1).reshape(x.shape[0], w.shape[0], *out)
    return y if b is None else y + b.reshape(1, -1, *(1,) * n)


def _pool(f: Callable[..., Any], fill: float) -> Operator:
    def pool(node: Node, opset: int, x: Array) -> Array:
        kernel = node.attributes["kernel_shape"]
        if node.attributes.get("ceil_mode", 0) or len(node.outputs) > 1:
            raise ValueError("ceil_mode and positions have no numpy evaluation")
        patches = _patches(node, x, kernel, fill)
        axes = tuple(range(-len(kernel), 0))
        return np.asarray(f(node, x, patches, kernel, axes), x.dtype)

    return pool


def _largest(node: Node, x: Array, patches: Array, kernel: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    return patches.max(axis=axes)


def _average(node: Node, x: Array, patches: Array, kernel: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """What was put beside the values counts only where it is said so."""
    if node.attributes.get("count_include_pad", 0):
        return patches.mean(axis=axes)
    return patches.sum(axis=axes) / _patches(node, np.ones_like(x), kernel, 0.0).sum(axis=axes)


def _whole(f: Callable[..., Any]) -> Operator:
    return lambda node, opset, x: f(x, axis=tuple(range(2, x.ndim)), keepdims=True)


def _batch(node: Node, opset: int, x: Array, scale: Array, bias: Array, mean: Array, var: Array) -> Array:
    """scale (x - mean) / sqrt(var + epsilon) + bias, by channel."""
    if node.attributes.get("training_mode", 0):
        raise ValueError("training_mode has no numpy evaluation")
    by = (1, -1, *(1,) * (x.ndim - 2))
    factor = scale / np.sqrt(var + node.attributes.get("epsilon", 1e-5))
    return np.asarray((x - mean.reshape(by)) * factor.reshape(by) + bias.reshape(by), x.dtype)


def _layer(node: Node, opset: int, x: Array, scale: Array, bias: Array | None = None) -> Array:
    """scale (x - mean) / sqrt(var + epsilon) + bias, over the axes from `axis` on."""
    axes = tuple(range(node.attributes.get("axis", -1) % x.ndim, x.ndim))
    mean, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    y = (x - mean) / np.sqrt(var + node.attributes.get("epsilon", 1e-5)) * scale
    return np.asarray(y if bias is None else y + bias, x.dtype)


def _scaler(node: Node, opset: int, x: Array) -> Array:
    """(x - offset) scale, float32."""
    offset, scale = (np.array(node.attributes[name], np.float32) for name in ("offset", "scale"))
    return np.asarray((x.astype(np.float32) - offset) * scale, np.float32)


OPERATORS: Mapping[str, Operator] = {
    "AveragePool": _pool(_average, 0.0),
    "BatchNormalization": _batch,
    "Conv": _conv,
    "Gemm": _gemm,
    "GlobalAveragePool": _whole(np.mean),
    "GlobalMaxPool": _whole(np.max),
    "LayerNormalization": _layer,
    "MatMul": _matmul,
    "MaxPool": _pool(_largest, float("-inf")),
    "ai.onnx.ml.Scaler": _scaler,
}
