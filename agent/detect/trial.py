"""What the child of a trial does: imports onnxruntime; loads a model and runs it on windows that it may meet."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from agent.core.graph import evaluation
from agent.core.graph.nouns import Graph
from agent.detect import session

SCALES = (1.0, 100.0, 1e6)


def runtime(body: bytes) -> bytes:
    """Nothing, once onnxruntime is imported or is known not to be there."""
    return session.version().encode()


def first_run(body: bytes) -> bytes:
    """What runs a model; ValueError says why it must not run. body: kind, why not onnxruntime, content, each but the
    last ended by a zero byte."""
    kind, why, content = body.split(b"\0", 2)
    if why:
        session.keep_out(why.decode())
    _bounded(session.admitted(content))
    params = importlib.import_module(f"agent.{kind.decode()}").load(content)
    opened: Any = getattr(params, "session", None)
    return opened.by.encode() if opened else b""


def _bounded(graph: Graph) -> None:
    """A graph that would take too much is found before a runtime makes it, and its node named."""
    shapes = [tuple(n if isinstance(n, int) else 1 for n in port.shape) for port in graph.inputs]
    if evaluation.missing(graph) or any(np.prod(shape, dtype=float) > evaluation.MOST_VALUES for shape in shapes):
        return
    try:
        evaluation.run(graph, [np.zeros(shape, np.float32) for shape in shapes])
    except evaluation.TooMuch as error:
        raise ValueError(str(error)) from error
    except RuntimeError:
        return  # onnxruntime shall say


def rehearse(opened: session.Session, shape: tuple[int, ...]) -> None:
    """ValueError where a detector gives what is no number for windows of `shape` (one, without N), or always the same.

    Random windows of several sizes, always the same ones: whatever it was trained on, some lie far away from others.
    """
    draw = np.random.default_rng(0)
    windows = [np.zeros(shape), *(scale * draw.normal(size=shape) for scale in SCALES for _ in range(2))]
    given = []
    for window in windows:
        try:
            given.append(np.concatenate([np.ravel(each) for each in opened.run(window[None])]))
        except RuntimeError as error:
            raise ValueError(f"it fails when run: {error}") from error
        if not np.isfinite(given[-1]).all():
            raise ValueError("it gives what is no finite number for ordinary windows")
    if all(np.array_equal(each, given[0]) for each in given):
        raise ValueError("it says the same whatever it reads")
