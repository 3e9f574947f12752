"""An ONNX file opened: what it may contain, checked before a runtime sees it, and runs with numpy arrays in and out.

The one module that imports onnxruntime, and only when a file is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8
from agent.detect import protobuf
from agent.detect.protobuf import Contents

F4 = npt.NDArray[np.float32]

LARGEST_FILE = 16 * 2**20
LARGEST_F4 = float(np.finfo(np.float32).max)

# Arithmetic whose output is not larger than its inputs allow, layers, and trees. Nothing that loops, branches, draws
# random numbers or makes an output of any size from a few bytes (ConstantOfShape, Expand, Tile, Resize, Range, Pad).
_ARITHMETIC = "Abs Add Clip Div Erf Exp Identity Log Max Min Mul Neg Pow Reciprocal Sign Sqrt Sub Sum Where Cast"
_REDUCTIONS = "ArgMax ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare ReduceLogSumExp TopK"
_LAYERS = "AveragePool BatchNormalization Conv Gemm GlobalAveragePool LayerNormalization MatMul MaxPool"
_ACTIVATIONS = "Elu Gelu HardSigmoid LeakyRelu Relu Selu Sigmoid Softmax Softplus Tanh"
_SHAPES = "Concat Constant Flatten Gather Reshape Shape Slice Squeeze Transpose Unsqueeze"
_TREES = "ai.onnx.ml.Scaler ai.onnx.ml.TreeEnsembleRegressor"
OPERATORS = frozenset(f"{_ARITHMETIC} {_REDUCTIONS} {_LAYERS} {_ACTIVATIONS} {_SHAPES} {_TREES}".split())


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a graph: its element type in onnxruntime's words; shape, a name or None where any size."""

    name: str
    type: str
    shape: tuple[int | str | None, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.type} {list(self.shape)}"


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """One opened graph: one session, one thread, shared by all that use the file."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    _run: Any = field(repr=False)

    def run(self, *arrays: F8) -> list[F8]:
        """All outputs for one array an input. RuntimeError where the graph fails."""
        # Beyond the range of f4 there is only infinity, and infinity less infinity is no number.
        held = [np.clip(each, -LARGEST_F4, LARGEST_F4).astype(np.float32) for each in arrays]
        given = self._run(None, {port.name: each for port, each in zip(self.inputs, held, strict=True)})
        return [np.asarray(each, np.float64) for each in given]

    def run_single(self, array: F4) -> Sequence[F4]:
        """The outputs as the graph gives them for its one, finite, input: no copies. RuntimeError as `run`."""
        outputs: Sequence[F4] = self._run(None, {self.inputs[0].name: array})
        return outputs


def admitted(content: bytes) -> Contents:
    """What a file holds; ValueError says why it must not be opened."""
    if len(content) > LARGEST_FILE:
        raise ValueError(f"{len(content)} bytes, expected at most {LARGEST_FILE}")
    try:
        held = protobuf.contents(content)
    except ValueError as error:
        raise ValueError(f"not an ONNX file: {error}") from error
    if held.external:
        raise ValueError("it keeps tensors in other files; expected everything in one file")
    if held.functions or held.subgraphs:
        raise ValueError("it has functions or subgraphs (If, Loop, Scan); expected a plain graph")
    strange = sorted(held.operators - OPERATORS)
    if strange:
        raise ValueError(f"operator {', '.join(strange)} is not allowed in a model")
    return held


def opened(content: bytes) -> Session:
    """A session of an admitted file; ValueError where the runtime refuses it or is not here."""
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors
    except ImportError as error:
        raise ValueError(f"onnxruntime cannot be loaded here: {error}") from error
    options = onnxruntime.SessionOptions()
    # The default spins a whole core between two runs.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    refusals = (errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.InvalidProtobuf)
    others = (errors.NotImplemented, errors.RuntimeException, RuntimeError)
    try:
        made = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except (*refusals, *others) as error:
        raise ValueError(f"onnxruntime refuses it: {error}") from error
    return Session(_ports(made.get_inputs()), _ports(made.get_outputs()), _runner(made, refusals))


def _ports(found: Any) -> tuple[Port, ...]:
    return tuple(Port(each.name, each.type, tuple(each.shape)) for each in found)


def _runner(made: Any, refusals: tuple[type[Exception], ...]) -> Any:
    def run(names: Any, feed: Any) -> Any:
        try:
            return made.run(names, feed)
        except refusals as error:
            raise RuntimeError(str(error)) from error

    return run
