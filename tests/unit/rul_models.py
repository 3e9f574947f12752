"""Units that wear until they fail, and a small life predictor made without a fit, for the tests of lives."""

import numpy as np

from agent.detect import rul_features
from agent.detect.rul_features import Regimes
from agent.detect.rul_file import About
from agent.fit.lives.graph import onnx_bytes
from agent.fit.lives.network import Network

TAGS = ("pump/speed", "pump/flow", "pump/vibration")
WINDOW = 8


def units(count=24, seed=1, regimes=1):
    """Each unit's rows f8[n, 3 (+ 1 setting)]: two tags follow wear, one is noise; with several regimes all jump with
    the setting, by more than any wear."""
    draw = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        n = int(draw.integers(50, 110))
        wear = (np.arange(n) / n) ** 2
        rows = np.column_stack([wear * 3.0, -wear * 2.0, np.zeros(n)]) + draw.normal(size=(n, 3)) * 0.15
        setting = draw.integers(0, regimes, n)
        rows = rows * (1.0 + setting[:, None]) + 20.0 * setting[:, None]
        out.append(np.column_stack([rows, 10.0 * setting]) if regimes > 1 else rows)
    return out


def table(path, runs, *, separator=",", unit="unit", time="cycle", names=TAGS, stamp=str):
    """Writes runs as a table; stamp: from a row's number, from 1, to its cell of time."""
    head = separator.join([unit, time, *(names if len(names) == runs[0].shape[1] else (*names, "line/setting"))])
    lines = [head]
    for k, rows in enumerate(runs, 1):
        for n, row in enumerate(rows, 1):
            cells = [str(k), stamp(n), *(f"{v:.6g}" for v in row)]
            lines.append(separator.join(c.replace(".", ",") if separator == ";" else c for c in cells))
    path.write_text("\n".join(lines) + "\n")
    return path


def about(tags=TAGS, **changes):
    k = len(tags)
    regimes = Regimes(
        np.array([], np.int64), np.empty((1, 0)), np.empty(0), np.arange(k), np.zeros((1, k)), np.ones((1, k))
    )
    knots = np.linspace(0.0, 100.0, 11)
    said = {
        "columns": ("unit", "time_s"),
        "tags": tuple(tags),
        "units": ("",) * k,
        "counter": "",
        "time_unit": "s",
        "period": 1.0,
        "window": WINDOW,
        "least": 3,
        "hold_rows": 2,
        "from_new": True,
        "cap": 100.0,
        "band": np.vstack([knots, 0.8 * knots, knots, np.minimum(1.3 * knots, 100.0)]),
        "farthest": 0.05,
        "regimes": regimes,
        "modes": ("running",),
        "settle_s": 0.0,
        "holdout": {"units": 5},
        "choice": {},
        "training_sha256": "0" * 64,
        "created_by": "edgetwin test",
    }
    return About(**{**said, **changes})


def content(said=None, seed=0, limit=1e6):
    """A file whose networks have random weights: what it says means nothing, how it says it does."""
    said = said or about()
    tags = len(said.regimes.tags)
    count = len(rul_features.names(("",) * tags, said.from_new))
    draw = np.random.default_rng(seed)
    sizes = ((count, 6), (6, 1))
    weights = tuple((draw.normal(size=(2, a, b)) / a).astype(np.float32) for a, b in sizes)
    offsets = tuple(np.zeros((2, 1, b), np.float32) for _, b in sizes)
    made = Network(np.zeros(count), np.ones(count), weights, offsets, said.cap)
    return onnx_bytes(made, (np.zeros(count), np.eye(count) / np.sqrt(count)), limit, said.props())
