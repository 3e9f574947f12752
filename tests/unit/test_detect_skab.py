"""A recorded rig (SKAB): fitted on the first 400 rows, stepped through the rest one row a second as live."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.core.nouns import Frame, Mode, Names
from agent.detect import onnx
from agent.fit.detector import fit
from agent.fit.recording import read

SKAB = Path(__file__).parents[3] / "shared" / "data" / "skab" / "valve1" / "0.csv"
pytestmark = pytest.mark.skipif(not SKAB.exists(), reason=f"recorded data absent: {SKAB}")
FITTED = 400


def frame_of(names, row):
    nothing = np.zeros(len(row), np.int64)
    good = np.zeros(len(row), np.uint32)
    once = np.ones(len(row), np.int32)
    return Frame(Names(names), 0, 10**9, row, good, nothing, nothing, row, row, row, once, {}, (), Mode.RUNNING)


def test_the_labelled_anomaly_is_alarmed_live(tmp_path):
    recording = read(SKAB)
    sensors = tuple(name for name in recording.names if name not in ("anomaly", "changepoint"))
    fit(SKAB, out=tmp_path / "skab.onnx", tags=sensors, rows=slice(0, FITTED))
    params = onnx.load((tmp_path / "skab.onnx").read_bytes())
    frame = frame_of(sensors, recording.columns(sensors)[0])
    state, score = onnx.init(params), []
    for row in recording.columns(sensors)[FITTED:]:
        state, values = onnx.step(params, state, replace(frame, value=row, mean=row), {})
        score.append(values.value[0])
    over = np.array(score) > 1.0
    sick = recording.columns(["anomaly"])[FITTED:, 0] == 1
    first, last = np.flatnonzero(sick)[[0, -1]]
    assert over[first:last].mean() > 0.4
    assert np.flatnonzero(over[first:])[0] < 150
    assert over[:first].mean() < 0.05
