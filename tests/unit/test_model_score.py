"""`edgetwin model score`: a row for each row, by the daemon's own code."""

import csv

import detect_models as models
import numpy as np
import pytest
from typer.testing import CliRunner

from agent.cli.commands import app
from agent.config.kinds import model as kind_of
from agent.core import quality
from agent.core.nouns import Mode, Names, Point, Role, Tag
from agent.detect import onnx
from agent.engine import recorded, state
from agent.engine.asset import Asset, Model, Modes
from agent.engine.step import step

TAGS = models.TAGS


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    path = tmp_path_factory.mktemp("detector") / "m.onnx"
    path.write_bytes(models.content())
    return path


def table(path, rows, names=TAGS, stamp="2026-03-01 10:{:02d}:{:02d}", separator=","):
    lines = [separator.join(["datetime", *names])]
    for k, row in enumerate(rows):
        cells = ["" if x != x else repr(float(x)) for x in row]
        lines.append(separator.join([stamp.format(k // 60, k % 60), *cells]))
    path.write_text("\n".join(lines) + "\n")
    return path


def score(detector, data, tmp_path, *more):
    out = tmp_path / "scores.csv"
    done = CliRunner().invoke(app, ["model", "score", str(detector), str(data), "--out", str(out), *more])
    rows = list(csv.DictReader(out.read_text().splitlines())) if done.exit_code == 0 else []
    return done, rows


def numbers(rows, name="score"):
    return np.array([float(row[name]) if row[name] else np.nan for row in rows])


def leaking(n=80, at=50):
    rows = models.plant(n, 4)
    rows[at:, 1] += 4.0
    return rows


def test_a_row_for_each_row_with_its_own_words_of_time(detector, tmp_path):
    done, rows = score(detector, table(tmp_path / "d.csv", leaking()), tmp_path)
    assert done.exit_code == 0, done.output
    assert list(rows[0]) == ["time", "score", "limit", "alarm", *(f"{tag}.contribution" for tag in TAGS)]
    assert [row["time"] for row in rows[58:61]] == ["2026-03-01 10:00:58", "2026-03-01 10:00:59", "2026-03-01 10:01:00"]
    assert len(rows) == 80
    assert [row["score"] for row in rows[:7]] == [""] * 7
    assert {row["alarm"] for row in rows[:50]} == {"0"}
    assert rows[70]["alarm"] == "1"
    assert {row["limit"] for row in rows} == {"1"}
    parts = {tag: float(rows[70][f"{tag}.contribution"]) for tag in TAGS}
    assert max(parts, key=parts.get) == TAGS[1]
    assert "most of it pump/flow" in done.output


def test_it_gives_what_the_whole_engine_gives(detector, tmp_path):
    rows, names = leaking(120, 70), Names(TAGS)
    rows[30:33, 2] = np.nan  # held for two rows, then the window starts anew
    params = onnx.load(detector.read_bytes())
    tags = tuple(Tag(f"rig/{name}", "") for name in names)
    measured = tuple(Point(tag.id, Role.MEASURED) for tag in tags)
    points = tuple(Point(f"rig/{p.id}", p.role) for p in onnx.points(params))
    made = Model("detector", kind_of("detect.onnx"), params, "", points, len(measured) + 1)
    everything = (*measured, Point("rig/state/mode", Role.MODE), *points)
    asset = Asset(
        "rig", 1, 1.0, tags, names, everything, Modes(otherwise=Mode.RUNNING), models=(made,), stale_s=(0.5,) * 3
    )
    held, live = state.initial(asset), []
    for tick in recorded.ticks(asset, names, recorded.axis(np.arange(120.0)), rows):
        held, snapshot = step(asset, held, tick)
        bad = quality.is_bad(int(snapshot.status[made.first]))
        live.append(np.nan if bad else snapshot.value[made.first])
    _, given = score(detector, table(tmp_path / "d.csv", rows), tmp_path)
    np.testing.assert_allclose(numbers(given), live, rtol=1e-8)
    assert np.isnan(live[32:40]).all()
    assert np.isfinite(live[40:]).all()
    assert [row["alarm"] == "1" for row in given] == [x > 1.0 for x in live]


def test_other_columns_do_not_matter_and_order_neither(detector, tmp_path):
    rows = leaking()
    plain, _ = score(detector, table(tmp_path / "a.csv", rows), tmp_path)
    one = numbers(score(detector, tmp_path / "a.csv", tmp_path)[1])
    odd = np.column_stack([rows[:, 2], np.arange(80), rows[:, 0], rows[:, 1]])
    names = (TAGS[2], "anomaly", TAGS[0], TAGS[1])
    other = numbers(score(detector, table(tmp_path / "b.csv", odd, names, separator=";"), tmp_path)[1])
    assert plain.exit_code == 0
    np.testing.assert_array_equal(one, other)


def test_a_column_of_another_name_is_mapped(detector, tmp_path):
    rows = leaking()
    one = numbers(score(detector, table(tmp_path / "a.csv", rows), tmp_path)[1])
    data = table(tmp_path / "b.csv", rows, ("N1", *TAGS[1:]))
    done, mapped = score(detector, data, tmp_path, "--tags", f"{TAGS[0]}=N1")
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(one, numbers(mapped))


def test_only_in_its_mode_and_after_it_has_settled(detector, tmp_path):
    rows = np.column_stack([models.plant(80, 4), [2] * 20 + [0] * 20 + [2] * 40])
    data = table(tmp_path / "d.csv", rows, (*TAGS, "drive/state"))
    known = np.isfinite(numbers(score(detector, data, tmp_path, "--where", "drive/state=2")[1]))
    assert np.flatnonzero(known).tolist() == [*range(7, 20), *range(47, 80)]


def test_time_that_jumps_or_goes_back_begins_anew(detector, tmp_path):
    rows = models.plant(60, 4)
    path = tmp_path / "d.csv"
    times = [*range(20), *range(520, 540), *range(100, 120)]
    path.write_text(
        "\n".join(
            [",".join(["time", *TAGS]), *(f"{t}," + ",".join(map(str, r)) for t, r in zip(times, rows, strict=True))]
        )
    )
    known = np.isfinite(numbers(score(detector, path, tmp_path)[1]))
    assert np.flatnonzero(known).tolist() == [*range(7, 20), *range(27, 40), *range(47, 60)]


@pytest.mark.parametrize(
    ("names", "more", "words"),
    [
        (("pump/sped", *TAGS[1:]), [], "no column pump/speed; did you mean pump/sped?"),
        (TAGS, ["--tags", "pump/flw=x"], "the model reads no such tag; did you mean pump/flow?"),
        (TAGS, ["--tags", "pump/flow=x"], "no column x for tag pump/flow"),
        (TAGS, ["--where", "drive/state=2"], "no numeric column drive/state"),
    ],
)
def test_what_does_not_fit_is_one_line(detector, tmp_path, names, more, words):
    done, _ = score(detector, table(tmp_path / "d.csv", models.plant(20, 4), names), tmp_path, *more)
    assert done.exit_code == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_detector_and_no_data_are_one_line(detector, tmp_path):
    data = table(tmp_path / "d.csv", models.plant(20, 4))
    for model, file in ((data, data), (detector, tmp_path / "none.csv"), (tmp_path / "none.onnx", data)):
        done, _ = score(model, file, tmp_path)
        assert done.exit_code == 1
        assert done.stderr.count("\n") == 1


def test_a_recording_too_short_for_the_window_says_so(detector, tmp_path):
    done, rows = score(detector, table(tmp_path / "d.csv", models.plant(5, 4)), tmp_path)
    assert done.exit_code == 0
    assert {row["score"] for row in rows} == {""}
    assert "looks back on 8 rows, the recording has 5" in done.output
