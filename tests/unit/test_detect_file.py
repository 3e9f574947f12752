"""What is refused as a detector file, and what a good one says of itself."""

import contextlib
import subprocess
import sys

import detect_models as models
import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from agent.core.graph import reading
from agent.detect import metadata, onnx
from agent.fit.detection import detector as whole


@pytest.fixture(scope="module")
def content():
    return models.content()


def other(content, change):
    model = ModelProto.FromString(content)
    change(model)
    return model.SerializeToString()


def test_loads_and_says_what_it_reads(content):
    params = onnx.load(content)
    assert params.tags == models.TAGS
    assert params.units == ("%", "m3/h", "m")
    assert params.modes == ("running",)
    assert (params.period_s, params.settle_s) == (1.0, 5.0)
    ids = [p.id for p in onnx.points(params)]
    assert ids == ["anomaly/score", "anomaly/limit", *(f"{t}.contribution" for t in models.TAGS)]
    assert [p.of for p in onnx.points(params)][2:] == list(models.TAGS)


def test_metadata_comes_back_as_it_was(content):
    said = models.about()
    read = metadata.parse(reading.read(content).metadata)
    assert read.props() == said.props()
    assert read.tags == said.tags


REFERENCE = {"quantiles": [0.1, 0.9], "inputs": [[1, 2], [3, 4], [5, 5]], "score": [0.2, 0.7], "alarms_per_day": 1.0}


def test_a_file_says_how_healthy_rows_were_and_one_of_before_says_nothing():
    props = models.about(reference=REFERENCE).props()
    assert metadata.parse(props).reference == REFERENCE
    del props[metadata.PREFIX + "reference"]
    assert metadata.parse(props).reference == {}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"quantiles": [0.9, 0.1]}, "reference.quantiles"),
        ({"inputs": [[1, 2]]}, "reference.inputs"),
        ({"inputs": [[1, 2], [3], [5, 5]]}, "reference.inputs.pump/flow"),
        ({"inputs": [[1, 2], [4, 3], [5, 5]]}, "reference.inputs.pump/flow"),
        ({"score": ["a", "b"]}, "reference.score"),
        ({"alarms_per_day": 0}, "reference.alarms_per_day"),
    ],
)
def test_a_reference_that_cannot_be_is_refused(change, what):
    with pytest.raises(ValueError, match=what):
        metadata.parse(models.about(reference={**REFERENCE, **change}).props())


def test_same_detector_gives_same_bytes(content):
    assert models.content() == content


def test_importing_the_kind_loads_no_runtime():
    code = "import sys, agent.detect.onnx; print('onnxruntime' in sys.modules, 'onnx' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("junk", [b"", b"hello", b"\x00" * 100, bytes(range(256)) * 4, b"\xff" * 64, b"PK\x03\x04zip"])
def test_garbage_is_refused(junk):
    with pytest.raises(ValueError, match="not an ONNX file"):
        onnx.load(junk)


