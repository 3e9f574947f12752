"""A detector from a recording: the same bytes, an honest limit, contributions that point, refusals with names."""

from dataclasses import replace

import detect_models as models
import numpy as np
import pytest

from agent.core.units import UNITS
from agent.detect import onnx
from agent.fit.detection import detector as whole
from agent.fit.detection.folding import Folding
from agent.fit.detection.threshold import peaks, persistent, threshold
from agent.fit.detector import fit
from agent.fit.recording import FitError


def write(path, rows, names=models.TAGS, extra=None):
    header = ["time", *names, *(extra or {})]
    lines = [",".join(header)]
    for i, row in enumerate(rows):
        cells = [f"{x:.6g}" for x in row] + [str(column[i]) for column in (extra or {}).values()]
        lines.append(",".join([str(i), *cells]))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return write(tmp_path_factory.mktemp("fit") / "healthy.csv", models.plant(1500, 11))


def test_same_recording_same_bytes(recording, tmp_path):
    fit(recording, out=tmp_path / "a.onnx", window=10)
    fit(recording, out=tmp_path / "b.onnx", window=10)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_the_file_says_how_it_was_made(recording, tmp_path):
    report = fit(recording, out=tmp_path / "a.onnx", window=10, units={"pump/flow": "m3/h"}, rows=slice(0, 1200))
    about = onnx.load((tmp_path / "a.onnx").read_bytes()).about
    assert about.tags == models.TAGS
    assert about.units == ("", "m3/h", "")
    assert about.window == 10
    assert about.calibration["last_row"] == 1199
    assert about.threshold["budget_alarms_per_day"] == 1.0
    assert {"hours", "alarms", "over_percent"} <= set(about.holdout)
    middle = about.reference["quantiles"].index(0.5)
    assert [tag[middle] for tag in about.reference["inputs"]] == pytest.approx([50.0] * 3, abs=1.0)
    assert 0.0 < about.reference["score"][middle] < 1.0
    assert len(about.training_sha256) == 64
    assert any("hold-out" in line for line in report.lines())
    made = onnx.load((tmp_path / "a.onnx").read_bytes())
    assert all(not p.unit or p.unit in UNITS for p in onnx.points(made))


def test_quiet_on_rows_it_has_not_seen_and_points_at_the_tag_that_departs(recording, tmp_path):
    fit(recording, out=tmp_path / "a.onnx", window=10, budget_alarms_per_day=1.0)
    params = onnx.load((tmp_path / "a.onnx").read_bytes())

    def scored(rows):
        windows = np.lib.stride_tricks.sliding_window_view(rows, 10, axis=0).transpose(0, 2, 1)
        return onnx.score(params, windows)

    healthy = persistent(scored(models.plant(5000, 12))[0], (3, 5))
    assert len(peaks([healthy], 1.0, 10)) <= 3
    for tag in range(3):
        rows = models.plant(200, 13)
        rows[100:, tag] += 3.0
        score, contribution = scored(rows)
        assert score[120:].min() > 1.0
        assert (contribution[120:].argmax(axis=1) == tag).mean() > 0.95


def test_collinear_tags_are_told_apart_where_z_scores_are_not():
    """Eight tags moved by two causes; a fault that is small beside the healthy swing of its tag."""
    draw = np.random.default_rng(14)
    mix = draw.normal(size=(2, 8))

    def healthy(n):
        cause = np.cumsum(draw.normal(size=(n, 2)), axis=0)
        cause -= np.linspace(0, 1, n)[:, None] * cause[-1]
        return cause @ mix + draw.normal(size=(n, 8)) * 0.3

    made = models.detector(healthy(4000), Folding(8, stretches=(2, 4, 2)))
    right = by_z = 0
    for trial in range(80):
        tag = trial % 8
        rows = healthy(300)[:8]
        rows[:, tag] += 3.0
        right += whole.score(made, rows)[1][-1].argmax() == tag
        by_z += np.abs((rows - made.mean) / made.scale).mean(axis=0).argmax() == tag
    assert right >= 76
    assert by_z < 40


@pytest.mark.parametrize("kind", ["pca", "similarity"])
def test_each_family_gives_a_file_that_agrees_with_its_fit(recording, tmp_path, kind):
    report = fit(recording, out=tmp_path / "a.onnx", window=10, kind=kind)
    assert report.agreement < 1e-3
    parts = onnx.load((tmp_path / "a.onnx").read_bytes()).about.features["parts"]
    assert [part["family"] for part in parts] == [kind]
    assert "Where it should not be trusted" in (tmp_path / "a.html").read_text()


def test_a_pair_gives_the_larger_score_and_its_contributions():
    one, other = models.detector(limit=8.0), models.detector(shape=Folding(8, rates=(0.3,)), limit=4.0)
    pair = replace(one, parts=(*one.parts, *other.parts))
    rows = models.plant(300, 19)
    rows[150:, 1] += 2.0
    given = onnx.score(
        onnx.load(models.content(pair)), np.lib.stride_tricks.sliding_window_view(rows, 8, axis=0).transpose(0, 2, 1)
    )
    for ours, expected in zip(given, whole.score(pair, rows), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3)
    singles = [whole.score(each, rows)[0] for each in (one, other)]
    np.testing.assert_allclose(given[0], np.maximum(*singles), rtol=1e-3)
    assert (singles[0] > singles[1]).any()
    assert (singles[0] < singles[1]).any()


