"""An ONNX file opened: checked before a runtime sees it, then run with numpy arrays in and out.

The one module that imports onnxruntime, and only when a file is opened. Where onnxruntime cannot run, numpy does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.core.graph import evaluation, limits
from agent.core.graph.nouns import Graph, Port
from agent.core.nouns import F8

F4 = npt.NDArray[np.float32]

LARGEST_F4 = float(np.finfo(np.float32).max)
admitted = limits.admitted

# Why onnxruntime must not be imported by this process (a child that tried was killed); "" while nothing is known.
_KEPT_OUT: dict[str, str] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """One opened graph: one session, one thread, shared by all that use the file. by: what runs it, and why that."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    by: str
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


def keep_out(why: str) -> None:
    """Never import onnxruntime in this process: `opened` gives sessions that numpy runs, and says why."""
    _KEPT_OUT["onnxruntime"] = why


def version() -> str:
    """The version of onnxruntime, imported for it; "" where there is none."""
    try:
        import onnxruntime
    except ImportError:
        return ""
    return str(onnxruntime.__version__)


def opened(content: bytes) -> Session:
    """A session of a file; ValueError where it may not be run, or the runtime refuses it."""
    graph = admitted(content)
    if _KEPT_OUT:
        return by_numpy(graph, _KEPT_OUT["onnxruntime"])
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors
    except ImportError as error:
        return by_numpy(graph, f"onnxruntime cannot be loaded here: {error}")
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
    by = f"onnxruntime {onnxruntime.__version__}"
    return Session(_ports(made.get_inputs()), _ports(made.get_outputs()), by, _runner(made, refusals))


def by_numpy(graph: Graph, why: str) -> Session:
    """A session that numpy runs; ValueError names the operators that it has not."""
    missing = evaluation.missing(graph)
    if missing:
        raise ValueError(f"{why}; and operator {', '.join(missing)} has no numpy evaluation")

    def run(names: Any, feed: dict[str, Any]) -> Any:
        return evaluation.run(graph, list(feed.values()))

    return Session(graph.inputs, graph.outputs, f"numpy ({why})", run)


def _ports(found: Any) -> tuple[Port, ...]:
    return tuple(Port(each.name, each.type, tuple(each.shape)) for each in found)


def _runner(made: Any, refusals: tuple[type[Exception], ...]) -> Any:
    def run(names: Any, feed: Any) -> Any:
        try:
            return made.run(names, feed)
        except refusals as error:
            raise RuntimeError(str(error)) from error

    return run
