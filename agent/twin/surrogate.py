"""A surrogate: an ONNX graph in the place of a part of a twin's output map, learned elsewhere (from CFD, FEM, data).

    y_j = s_j(z),   z from u, x and the other outputs y,   z_k held within [low_k, high_k]

It is asked for nothing outside the range that it was trained in: there its inputs are held at the edge, so that what it
gives stays finite, and the twin says that it is outside. The graph (input f4[N, k], output f4[N, q], in units) stands
in the twin's file, and is run by numpy: no runtime is needed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from agent.core.graph import evaluation, limits
from agent.core.graph.nouns import Graph
from agent.core.nouns import F8
from agent.twin.kind import Channel, Health

REMOTENESS = 10.0  # of the twin where its surrogate is outside: nothing it says there is judged


@dataclass(frozen=True, eq=False)
class Surrogate:
    """inputs: tags of inputs and of outputs that it does not give, and names of health parameters; low, high f8[k]: of
    its training; outputs: tags that it gives; onnx: the file in base64, sha256 its hash."""

    inputs: tuple[str, ...]
    low: F8
    high: F8
    outputs: tuple[str, ...]
    sha256: str
    onnx: str

    @cached_property
    def graph(self) -> Graph:
        """The graph; ValueError says why it is refused."""
        try:
            content = base64.b64decode(self.onnx, validate=True)
        except binascii.Error as error:
            raise ValueError(f"not base64: {error}") from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise ValueError("not the file whose hash stands beside it")
        return limits.admitted(content)

    def run(self, z: F8) -> F8:
        """The outputs f8[N, q] of inputs f8[N, k], held within its range. RuntimeError where the graph fails."""
        held = np.clip(z, self.low, self.high).astype(np.float32)
        (given,) = evaluation.run(self.graph, [held])
        return np.asarray(given, np.float64)

    def outside(self, z: F8) -> str:
        """Which inputs f8[k] are outside its training, in words; "" where none is."""
        beyond = [k for k in range(len(z)) if not self.low[k] <= z[k] <= self.high[k]]
        said = [f"{self.inputs[k]} {z[k]:.4g} beyond {self.low[k]:.4g} to {self.high[k]:.4g}" for k in beyond]
        return f"outside the surrogate's training: {', '.join(said)}" if said else ""


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """Where the inputs of a surrogate come from, in its order, and the columns of y that it gives."""

    surrogate: Surrogate
    sources: tuple[tuple[str, int], ...]
    healths: tuple[Health, ...]
    columns: tuple[int, ...]

    def inputs(self, x: F8, u: F8, y: F8) -> F8:
        """z f8[..., k] of states f8[..., n], inputs f8[..., m] and the outputs f8[..., p+v] that the kind gives."""
        shape = y.shape[:-1]
        parts = [self._input(where, at, x, u, y) for where, at in self.sources]
        return np.stack([np.broadcast_to(part, shape) for part in parts], axis=-1)

    def _input(self, where: str, at: int, x: F8, u: F8, y: F8) -> F8:
        if where == "health":
            return self.healths[at].value(x)
        return np.asarray((u if where == "input" else y)[..., at], np.float64)

    def applied(self, x: F8, u: F8, y: F8) -> F8:
        """y with the surrogate's columns in it."""
        z = self.inputs(x, u, y)
        given = self.surrogate.run(z.reshape(-1, z.shape[-1]))
        after = y.copy()
        after[..., list(self.columns)] = given.reshape(*y.shape[:-1], -1)
        return after


def wired(
    surrogate: Surrogate, inputs: Sequence[Channel], outputs: Sequence[Channel], healths: Sequence[Health]
) -> Wiring:
    """A surrogate on a twin; ValueError lists what is wrong. outputs: measured, then virtual."""
    tags = [c.tag for c in outputs]
    own = {tag: ("output", n) for n, tag in enumerate(tags) if tag not in surrogate.outputs}
    known = own | {c.tag: ("input", n) for n, c in enumerate(inputs)}
    known |= {h.name: ("health", n) for n, h in enumerate(healths)}
    unknown = [name for name in surrogate.inputs if name not in known]
    strange = [tag for tag in surrogate.outputs if tag not in tags]
    k = len(surrogate.inputs)
    shaped = surrogate.low.shape == surrogate.high.shape == (k,)
    checks = (
        (not unknown, f"inputs among {', '.join(known)}, not {', '.join(unknown)}"),
        (not strange, f"outputs among {', '.join(tags)}, not {', '.join(strange)}"),
        (bool(k and surrogate.outputs), "an input and an output at least"),
        (shaped and bool(np.all(surrogate.low < surrogate.high)), "low below high for each input"),
    )
    wrong = [text for good, text in checks if not good] or _tried(surrogate)
    if wrong:
        raise ValueError(f"surrogate: expected {'; '.join(wrong)}")
    columns = tuple(tags.index(tag) for tag in surrogate.outputs)
    return Wiring(surrogate, tuple(known[name] for name in surrogate.inputs), tuple(healths), columns)


def _tried(surrogate: Surrogate) -> list[str]:
    """What is wrong with the graph, run at the middle and the corners of its range."""
    z = np.array([surrogate.low, 0.5 * (surrogate.low + surrogate.high), surrogate.high])
    try:
        given = surrogate.run(z)
    except (ValueError, RuntimeError) as error:
        return [f"a graph that runs: {error}"]
    wanted = (len(z), len(surrogate.outputs))
    if given.shape != wanted or not np.isfinite(given).all():
        return [f"finite outputs of shape {wanted}, it gives {given.shape}"]
    return []
