"""What a graph may hold to be run on a gateway. Nothing that loops, branches, draws random numbers, makes an output
of any size from a few bytes (ConstantOfShape, Expand, Tile, Resize, Range, Pad), or can end the process that runs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from agent.core.graph.nouns import TYPES, WORDS, Graph, Node
from agent.core.graph.reading import read

LARGEST_FILE = 16 * 2**20
MOST_NODES = 4096
MOST_PORTS = 64  # of a graph; and inputs of a node
LONGEST_KERNEL = 4096  # pads, strides, dilations
MOST_TARGETS = 4096  # outputs of an ensemble of trees

_ARITHMETIC = "Abs Add Clip Div Erf Exp Identity Log Max Mean Min Mul Neg Pow Reciprocal Sign Sqrt Sub Sum Where Cast"
_ROUNDING = "Ceil Floor Round"
_COMPARISONS = "And Equal Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Not Or Xor"
_REDUCTIONS = (
    "ArgMax ArgMin CumSum ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd"
    " ReduceSum ReduceSumSquare TopK"
)
_LAYERS = "AveragePool BatchNormalization Conv Gemm GlobalAveragePool GlobalMaxPool LayerNormalization MatMul MaxPool"
_ACTIVATIONS = (
    "Elu Gelu HardSigmoid HardSwish LeakyRelu LogSoftmax PRelu Relu Selu Sigmoid Softmax Softplus Softsign Tanh"
)
_SHAPES = "Concat Constant Flatten Gather GatherElements Reshape Shape Slice Squeeze Transpose Unsqueeze"
_TREES = "ai.onnx.ml.Scaler ai.onnx.ml.TreeEnsembleRegressor"
OPERATORS = frozenset(
    f"{_ARITHMETIC} {_ROUNDING} {_COMPARISONS} {_REDUCTIONS} {_LAYERS} {_ACTIVATIONS} {_SHAPES} {_TREES}".split()
)
BOOLEAN = frozenset(_COMPARISONS.split())
SPANS = ("kernel_shape", "strides", "dilations", "pads")
DOMAINS = ("ai.onnx.ml.",)


def admitted(content: bytes) -> Graph:
    """The graph of a file that may be run here. ValueError says why it may not."""
    if len(content) > LARGEST_FILE:
        raise ValueError(f"{len(content)} bytes, expected at most {LARGEST_FILE}")
    graph = read(content)
    strange = sorted(graph.operators - OPERATORS)
    if strange:
        raise ValueError(f"operator {', '.join(strange)} is not allowed in a model")
    if not graph.nodes:
        raise ValueError("it computes nothing: its graph has no nodes")
    if len(graph.nodes) > MOST_NODES:
        raise ValueError(f"{len(graph.nodes)} nodes, expected at most {MOST_NODES}")
    _names(graph)
    for node in graph.nodes:
        _node(node)
    _whole_divisions(graph)
    return graph


def _names(graph: Graph) -> None:
    """Each value is made once, before it is used: no cycle, nothing from nowhere."""
    ports = [port.name for port in (*graph.inputs, *graph.outputs)]
    if len(ports) > MOST_PORTS:
        raise ValueError(f"{len(ports)} inputs and outputs, expected at most {MOST_PORTS}")
    made = set(graph.constants)
    for name in [port.name for port in graph.inputs] + [name for node in graph.nodes for name in node.outputs]:
        if name in made:
            raise ValueError(f"{name} is made twice")
        made |= {name} - {""}
    known = {port.name for port in graph.inputs} | set(graph.constants)
    for node in graph.nodes:
        for name in node.inputs:
            if name and name not in known:
                why = "before it is made: nodes in a circle, or out of order" if name in made else "which nothing makes"
                raise ValueError(f"{node} uses {name} {why}")
        known |= set(node.outputs)
    for port in graph.outputs:
        if port.name not in known:
            raise ValueError(f"output {port.name} is made by nothing")


def _node(node: Node) -> None:
    if not any(node.outputs):
        raise ValueError(f"a node {node.operator} makes nothing")
    if len(node.inputs) > MOST_PORTS or len(node.outputs) > MOST_PORTS:
        raise ValueError(f"{node} has more than {MOST_PORTS} inputs or outputs")
    for name in SPANS:
        span = node.attributes.get(name, ())
        if isinstance(span, tuple) and any(not 0 <= each <= LONGEST_KERNEL for each in span):
            raise ValueError(f"{node}: {name} is {list(span)[:8]}, expected 0 to {LONGEST_KERNEL}")
    if node.operator == "Cast" and node.attributes.get("to", 0) not in TYPES:
        to = node.attributes.get("to", 0)
        raise ValueError(f"{node} casts to {WORDS.get(to, to)}, expected {', '.join(WORDS[n] for n in TYPES)}")
    if node.operator == "ai.onnx.ml.TreeEnsembleRegressor":
        targets = node.attributes.get("n_targets", 1)
        if not isinstance(targets, int) or not 1 <= targets <= MOST_TARGETS:
            raise ValueError(f"{node}: n_targets is {targets}, expected 1 to {MOST_TARGETS}")


def _whole_divisions(graph: Graph) -> None:
    """The least whole number divided by -1 ends the process (SIGFPE, onnxruntime 1.32), whatever was tried before."""
    types: dict[str, Any] = {name: array.dtype for name, array in graph.constants.items()}
    words = {f"tensor({WORDS[kind]})": dtype for kind, dtype in TYPES.items()}
    types |= {port.name: words.get(port.type) for port in graph.inputs}
    for node in graph.nodes:
        of = types.get(node.inputs[0] if node.inputs else "")
        if node.operator == "Div" and (of is None or of.kind != "f"):
            raise ValueError(f"{node} divides whole numbers; expected Cast to float before it")
        types |= dict(_types(node, of, types))


def _types(node: Node, of: Any, types: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The element type of each output."""
    whole, operator = np.dtype(np.int64), node.operator
    for number, name in enumerate(node.outputs):
        if operator in BOOLEAN:
            yield name, np.dtype(np.bool_)
        elif operator == "Cast":
            yield name, TYPES.get(node.attributes.get("to", 0))
        elif operator in ("ArgMax", "ArgMin", "Shape") or (operator in ("TopK", "MaxPool") and number == 1):
            yield name, whole
        elif operator == "Where":
            yield name, types.get(node.inputs[1] if len(node.inputs) > 1 else "")
        elif operator == "Constant":
            yield name, _constant_type(node)
        else:
            yield name, np.dtype(np.float32) if operator.startswith(DOMAINS) else of


def _constant_type(node: Node) -> Any:
    value = node.attributes.get("value")
    if value is not None:
        return value.dtype
    return np.dtype(np.int64 if {"value_int", "value_ints"} & set(node.attributes) else np.float32)
