"""Writes a life predictor as an ONNX file: scaling, networks, mean and distance in one graph, the rest as metadata.

x = clip((f - mean) / scale)                                    [N, F]
h = relu(x W1 + b1) ...                                         [E, N, H]
life = mean over members of clip(h W + b, 0, cap)               [N]
distance = |(f - centre) whitener|                              [N]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agent.core.nouns import F8
from agent.fit.detection.graph import IR_VERSION, OPSET
from agent.fit.lives.network import FARTHEST, Network


def onnx_bytes(network: Network, inside: tuple[F8, F8], limit: float, metadata: Mapping[str, str]) -> bytes:
    """The file; distances are given in shares of `limit`. Needs the package `onnx` (extra `fit`)."""
    from onnx import TensorProto, checker, helper

    count = len(network.mean)
    graph = helper.make_graph(
        _nodes(helper, len(network.weights)),
        "life",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", count])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in ("life", "distance")],
        _constants(network, inside, limit),
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="edgetwin"
    )
    helper.set_model_props(model, dict(metadata))
    checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _nodes(helper: Any, layers: int) -> list[Any]:
    node = helper.make_node
    out = [
        node("Sub", ["features", "mean"], ["centred"]),
        node("Mul", ["centred", "per_scale"], ["standard"]),
        node("Clip", ["standard", "nearest", "farthest"], ["x"]),
        node("Unsqueeze", ["x", "first"], ["h0"]),
    ]
    for k in range(layers):
        relu = k < layers - 1
        out += [
            node("MatMul", [f"h{k}", f"weights{k}"], [f"product{k}"]),
            node("Add", [f"product{k}", f"offsets{k}"], [f"sum{k}"]),
            *([node("Relu", [f"sum{k}"], [f"h{k + 1}"])] if relu else []),
        ]
    return [
        *out,
        node("Clip", [f"sum{layers - 1}", "zero", "cap"], ["lives"]),
        node("ReduceMean", ["lives"], ["life"], axes=[0, 2], keepdims=0),
        node("Sub", ["features", "centre"], ["away"]),
        node("MatMul", ["away", "whitener"], ["white"]),
        node("ReduceL2", ["white"], ["distance"], axes=[1], keepdims=0),
    ]


def _constants(network: Network, inside: tuple[F8, F8], limit: float) -> list[Any]:
    """The last layer gives lives: (h W + b + 1.5) / 3 cap."""
    from onnx import numpy_helper

    last, gain = len(network.weights) - 1, network.cap / 3.0
    floats: dict[str, Any] = {
        "mean": network.mean,
        "per_scale": 1.0 / network.scale,
        "nearest": -FARTHEST,
        "farthest": FARTHEST,
        "zero": 0.0,
        "cap": network.cap,
        "centre": inside[0],
        "whitener": inside[1] / limit,
    }
    for k, (W, b) in enumerate(zip(network.weights, network.offsets, strict=True)):
        floats[f"weights{k}"] = W * gain if k == last else W
        floats[f"offsets{k}"] = (b + 1.5) * gain if k == last else b
    whole = numpy_helper.from_array(np.array([0], np.int64), "first")
    return [whole, *(numpy_helper.from_array(np.asarray(v, np.float32, order="C"), k) for k, v in floats.items())]