def test_a_limit_keeps_its_budget_on_noise_it_has_not_seen():
    draw = np.random.default_rng(15)
    runs = [np.abs(draw.normal(size=3600)) for _ in range(5)]
    found = threshold(runs, budget_alarms_per_day=24.0, period_s=1.0, apart=5)
    fresh = [np.abs(draw.normal(size=3600)) for _ in range(48)]
    assert 5 <= len(peaks(fresh, found.limit, 5)) <= 96  # 48 expected
    tighter = threshold(runs, budget_alarms_per_day=240.0, period_s=1.0, apart=5)
    assert tighter.limit < found.limit


def test_a_budget_that_the_recording_cannot_carry_is_said(recording, tmp_path):
    report = fit(recording, out=tmp_path / "a.onnx", window=10, budget_alarms_per_day=0.001)
    assert report.threshold.alarms_per_day > 1.0
    assert any("too short" in line for line in report.lines())


def test_persistent_is_the_kth_largest_of_the_last_n():
    score = np.array([5.0, 1.0, 2.0, 9.0, 0.0])
    assert persistent(score, (2, 3)).tolist() == [0.0, 1.0, 2.0, 2.0, 2.0]
    assert persistent(score, (1, 1)).tolist() == score.tolist()


def test_peaks_of_runs_that_are_near_are_one():
    score = np.array([0, 3, 0, 4, 0, 0, 0, 0, 5, 0.0])
    assert peaks([score], 1.0, 3).tolist() == [4.0, 5.0]
    assert peaks([score], 9.0, 3).tolist() == []


def test_a_constant_tag_is_left_out_with_a_line(tmp_path):
    rows = np.hstack([models.plant(600, 16), np.full((600, 1), 3.0)])
    path = write(tmp_path / "c.csv", rows, (*models.TAGS, "pump/run"))
    report = fit(path, out=tmp_path / "c.onnx", window=10)
    assert report.about.tags == models.TAGS
    assert "left out: pump/run (constant at 3)" in report.lines()


def test_identical_tags_still_give_a_detector(tmp_path):
    rows = models.plant(600, 17)
    path = write(tmp_path / "c.csv", np.hstack([rows, rows[:, :1]]), (*models.TAGS, "pump/speed2"))
    fit(path, out=tmp_path / "c.onnx", window=10)
    params = onnx.load((tmp_path / "c.onnx").read_bytes())
    window = np.hstack([rows, rows[:, :1]])[:10]
    window[:, 0] += 1.0
    score, contribution = onnx.score(params, window[None])
    assert score[0] > 1.0
    assert contribution[0].argmax() in (0, 3)  # of two equal tags nobody can say which


def test_where_and_another_name_live(tmp_path):
    rows = models.plant(900, 18)
    state = np.where((np.arange(900) // 300) % 2, 3, 2)
    rows[state == 3] += 1000.0
    path = write(tmp_path / "w.csv", rows, ("a", "b", "c"), {"drive/state": state})
    report = fit(
        path, out=tmp_path / "w.onnx", tags=["rig/a=a", "c"], where={"drive/state": 2}, window=10, settle_s=20.0
    )
    assert report.about.tags == ("rig/a", "c")
    assert report.about.settle_s == 20.0
    params = onnx.load((tmp_path / "w.onnx").read_bytes())
    score, _ = onnx.score(params, rows[600:610][:, [0, 2]][None])
    assert score[0] < 1.0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tags": ["pump/speed", "pump/none"]}, "pump/none"),
        ({"tags": ["pump/speed", "pump/speed"]}, "named twice"),
        ({"rows": slice(0, 30)}, "windows of 10 rows for 3 tags, are too few: expected about 63 rows"),
        ({"rows": slice(0, 5)}, "no 10 rows on end"),
        ({"persistence": (4, 3)}, "persistence 4 of 3"),
        ({"window": 1}, "window 1"),
        ({"budget_alarms_per_day": 0.0}, "budget 0"),
        ({"where": {"drive/state": 2}}, "drive/state"),
    ],
)
def test_what_cannot_be_is_refused_in_words(recording, tmp_path, options, text):
    with pytest.raises(FitError, match=text):
        fit(recording, out=tmp_path / "x.onnx", **{"window": 10, **options})
    assert not (tmp_path / "x.onnx").exists()


def test_all_constant_is_refused(tmp_path):
    path = write(tmp_path / "c.csv", np.ones((300, 3)))
    with pytest.raises(FitError, match="every tag is constant"):
        fit(path, out=tmp_path / "x.onnx", window=10)


def test_times_of_maintenance_are_left_out(recording, tmp_path):
    (tmp_path / "out.csv").write_text("from,to\n1000,1499\n")
    whole = fit(recording, out=tmp_path / "a.onnx", window=10)
    part = fit(recording, out=tmp_path / "a.onnx", window=10, exclude=tmp_path / "out.csv")
    assert 0.5 < part.threshold.rows / whole.threshold.rows < 0.8
