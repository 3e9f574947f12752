"""A small detector and its frames, for the tests of detectors. Nothing here reads or writes a file."""

import numpy as np

from agent.core import quality
from agent.core.nouns import Frame, Mode, Names
from agent.detect.metadata import KIND, SCHEMA, Metadata
from agent.fit.detection import folding, mahalanobis
from agent.fit.detection.detector import Detector, Part
from agent.fit.detection.folding import Folding
from agent.fit.detection.graph import onnx_bytes

SECOND = 1_000_000_000
TAGS = ("pump/speed", "pump/flow", "tank/level")
SHAPE = Folding(8, stretches=(2, 4, 2))


def plant(rows, seed, tags=3):
    """Healthy rows f8[rows, tags]: one cause, felt by each tag with another gain and its own noise."""
    draw = np.random.default_rng(seed)
    cause = np.convolve(draw.normal(size=rows + 20), np.ones(20) / 4.5, "valid")[:rows]
    gain = np.linspace(0.5, 2.0, tags) * (-1.0) ** np.arange(tags)
    return 50.0 + cause[:, None] * gain + draw.normal(size=(rows, tags)) * 0.1


def detector(rows=None, shape=SHAPE, limit=8.0):
    rows = plant(3000, 1) if rows is None else rows
    mean, scale = rows.mean(0), rows.std(0)
    feature = folding.features((rows - mean) / scale, shape)
    member = mahalanobis.fit(feature, rows.shape[1], shrinkage=0.0, rounds=3)
    return Detector(mean, scale, (Part(shape, member, limit),))


def about(**changes):
    said = {
        "schema": SCHEMA,
        "kind": KIND,
        "tags": TAGS,
        "units": ("%", "m3/h", "m"),
        "window": SHAPE.window,
        "period_s": 1.0,
        "modes": ("running",),
        "settle_s": 5.0,
        "hold_rows": 2,
        "persistence": (2, 3),
        "limit": 1.0,
        "score": "distance over its limit",
        "contribution": "part of the score",
        "threshold": {"limit": 8.0},
        "calibration": {},
        "holdout": {"alarms": 0},
        "features": {},
        "training_sha256": "0" * 64,
        "created_by": "edgetwin test",
    }
    return Metadata(**{**said, **changes})


def content(made=None, **changes):
    return onnx_bytes(made or detector(), about(**changes).props())


def frame(value, *, dt_s=1.0, status=None, count=1, mean=None):
    """One frame over TAGS and a text tag in front of them."""
    names = Names(("process/product", *TAGS))
    value = np.concatenate([[np.nan], np.asarray(value, float)])
    codes = np.zeros(4, np.uint32)
    codes[1:] = np.where(np.isfinite(value[1:]), quality.GOOD, quality.BAD_NO_COMMUNICATION)
    if status is not None:
        codes[1:] = status
    counts = np.where(codes < 0x8000_0000, count, 0).astype(np.int32)
    counts[0] = 0
    mean = value if mean is None else np.concatenate([[np.nan], np.asarray(mean, float)])
    mean = np.where(counts > 0, mean, np.nan)
    zeros = np.zeros(4, np.int64)
    return Frame(
        names=names,
        t_ns=0,
        dt_ns=round(dt_s * SECOND),
        value=value,
        status=codes,
        age_ns=zeros,
        source_ns=zeros,
        mean=mean,
        min=mean,
        max=mean,
        count=counts,
        texts={0: "water"},
        batches=(),
        mode=Mode.RUNNING,
    )
