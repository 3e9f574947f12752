"""Graphs evaluated with numpy give what onnxruntime gives: one by one, in random chains, and for trees."""

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from agent.core.graph import evaluation, limits
from agent.detect import session

SHAPE = (3, 4, 6)
TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}


def model(nodes, constants=(), shape=SHAPE, outputs=("y",), opset=17):
    """A file of nodes from `x` to `outputs`."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()],
    )
    for port in graph.output:
        port.type.tensor_type.elem_type = TensorProto.FLOAT
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


def both(content, x):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    theirs = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    return evaluation.run(limits.admitted(content), [x]), theirs


def same(content, x, rtol=2e-5, atol=2e-5):
    for ours, theirs in zip(*both(content, x), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


def values(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def node(operator, *inputs, **attributes):
    return helper.make_node(operator, ["x", *inputs], ["y"], **attributes)


F, L = np.float32, np.int64
W3 = values(1, (5, 4, 3))
PLAIN = (
    "Abs", "Ceil", "Elu", "Erf", "Exp", "Floor", "HardSigmoid",
    "HardSwish", "Identity", "LeakyRelu", "Neg", "Relu", "Round", "Selu",
    "Sigmoid", "Sign", "Softplus", "Softsign", "Tanh", "GlobalAveragePool", "GlobalMaxPool",
    "Flatten", "Softmax", "LogSoftmax",
)  # fmt: skip
WITH_ANOTHER = (
    "Add", "Sub", "Mul", "Div", "Max", "Min", "Mean",
    "Sum", "PRelu",
)  # fmt: skip
ALONG_AN_AXIS = (
    "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSumSquare",
)  # fmt: skip
ONE_BY_ONE = [
    *[(node(op), {}) for op in PLAIN],
    *[(node(op, "b"), {"b": values(2, (4, 1))}) for op in WITH_ANOTHER],
    *[(node(op, axes=[1], keepdims=0), {}) for op in ALONG_AN_AXIS],
    (node("ReduceSum", "axes", keepdims=0), {"axes": np.array([-1], L)}),
    (node("ReduceMean"), {}),
    (node("Pow", "two"), {"two": np.array(2, L)}),
    (node("Clip", "low", "high"), {"low": F(-0.5), "high": F(0.5)}),
    (node("Clip", "", "high"), {"high": F(0.5)}),
    (node("CumSum", "axis", exclusive=1, reverse=1), {"axis": np.array(1, L)}),
    (node("Transpose", perm=[2, 0, 1]), {}),
    (node("Reshape", "to"), {"to": np.array([0, -1, 2], L)}),
    (node("Slice", "a", "b", "axes", "steps"),
     {"a": np.array([5, 0], L), "b": np.array([-(2**63), 2**62], L), "axes": np.array([2, 1], L),
      "steps": np.array([-2, 1], L)}),
    (node("Gather", "at", axis=2), {"at": np.array([[0, -1], [3, 3]], L)}),
    (node("GatherElements", "at", axis=1), {"at": np.array([[[0, 1], [-1, 2]]], L)}),
    (node("Unsqueeze", "axes"), {"axes": np.array([0, -1], L)}),
    (node("MatMul", "w"), {"w": values(3, (6, 2))}),
    (node("MatMul", "w"), {"w": values(3, (6,))}),
    (node("Concat", "w", axis=1), {"w": values(3, (3, 1, 6))}),
    (node("Conv", "w", "b", pads=[1, 2], strides=[2]), {"w": W3, "b": values(4, (5,))}),
    (node("Conv", "w", strides=[2], auto_pad="SAME_UPPER"), {"w": W3}),
    (node("Conv", "w", dilations=[2], pads=[2, 0]), {"w": W3}),
    (node("Conv", "w", group=2), {"w": values(5, (6, 2, 2))}),
    (node("MaxPool", kernel_shape=[3], strides=[2], pads=[1, 1]), {}),
    (node("AveragePool", kernel_shape=[2], pads=[1, 0]), {}),
    (node("AveragePool", kernel_shape=[2], pads=[1, 0], count_include_pad=1), {}),
    (node("BatchNormalization", "s", "b", "m", "v"),
     {"s": values(6, (4,)), "b": values(7, (4,)), "m": values(8, (4,)), "v": np.abs(values(9, (4,)))}),
    (node("LayerNormalization", "s", "b", axis=-1), {"s": values(6, (6,)), "b": values(7, (6,))}),
]  # fmt: skip


@pytest.mark.parametrize(("one", "constants"), ONE_BY_ONE, ids=[n.op_type for n, _ in ONE_BY_ONE])
def test_each_operator_gives_what_onnxruntime_gives(one, constants):
    same(model([one], constants), values())


def test_those_that_count_and_compare():
    nodes = [
        helper.make_node("TopK", ["x", "k"], ["top", "at"], axis=1, largest=0),
        helper.make_node("Cast", ["at"], ["at_f"], to=1),
        helper.make_node("Greater", ["x", "zero"], ["is"]),
        helper.make_node("Not", ["is"], ["isnt"]),
        helper.make_node("Or", ["is", "isnt"], ["always"]),
        helper.make_node("Where", ["isnt", "x", "zero"], ["low"]),
        helper.make_node("Cast", ["always"], ["ones"], to=1),
        helper.make_node("ArgMax", ["x"], ["place"], axis=2, keepdims=0),
        helper.make_node("Cast", ["place"], ["place_f"], to=1),
        helper.make_node("Shape", ["x"], ["size"]),
        helper.make_node("Cast", ["size"], ["size_f"], to=1),
        helper.make_node("Constant", [], ["c"], value_floats=[1.0, 2.0]),
        helper.make_node("Gelu", ["x"], ["gelu"]),
    ]
    outputs = ("top", "at_f", "low", "ones", "place_f", "size_f", "c", "gelu")
    same(model(nodes, {"k": np.array([2], L), "zero": F(0)}, outputs=outputs, opset=20), values())


CHAIN = st.lists(st.sampled_from(range(8)), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(CHAIN, st.integers(0, 2**32 - 1))
def test_random_chains_give_what_onnxruntime_gives(steps, seed):
    draw, nodes, constants, at = np.random.default_rng(seed), [], {"columns": np.array([0, -1], L)}, "x"
    shape = [3, 8]
    for number, step in enumerate(steps):
        to, width = f"v{number}", int(draw.integers(2, 6))
        inputs, attributes = [at], {}
        if step in (0, 1):
            constants[f"w{number}"] = draw.normal(size=(shape[1], width)).astype(F) / shape[1]
            inputs.append(f"w{number}")
            shape[1] = width
        elif step == 2:
            constants[f"b{number}"] = draw.normal(size=shape[1]).astype(F)
            inputs.append(f"b{number}")
        elif step == 3:
            inputs, attributes = [at, at], {"axis": 1}
            shape[1] *= 2
        elif step == 4:
            inputs.append("columns")
            attributes, shape[1] = {"axis": 1}, 2
        operator = ("MatMul", "Gemm", "Add", "Concat", "Gather", "Tanh", "Softmax", "Relu")[step]
        nodes.append(helper.make_node(operator, inputs, [to], **attributes))
        at = to
    nodes.append(helper.make_node("ReduceSumSquare", [at], ["y"], axes=[1], keepdims=0))
    same(model(nodes, constants, shape=(3, 8)), draw.normal(size=(3, 8)).astype(F), rtol=1e-4, atol=1e-4)


def forest(draw, trees, depth, targets=2, features=6):
    """Attributes of full random trees."""
    names = ["treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids"]
    held = {f"nodes_{name}": [] for name in names}
    leaves = {f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
    inner = 2**depth - 1
    for tree in range(trees):
        for own in range(2 * inner + 1):
            leaf = own >= inner
            row = (tree, own, int(draw.integers(features)), float(draw.normal()), "LEAF" if leaf else "BRANCH_LEQ",
                   0 if leaf else 2 * own + 1, 0 if leaf else 2 * own + 2)  # fmt: skip
            for name, value in zip(names, row, strict=True):
                held[f"nodes_{name}"].append(value)
            if leaf:
                said = (tree, own, int(draw.integers(targets)), float(draw.normal()))
                for name, value in zip(leaves, said, strict=True):
                    leaves[name].append(value)
    return {**held, **leaves, "n_targets": targets, "base_values": [0.5] * targets}


@pytest.mark.parametrize("seed", range(4))
def test_trees_give_what_onnxruntime_gives(seed):
    draw = np.random.default_rng(seed)
    scaled = helper.make_node("Scaler", ["x"], ["z"], domain="ai.onnx.ml", offset=[0.1] * 6, scale=[2.0] * 6)
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        ["z"],
        ["y"],
        domain="ai.onnx.ml",
        **forest(draw, 1 + 10 * seed, 1 + seed, targets=1 + (seed > 0)),
    )
    x = draw.normal(size=(50, 6)).astype(F)
    x[0, 2] = np.nan
    same(model([scaled, trees], shape=(50, 6)), x)


def test_a_graph_that_grows_is_stopped_where_it_would_be_too_large():
    nodes = [helper.make_node("Concat", [f"v{n}", f"v{n}"], [f"v{n + 1}"], axis=0) for n in range(1, 40)]
    content = model([helper.make_node("Identity", ["x"], ["v1"]), *nodes], outputs=("v40",))
    with pytest.raises(RuntimeError, match=r"Concat \(which makes v\d+\): makes \d+ values, expected at most"):
        evaluation.run(limits.admitted(content), [values()])


def test_a_session_says_what_runs_it():
    content = model([node("Tanh")])
    assert session.opened(content).by.startswith("onnxruntime 1.")
    by_numpy = session.by_numpy(limits.admitted(content), "no onnxruntime here")
    assert by_numpy.by == "numpy (no onnxruntime here)"
    np.testing.assert_allclose(by_numpy.run(values())[0], np.tanh(values()), rtol=1e-5)


def test_every_allowed_operator_has_a_numpy_evaluation():
    assert set(evaluation.OPERATORS) >= limits.OPERATORS
