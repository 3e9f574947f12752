"""A twin's residuals as columns of a recording: those of the daemon's own cycle, absent while it settles."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from agent.fit import residuals
from agent.fit.judging.tracked import track
from agent.fit.recording import FitError, read

TWIN = Path(__file__).parents[2] / "configs" / "models" / "two-tank.twin.json"


@pytest.fixture(scope="module")
def twin():
    return importlib.import_module("agent.twin").load(TWIN.read_bytes())


@pytest.fixture
def recording(twin, tmp_path):
    plant, draw = twin.plant, np.random.default_rng(1)
    middle = np.array([c.mean for c in (*plant.inputs, *plant.outputs)])
    scale = np.array([c.scale for c in (*plant.inputs, *plant.outputs)])
    rows = middle + 0.01 * scale * draw.normal(size=(150, len(middle)))
    lines = [",".join(["time", *plant.tags]), *(f"{k}," + ",".join(map(repr, r)) for k, r in enumerate(rows.tolist()))]
    path = tmp_path / "r.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_they_are_what_the_twin_gives_in_its_own_cycle(twin, recording):
    plant = twin.plant
    found = residuals.recorded(recording, TWIN)
    names = [f"{c.tag}.residual" for c in plant.outputs]
    assert found.names == (*plant.tags, *names)
    value, plain = found.columns(names), read(recording).columns(plant.tags)
    m = len(plant.inputs)
    expected = track(twin, plain[:, :m], plain[:, m:]).residual
    known = np.isfinite(value)
    assert known[-20:].all()
    assert not known[0].any()
    np.testing.assert_allclose(value[known], expected[known], rtol=1e-9, atol=1e-12)


def test_without_a_twin_the_recording_is_as_it_is(recording):
    assert residuals.recorded(recording, None).names == read(recording).names


def test_a_file_that_is_no_twin_and_missing_columns_are_said(recording, tmp_path):
    with pytest.raises(FitError, match=r"r\.csv: "):
        residuals.recorded(recording, recording)
    (tmp_path / "few.csv").write_text("time,pump/speed\n0,1\n1,2\n")
    with pytest.raises(FitError, match="no numeric column"):
        residuals.recorded(tmp_path / "few.csv", TWIN)
