"""The two models of the demo are what their command makes."""

import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from live import ROOT

from agent.fit.recording import read
from agent.twin import simulate
from agent.twin.twin import load
from hil import record

SHIPPED = ROOT / "configs" / "models"
# Another processor may order sums otherwise (BLAS): equal to this share of the number, not to the bit.
TOLERANCE = 1e-5

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("models")
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = ["sh", SHIPPED / "make.sh", Path(sys.executable).parent, out, "detector"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    return out


def differences(one, other, at=""):
    """Where two JSON trees differ by more than rounding."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [d for k in one for d in differences(one[k], other[k], f"{at}/{k}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [d for i, pair in enumerate(zip(one, other, strict=True)) for d in differences(*pair, f"{at}/{i}")]
    numbers = (int, float)
    if isinstance(one, numbers) and isinstance(other, numbers):
        return [] if math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-9) else [f"{at}: {one} and {other}"]
    return [] if one == other else [f"{at}: {one!r} and {other!r}"]


def test_the_twin_is_good_on_hours_of_the_plant_that_it_has_not_seen(tmp_path):
    shipped = load((SHIPPED / "two-tank.twin.json").read_bytes())
    fresh = tmp_path / "fresh.csv"
    record.main(["--out", str(fresh), "--hours", "0.6", "--seed", "7"])
    table = read(fresh)
    rows = table.columns(["drive/state"])[:, 0] == 2.0
    values = table.columns(shipped.tags)[rows]
    m = len(shipped.plant.inputs)
    u, y = values[:, :m], values[:, m:]
    free = simulate.free_run(shipped.plant, u, y, 30)[:, : y.shape[1]]
    nrmse = np.sqrt(np.mean((free - y)[30:] ** 2, axis=0)) / [c.scale for c in shipped.plant.outputs]
    assert np.all(nrmse < [0.08, 0.08, 0.12, 0.16])


@pytest.mark.slow
def test_the_twin_was_made_of_the_recording_that_its_command_makes(tmp_path):
    """A fit with random starts ends elsewhere on another processor: what is held against the file is its recording."""
    recording = tmp_path / "healthy-6h.csv"
    record.main(["--out", str(recording), "--hours", "6", "--seed", "1", "--schedule", "--reference"])
    shipped = load((SHIPPED / "two-tank.twin.json").read_bytes())
    assert shipped.training["sha256"] == hashlib.sha256(recording.read_bytes()).hexdigest()


@pytest.mark.slow
def test_the_detector_is_the_one_we_ship(made):
    onnx = pytest.importorskip("onnx")
    name = "two-tank.detector.onnx"
    shipped, again = (onnx.load(folder / name) for folder in (SHIPPED, made))
    assert [n.op_type for n in shipped.graph.node] == [n.op_type for n in again.graph.node]
    for one, other in zip(shipped.graph.initializer, again.graph.initializer, strict=True):
        a, b = onnx.numpy_helper.to_array(one), onnx.numpy_helper.to_array(other)
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(np.abs(a).max() or 1), err_msg=one.name)
    words = [{p.key: _value(p.value) for p in model.metadata_props} for model in (shipped, again)]
    assert differences(*words) == []


def _value(text):
    try:
        return json.loads(text)
    except ValueError:
        return text
