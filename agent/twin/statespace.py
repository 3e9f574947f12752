"""The file of a linear twin: what stands in it, reading it with every mistake named, writing it for a diff.

    z_k     = [u_k; yc_k]                       signals in scaled deviations; yc: outputs of the core
    s_k     = min(1, radius / |z_k|_domain)     products hold where there were rows: |z|^2 = z' domain z
    phi_k   = [u_k; s^2 z_i z_j - mean]         inputs and their second-order products (none: phi = u)
    xc_k+1  = A xc_k + Bc u_k                   the core: the linear part alone, driven by inputs only
    yc_k    = C xc_k + Dc u_k
    x_k+1   = A x_k + B phi_k + w,   w ~ N(0, Q)
    y_k     = C x_k + D phi_k + v,   v ~ N(0, R)

A is stable and the core sees no measurement, so bounded inputs give bounded outputs with products too. The rows of
C and D are the measured outputs, then the virtual ones, which have no measurement to correct them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.core.nouns import F8
from agent.twin import deviation as charts
from agent.twin.whitening import Whitening

FORMAT = "edgetwin twin.linear"
VERSION = 1
DIGITS = 9


@dataclass(frozen=True, slots=True)
class Channel:
    """An input or output: scaled = (value - mean) / scale. low, high: the range seen in the recording, in `unit`."""

    tag: str
    unit: str
    mean: float
    scale: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """Scaled. Q f8[n,n], R f8[p]: of the tracking filter. prior f8[n,n]: of x at the start. trust: share of Q in the
    reference. residual f8[p], virtual f8[v]: standard deviations on held-out healthy rows."""

    Q: F8
    R: F8
    prior: F8
    trust: float
    residual: F8
    virtual: F8


@dataclass(frozen=True, slots=True, eq=False)
class Deviation:
    """See `agent.twin.deviation`. whiten f8[p,q], spread f8[p], limit f8[p]; share: lambda; clip: in spreads."""

    whiten: F8
    spread: F8
    limit: F8
    share: float
    clip: float

    @property
    def whitening(self) -> Whitening:
        """What `agent.twin.whitening` needs of it."""
        return Whitening(self.whiten, self.spread, self.clip)

    @property
    def chart(self) -> charts.Deviation:
        """What `agent.twin.deviation` needs of it."""
        return charts.Deviation(self.share, self.limit)


@dataclass(frozen=True, slots=True, eq=False)
class Params:
    """A linear twin with m inputs, p outputs, v virtual outputs, n states, q products.

    A f8[n,n]; B f8[n,m+q]; C f8[p+v,n]; D f8[p+v,m+q]; Bc f8[n,m]; Dc f8[p,m]; product_mean f8[q]; domain f8[m+p,m+p].
    `hold_periods`: how long an absent input keeps its last value.
    """

    inputs: tuple[Channel, ...]
    outputs: tuple[Channel, ...]
    virtual: tuple[Channel, ...]
    period_s: float
    modes: tuple[str, ...]
    settle_s: float
    hold_periods: int
    products: tuple[tuple[int, int], ...]
    product_mean: F8
    A: F8
    B: F8
    C: F8
    D: F8
    Bc: F8
    Dc: F8
    domain: F8
    radius: float
    noise: Noise
    deviation: Deviation
    score: Mapping[str, Any]
    training: Mapping[str, Any]

    @property
    def tags(self) -> tuple[str, ...]:
        """What is read from a frame: inputs, then outputs."""
        return tuple(c.tag for c in (*self.inputs, *self.outputs))

    @property
    def units(self) -> tuple[str, ...]:
        """The units of `tags`; empty where the recording gave none."""
        return tuple(c.unit for c in (*self.inputs, *self.outputs))

    @property
    def order(self) -> int:
        """Number of states n."""
        return int(self.A.shape[0])


def load(content: bytes) -> Params:
    """Parameters from the bytes of a model file; ValueError says what is wrong with it."""
    try:
        tree = json.loads(content)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"not a twin: {error}") from error
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise ValueError(f'not a twin: expected "format": "{FORMAT}"')
    if tree.get("version") != VERSION:
        raise ValueError(f"twin of version {tree.get('version')!r}, expected {VERSION}")
    try:
        params = _params(tree)
    except KeyError as error:
        raise ValueError(f"twin without {error}") from error
    except TypeError as error:
        raise ValueError(f"twin with a value of the wrong type: {error}") from error
    _check(params)
    return params


def dump(params: Params) -> bytes:
    """The file of a twin: the same parameters give the same bytes. Numbers keep 9 significant digits."""
    tree = {
        "format": FORMAT,
        "version": VERSION,
        "period_s": params.period_s,
        "modes": list(params.modes),
        "settle_s": params.settle_s,
        "hold_periods": params.hold_periods,
        "order": params.order,
        "score": params.score,
        "training": params.training,
        "inputs": [_channel_tree(c) for c in params.inputs],
        "outputs": [_channel_tree(c) for c in params.outputs],
        "virtual": [_channel_tree(c) for c in params.virtual],
        "products": [list(pair) for pair in params.products],
        "product_mean": params.product_mean,
        **{name: getattr(params, name) for name in ("A", "B", "C", "D", "Bc", "Dc", "domain", "radius")},
        "noise": {name: getattr(params.noise, name) for name in Noise.__slots__},
        "deviation": {name: getattr(params.deviation, name) for name in Deviation.__slots__},
    }
    return (_text(tree, 0) + "\n").encode()


def _channel_tree(channel: Channel) -> dict[str, Any]:
    return {name: getattr(channel, name) for name in Channel.__slots__}


def _text(value: Any, depth: int) -> str:
    """JSON with one matrix row a line, short vectors and signals on one line."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    inner = "  " * (depth + 1)
    if isinstance(value, Mapping) and depth < 2 and not _flat(value):
        body = ",\n".join(f"{inner}{json.dumps(k)}: {_text(v, depth + 1)}" for k, v in value.items())
        return "{\n" + body + "\n" + "  " * depth + "}"
    if isinstance(value, list) and any(isinstance(v, list | dict) for v in value):
        body = ",\n".join(inner + _line(v) for v in value)
        return "[\n" + body + "\n" + "  " * depth + "]"
    return _line(value)


