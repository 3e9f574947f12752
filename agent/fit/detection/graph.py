"""Writes a detector as an ONNX file: scaler, features, distance and contributions in one graph, the rest as metadata.

z = clip((x - mean) / scale)                       [N, W, C]
f = reshape(transpose(z) weights) - centre         [N, C * K]
a = |f whitener| / limit                           score [N]
e = sum of squares of the tag's columns of f parts / limit^2
contribution = e / max(a, floor)                   [N, C]: score times the share of a^2 that the tag explains
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.fit.detection.mahalanobis import SMALLEST_SCORE, Detector

OPSET = 17
IR_VERSION = 8
# Beyond a million spreads everything is equally far; it keeps squares inside the range of f4.
FARTHEST = 1e6


def onnx_bytes(detector: Detector, metadata: Mapping[str, str]) -> bytes:
    """The file. The same detector and metadata give the same bytes. Needs the package `onnx` (extra `fit`)."""
    from onnx import TensorProto, checker, helper

    window, tags = detector.shape.window, len(detector.mean)
    graph = helper.make_graph(
        _nodes(helper),
        "detector",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["N", window, tags])],
        [
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"]),
            helper.make_tensor_value_info("contribution", TensorProto.FLOAT, ["N", tags]),
        ],
        _constants(detector),
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="edgetwin"
    )
    helper.set_model_props(model, dict(metadata))
    checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _nodes(helper: Any) -> list[Any]:
    node = helper.make_node
    return [
        node("Sub", ["window", "mean"], ["centred"]),
        node("Mul", ["centred", "per_scale"], ["standard"]),
        node("Clip", ["standard", "nearest", "farthest"], ["z"]),
        node("Transpose", ["z"], ["by_tag"], perm=[0, 2, 1]),
        node("MatMul", ["by_tag", "weights"], ["stretches"]),
        node("Reshape", ["stretches", "as_features"], ["feature"]),
        node("Sub", ["feature", "centre"], ["away"]),
        node("MatMul", ["away", "whitener"], ["white"]),
        node("ReduceL2", ["white"], ["score"], axes=[1], keepdims=0),
        node("MatMul", ["away", "parts"], ["part"]),
        node("Reshape", ["part", "as_tags"], ["part_by_tag"]),
        node("ReduceSumSquare", ["part_by_tag"], ["explained"], axes=[2], keepdims=0),
        node("Reshape", ["score", "as_column"], ["score_column"]),
        node("Max", ["score_column", "smallest"], ["divisor"]),
        node("Div", ["explained", "divisor"], ["contribution"]),
    ]


def _constants(detector: Detector) -> list[Any]:
    tags, ellipsoid = len(detector.mean), detector.ellipsoid
    return [
        _floats("mean", detector.mean),
        _floats("per_scale", 1.0 / detector.scale),
        _floats("nearest", np.array(-FARTHEST)),
        _floats("farthest", np.array(FARTHEST)),
        _floats("weights", detector.shape.weights()),
        _floats("centre", ellipsoid.centre),
        _floats("whitener", ellipsoid.whitener / detector.limit),
        _floats("parts", ellipsoid.parts / detector.limit),
        _floats("smallest", np.array(SMALLEST_SCORE)),
        _whole("as_features", [-1, len(ellipsoid.centre)]),
        _whole("as_tags", [-1, tags, len(detector.shape.stretches)]),
        _whole("as_column", [-1, 1]),
    ]


def _floats(name: str, value: npt.NDArray[Any]) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.asarray(value, np.float32, order="C"), name)


def _whole(name: str, value: list[int]) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array(value, np.int64), name)