def test_every_truncation_is_refused(content):
    for size in range(0, len(content), max(1, len(content) // 100)):
        with pytest.raises(ValueError, match=r"\w"):
            onnx.load(content[:size])


def test_flipped_bytes_are_refused_or_load_but_never_anything_else(content):
    draw = np.random.default_rng(3)
    for _ in range(150):
        at = int(draw.integers(len(content)))
        broken = content[:at] + bytes([content[at] ^ int(draw.integers(1, 256))]) + content[at + 1 :]
        with contextlib.suppress(ValueError):
            onnx.load(broken)


def test_too_large_is_refused():
    with pytest.raises(ValueError, match="expected at most 16777216"):
        onnx.load(b"\x00" * (16 * 2**20 + 1))


def test_without_metadata_is_refused(content):
    with pytest.raises(ValueError, match="no edgetwin metadata"):
        onnx.load(other(content, lambda m: m.ClearField("metadata_props")))


def test_a_missing_entry_is_named(content):
    def drop(model):
        kept = [p for p in model.metadata_props if p.key not in ("edgetwin.units", "edgetwin.window")]
        helper.set_model_props(model, {p.key: p.value for p in kept})

    with pytest.raises(ValueError, match="metadata units, window missing"):
        onnx.load(other(content, drop))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"schema": 2}, "schema is 2, expected 1"),
        ({"kind": "detect.other"}, "kind is"),
        ({"window": 0}, "window is 0"),
        ({"window": 8.0}, "window is 8.0"),
        ({"window": 10**9}, "window is"),
        ({"period_s": 0}, "period_s is 0"),
        ({"period_s": float("nan")}, "period_s"),
        ({"limit": "high"}, "limit is"),
        ({"persistence": (4, 3)}, "persistence is"),
        ({"tags": ("a/b", "a/b", "c/d")}, "tags is"),
        ({"tags": ()}, "tags is"),
        ({"units": ("m",)}, "units is"),
        ({"modes": "running"}, "modes is"),
        ({"holdout": 3}, "holdout is"),
    ],
)
def test_wrong_metadata_is_named(content, changes, text):
    plain = models.about()
    props = plain.props()
    for name, value in changes.items():
        props[f"edgetwin.{name}"] = metadata.json.dumps(value)
    with pytest.raises(ValueError, match=text):
        onnx.load(other(content, lambda m: helper.set_model_props(m, props)))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"window": 9}, r"expected one tensor\(float\) \[N, 9, 3\]"),
        ({"tags": ("a/a", "b/b"), "units": ("", "")}, "8, 2"),
    ],
)
def test_shapes_that_the_metadata_denies_are_refused(changes, text):
    with pytest.raises(ValueError, match=text):
        onnx.load(models.content(**changes))


def test_an_output_too_few_is_refused(content):
    with pytest.raises(ValueError, match="output"):
        onnx.load(other(content, lambda m: m.graph.output.pop()))


def test_external_tensors_are_refused(content):
    def move(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "weights.bin"

    with pytest.raises(ValueError, match="in other files"):
        onnx.load(other(content, move))


def test_operators_that_can_make_anything_from_nothing_are_refused(content):
    def add(model):
        model.graph.node.append(helper.make_node("ConstantOfShape", ["as_tags_0"], ["big"]))

    with pytest.raises(ValueError, match="operator ConstantOfShape is not allowed"):
        onnx.load(other(content, add))


def test_subgraphs_and_foreign_operators_are_refused(content):
    body = helper.make_graph([], "body", [], [])
    with pytest.raises(ValueError, match="subgraphs"):
        onnx.load(other(content, lambda m: m.graph.node.append(helper.make_node("Loop", [], [], body=body))))
    with pytest.raises(ValueError, match=r"operator com\.evil\.Add is not allowed"):
        onnx.load(other(content, lambda m: m.graph.node.append(helper.make_node("Add", [], [], domain="com.evil"))))


def test_the_walk_finds_what_the_onnx_package_finds(content):
    model = ModelProto.FromString(content)
    found = reading.read(content)
    assert found.operators == {n.op_type for n in model.graph.node}
    assert found.metadata == {p.key: p.value for p in model.metadata_props}
    assert [p.name for p in found.inputs] == [p.name for p in model.graph.input]


def test_the_file_computes_what_the_fit_computes(content):
    params, made = onnx.load(content), models.detector()
    rows = models.plant(400, 2)
    rows[200:, 1] += 3.0
    windows = np.lib.stride_tricks.sliding_window_view(rows, made.window, axis=0).transpose(0, 2, 1)
    score, contribution = onnx.score(params, windows)
    expected, parts = whole.score(made, rows)
    np.testing.assert_allclose(score, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(contribution, parts, rtol=1e-3, atol=1e-3)
    assert score[:190].max() < score[201:].min()
