"""Writes a detector as an ONNX file: scaler, features, distance and contributions in one graph, the rest as metadata.

The equations are those of `detector.py`, `folding.py`, `member.py` and `ellipsoid.py`; `agent.fit.detector` compares
the file with them. Of two parts the larger score is taken, and the contributions that belong to it:

    s = clip(sign(a_2 - a_1), 0, 1);  e = e_1 + s (e_2 - e_1);  a = max(a_1, a_2)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.fit.detection.detector import FARTHEST, SMALLEST_SCORE, Detector, Part

OPSET = 17
IR_VERSION = 8


def onnx_bytes(detector: Detector, metadata: Mapping[str, str]) -> bytes:
    """The file. The same detector and metadata give the same bytes. Needs the package `onnx` (extra `fit`)."""
    from onnx import TensorProto, checker, helper

    tags = len(detector.mean)
    draft = _Draft(helper.make_node)
    _scaler(draft, detector)
    score, explained = _part(draft, detector.parts[0], tags, "0")
    for i, part in enumerate(detector.parts[1:], 1):
        score, explained = _larger(draft, (score, explained), _part(draft, part, tags, str(i)), str(i))
    _outputs(draft, score, explained)
    graph = helper.make_graph(
        draft.nodes,
        "detector",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["N", detector.window, tags])],
        [
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"]),
            helper.make_tensor_value_info("contribution", TensorProto.FLOAT, ["N", tags]),
        ],
        draft.constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="edgetwin"
    )
    helper.set_model_props(model, dict(metadata))
    checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Draft:
    """Nodes and constants while they are being put down."""

    def __init__(self, make_node: Any) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._make_node = make_node

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self._make_node(operator, inputs, [output], **attributes))
        return output

    def floats(self, name: str, value: npt.ArrayLike) -> str:
        return self._constant(name, np.asarray(value, np.float32, order="C"))

    def whole(self, name: str, value: list[int]) -> str:
        return self._constant(name, np.array(value, np.int64))

    def _constant(self, name: str, value: npt.NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(value, name))
        return name


def _scaler(draft: _Draft, detector: Detector) -> None:
    """z by tag: f4[N, C, W]."""
    draft.node("Sub", ["window", draft.floats("mean", detector.mean)], "centred")
    draft.node("Mul", ["centred", draft.floats("per_scale", 1.0 / detector.scale)], "standard")
    draft.node("Clip", ["standard", draft.floats("nearest", -FARTHEST), draft.floats("farthest", FARTHEST)], "z")
    draft.node("Transpose", ["z"], "by_tag", perm=[0, 2, 1])


def _part(draft: _Draft, part: Part, tags: int, i: str) -> tuple[str, str]:
    """Names of its score f4[N] and of e / limit^2 f4[N, C]."""
    kept = part.folding.features
    means = draft.node("MatMul", ["by_tag", draft.floats(f"weights_{i}", part.folding.weights())], f"means_{i}")
    feature = draft.node("Reshape", [means, draft.whole(f"as_features_{i}", [-1, tags * kept])], f"feature_{i}")
    seen = _residual(draft, part, feature, i)
    found = part.member.ellipsoid
    away = draft.node("Sub", [seen, draft.floats(f"centre_{i}", found.centre)], f"away_{i}")
    white = draft.node("MatMul", [away, draft.floats(f"whitener_{i}", found.whitener / part.limit)], f"white_{i}")
    score = draft.node("ReduceL2", [white], f"score_{i}", axes=[1], keepdims=0)
    pieces = draft.node("MatMul", [away, draft.floats(f"parts_{i}", found.parts / part.limit)], f"pieces_{i}")
    by_tag = draft.node("Reshape", [pieces, draft.whole(f"as_tags_{i}", [-1, tags, kept])], f"pieces_by_tag_{i}")
    return score, draft.node("ReduceSumSquare", [by_tag], f"explained_{i}", axes=[2], keepdims=0)


def _residual(draft: _Draft, part: Part, feature: str, i: str) -> str:
    """The features less what the memory reads; as they are where there is none."""
    memory = part.member.memory
    if memory is None:
        return feature
    half2 = 0.5 * np.square(memory.rows).sum(axis=1) / memory.h**2
    draft.node("Sub", [feature, draft.floats(f"memory_centre_{i}", memory.centre)], f"from_memory_{i}")
    scaled = draft.node(
        "Mul", [f"from_memory_{i}", draft.floats(f"memory_scale_{i}", 1.0 / memory.spread)], f"scaled_{i}"
    )
    near = draft.node("MatMul", [scaled, draft.floats(f"recall_{i}", memory.rows.T / memory.h**2)], f"near_{i}")
    rise = draft.node("Sub", [near, draft.floats(f"half_square_{i}", half2)], f"rise_{i}")
    weight = draft.node("Softmax", [rise], f"weight_{i}", axis=1)
    recalled = draft.node("MatMul", [weight, draft.floats(f"memory_{i}", memory.rows)], f"recalled_{i}")
    return draft.node("Sub", [scaled, recalled], f"residual_{i}")


def _larger(draft: _Draft, one: tuple[str, str], other: tuple[str, str], i: str) -> tuple[str, str]:
    """Score and e of whichever of two has the larger score."""
    ahead = draft.node("Sub", [other[0], one[0]], f"ahead_{i}")
    sign = draft.node("Sign", [ahead], f"sign_{i}")
    chosen = draft.node("Relu", [sign], f"chosen_{i}")
    column = draft.node("Reshape", [chosen, draft.whole(f"chosen_as_column_{i}", [-1, 1])], f"chosen_column_{i}")
    change = draft.node("Sub", [other[1], one[1]], f"change_{i}")
    taken = draft.node("Mul", [column, change], f"taken_{i}")
    explained = draft.node("Add", [one[1], taken], f"explained_of_{i}")
    return draft.node("Max", [one[0], other[0]], f"score_of_{i}"), explained


def _outputs(draft: _Draft, score: str, explained: str) -> None:
    """The two outputs; contribution = e / limit^2 / max(score, floor)."""
    draft.node("Identity", [score], "score")
    column = draft.node("Reshape", [score, draft.whole("as_column", [-1, 1])], "score_column")
    divisor = draft.node("Max", [column, draft.floats("smallest", SMALLEST_SCORE)], "divisor")
    draft.node("Div", [explained, divisor], "contribution")