def _flat(value: Mapping[str, Any]) -> bool:
    return not any(isinstance(v, Mapping | list | tuple | np.ndarray) for v in value.values()) and len(value) <= 4


def _line(value: Any) -> str:
    return json.dumps(_rounded(value), ensure_ascii=False, allow_nan=False)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in value]
    return value


def _params(tree: dict[str, Any]) -> Params:
    channels = {name: tuple(_channel(c) for c in tree[name]) for name in ("inputs", "outputs", "virtual")}
    m, p, v = (len(channels[name]) for name in ("inputs", "outputs", "virtual"))
    n, products = int(tree["order"]), tuple((int(i), int(j)) for i, j in tree["products"])
    q = len(products)
    noise, deviation = tree["noise"], tree["deviation"]
    a = len(deviation["whiten"][0]) if p else 0
    return Params(
        **channels,
        period_s=float(tree["period_s"]),
        modes=tuple(str(mode) for mode in tree["modes"]),
        settle_s=float(tree["settle_s"]),
        hold_periods=int(tree["hold_periods"]),
        products=products,
        product_mean=_array("product_mean", tree["product_mean"], (q,)),
        A=_array("A", tree["A"], (n, n)),
        B=_array("B", tree["B"], (n, m + q)),
        C=_array("C", tree["C"], (p + v, n)),
        D=_array("D", tree["D"], (p + v, m + q)),
        Bc=_array("Bc", tree["Bc"], (n, m)),
        Dc=_array("Dc", tree["Dc"], (p, m)),
        domain=_array("domain", tree["domain"], (m + p, m + p)),
        radius=float(tree["radius"]),
        noise=Noise(
            Q=_array("noise Q", noise["Q"], (n, n)),
            R=_array("noise R", noise["R"], (p,)),
            prior=_array("noise prior", noise["prior"], (n, n)),
            trust=float(noise["trust"]),
            residual=_array("noise residual", noise["residual"], (p,)),
            virtual=_array("noise virtual", noise["virtual"], (v,)),
        ),
        deviation=Deviation(
            whiten=_array("deviation whiten", deviation["whiten"], (p, a)),
            spread=_array("deviation spread", deviation["spread"], (p,)),
            limit=_array("deviation limit", deviation["limit"], (p,)),
            share=float(deviation["share"]),
            clip=float(deviation["clip"]),
        ),
        score=tree["score"],
        training=tree["training"],
    )


def _channel(tree: Mapping[str, Any]) -> Channel:
    return Channel(str(tree["tag"]), str(tree["unit"]), *(float(tree[k]) for k in ("mean", "scale", "low", "high")))


def _array(name: str, tree: Sequence[Any], shape: tuple[int, ...]) -> F8:
    try:
        array = np.array(tree, np.float64).reshape(shape) if math.prod(shape) == 0 else np.array(tree, np.float64)
    except ValueError as error:
        raise ValueError(f"twin: {name}: {error}") from error
    if array.shape != shape:
        raise ValueError(f"twin: {name} has shape {array.shape}, expected {shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"twin: {name} holds a number that is not finite")
    return array


def _check(params: Params) -> None:
    """What no shape can say: signs, stability, definiteness, indices."""
    m, p = len(params.inputs), len(params.outputs)
    tags = [c.tag for c in (*params.inputs, *params.outputs, *params.virtual)]
    noise, deviation = params.noise, params.deviation
    radius = float(np.max(np.abs(np.linalg.eigvals(params.A))))
    checks = (
        (m > 0 and p > 0, "at least one input and one output"),
        (len(set(tags)) == len(tags), "each tag once"),
        (all(c.scale > 0 for c in (*params.inputs, *params.outputs, *params.virtual)), "scales over 0"),
        (params.period_s > 0 and params.settle_s >= 0 and params.hold_periods >= 0, "period_s > 0, settle_s >= 0"),
        (all(0 <= i < m + p and 0 <= j < m + p for i, j in params.products), "products of signals that exist"),
        (radius < 1.0, f"a stable A, its spectral radius is {radius:.6g}"),
        (_definite(noise.Q) and _definite(noise.prior), "noise Q and prior positive definite"),
        (_definite(params.domain) and params.radius > 0, "domain positive definite, radius over 0"),
        (bool(np.all(noise.R > 0) and np.all(noise.residual > 0) and noise.trust > 0), "noise over 0"),
        (bool(np.all(deviation.spread > 0) and np.all(deviation.limit > 0)), "deviation spread and limit over 0"),
        (0 < deviation.share <= 1 and deviation.clip > 0, "deviation share in (0, 1] and clip over 0"),
    )
    wrong = [text for good, text in checks if not good]
    if wrong:
        raise ValueError(f"twin: expected {'; '.join(wrong)}")


def _definite(matrix: F8) -> bool:
    return bool(np.allclose(matrix, matrix.T) and np.min(np.linalg.eigvalsh(0.5 * (matrix + matrix.T))) > 0)
