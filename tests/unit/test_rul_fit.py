"""`fit rul` and `model predict`: units that ran to failure in, one file out, and what it says of other units."""

import csv
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import rul_models
from typer.testing import CliRunner

from agent.cli.commands import app
from agent.detect import rul as kind
from agent.fit import rul
from agent.fit.lives import band, choice, network, regimes, runs
from agent.fit.recording import FitError


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Training long enough to learn a smooth wear, not longer."""
    sizes = tuple(network.Size((8,), decay, 150) for decay in (0.3, 0.7))
    monkeypatch.setattr(choice, "SIZES", sizes)
    monkeypatch.setattr(choice, "FINAL_MEMBERS", 3)


def fitted(tmp_path, made=None, **options):
    path = rul_models.table(tmp_path / "runs.csv", made or rul_models.units())
    return rul.fit(path, out=tmp_path / "rul.onnx", unit="unit", time="cycle", **options)


def predicted(tmp_path, path, *options):
    out = tmp_path / "said.csv"
    done = CliRunner().invoke(
        app, ["model", "predict", str(tmp_path / "rul.onnx"), str(path), "--out", str(out), *options]
    )
    assert done.exit_code == 0, done.output
    return list(csv.DictReader(out.read_text().splitlines())), done.output


def test_units_that_it_has_not_seen_are_told_their_life(tmp_path):
    report = fitted(tmp_path)
    held = report.about.holdout
    assert held["rmse"] < 0.5 * held["rmse_mean"]
    assert 0.8 < held["coverage"] < 1.0
    others = rul_models.units(12, seed=7)
    rows, said = predicted(tmp_path, rul_models.table(tmp_path / "new.csv", others))
    assert len(rows) == sum(map(len, others))
    life = np.concatenate([np.arange(len(u))[::-1] for u in others])
    known = np.array([bool(row["p50"]) for row in rows])
    p5, p50, p95 = (np.array([float(r[name]) for r in rows if r["p50"]]) for name in ("p5", "p50", "p95"))
    true = np.minimum(life[known], report.about.cap)
    assert np.sqrt(np.mean((np.minimum(p50, report.about.cap) - true) ** 2)) < 0.5 * held["rmse_mean"]
    assert 0.75 < np.mean((p5 <= life[known]) & (life[known] <= p95)) <= 1.0
    assert known.sum() == len(rows) - 9 * 12
    assert f"{9 * 12} without an estimate" in said


def test_a_life_above_the_cap_is_more_than_it(tmp_path):
    report = fitted(tmp_path)
    rows, _ = predicted(tmp_path, tmp_path / "runs.csv")
    over = [row for row in rows if row["more_than"]]
    assert over
    assert all(row["p95"] == "inf" and float(row["p50"]) == report.about.cap for row in over)
    assert all(row["note"].startswith(f"more than {report.about.cap:g} cycles") for row in over)
    assert not any(row["more_than"] for row in rows if row["p50"] and float(row["p50"]) < report.about.cap)


def test_the_same_runs_give_the_same_bytes(tmp_path):
    fitted(tmp_path)
    first = (tmp_path / "rul.onnx").read_bytes()
    fitted(tmp_path)
    assert (tmp_path / "rul.onnx").read_bytes() == first


def test_a_constant_tag_is_left_out_by_name(tmp_path):
    made = [np.column_stack([u[:, :2], np.full(len(u), 7.0)]) for u in rul_models.units()]
    report = fitted(tmp_path, made)
    assert report.dropped == ("pump/vibration ((nearly) constant)",)
    assert report.about.tags == ("pump/speed", "pump/flow")


def test_regimes_are_recognised_and_one_is_one():
    made = rul_models.units(20, regimes=3)
    known, still = regimes.found(made, None)
    assert known.settings.tolist()[-1] == 3
    assert len(known.centres) == 3
    assert not len(still)
    assert len(regimes.found(rul_models.units(20), None)[0].centres) == 1


def test_several_regimes_cost_little(tmp_path):
    path = rul_models.table(tmp_path / "runs.csv", rul_models.units(24, regimes=3))
    options = {"out": tmp_path / "rul.onnx", "unit": "unit", "time": "cycle"}
    told = rul.fit(path, **options, settings=["line/setting"]).about
    blind = rul.fit(path, **options, settings=[]).about
    assert (len(told.regimes.mean), len(blind.regimes.mean)) == (3, 1)
    assert told.holdout["rmse"] < 0.8 * blind.holdout["rmse"]


def test_age_may_be_forbidden(tmp_path):
    assert not fitted(tmp_path, from_new=False).about.from_new


def test_a_unit_that_still_runs_teaches_only_what_is_sure(tmp_path):
    report = fitted(tmp_path, censored=["3"], cap=40.0)
    mine = report.table.unit == 2
    assert report.table.usable[mine].any()
    assert (report.table.life[mine & report.table.usable] >= 40.0).all()


@pytest.mark.parametrize(("stamp", "unit"), [("cycle", "cycles"), ("hours_h", "h"), ("when", "h")])
def test_time_is_read_by_its_name_or_its_form(tmp_path, stamp, unit):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    cell = (lambda n: (start + timedelta(hours=n)).isoformat()) if stamp == "when" else str
    path = rul_models.table(tmp_path / "a.csv", rul_models.units(3), separator=";", time=stamp, stamp=cell)
    found = runs.read(path, "unit", stamp)
    assert (found.time_unit, found.period) == (unit, 1.0)
    assert found.names == rul_models.TAGS


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " "])
def test_separators_are_recognised(tmp_path, separator):
    made = rul_models.units(2)
    found = runs.read(rul_models.table(tmp_path / "a.csv", made, separator=separator), "unit", "cycle")
    np.testing.assert_allclose(found.units[1].value, made[1], atol=1e-4)


def test_the_weighted_quantile_counts_weights():
    value, weight = np.array([3.0, 1.0, 2.0]), np.array([0.1, 0.8, 0.1])
    assert [band.weighted(value, weight, q) for q in (0.5, 0.85, 1.0)] == [1.0, 2.0, 3.0]


def test_a_unit_counts_once_in_the_band():
    """A long unit with large errors must not widen the band of twenty short ones by its number of rows."""
    draw = np.random.default_rng(0)
    unit = np.concatenate([np.repeat(np.arange(40), 20), np.full(4000, 40)])
    error = np.concatenate([draw.normal(size=800), draw.normal(size=4000) * 20.0])
    _, low, high = band._weighed(error, unit)
    assert -4.0 < low < -1.0
    assert 1.0 < high < 4.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"unit": "engine"}, "no column engine"),
        ({"tags": ["pump/head"]}, "no numeric column pump/head"),
        ({"settings": ["alt"]}, "no tag alt"),
        ({"censored": ["99"]}, "no unit 99"),
        ({"cap": 0.0}, "no"),
        ({"window": 1}, "at least 2 rows"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_words(tmp_path, options, said):
    path = rul_models.table(tmp_path / "runs.csv", rul_models.units(8))
    with pytest.raises(FitError, match=said if options != {"cap": 0.0} else "more than 0"):
        rul.fit(path, **({"out": tmp_path / "x", "unit": "unit", "time": "cycle"} | options))


def test_too_few_units_are_refused(tmp_path):
    with pytest.raises(FitError, match="4 units that ran to failure"):
        fitted(tmp_path, rul_models.units(4))


def test_a_wrong_cell_is_named_by_its_line(tmp_path):
    path = rul_models.table(tmp_path / "runs.csv", rul_models.units(8))
    lines = path.read_text().splitlines()
    lines[5] = lines[5].replace(lines[5].split(",")[2], "broken")
    path.write_text("\n".join(lines))
    with pytest.raises(FitError, match=r"runs\.csv:6: pump/speed is 'broken'"):
        runs.read(path, "unit", "cycle")


def test_the_page_has_its_pictures(tmp_path):
    fitted(tmp_path, page=tmp_path / "rul.html")
    page = (tmp_path / "rul.html").read_text()
    assert page.count("<svg") == 5
    assert "pump/vibration" in page
    assert "Where it says nothing" in page


def test_the_command_line_says_what_is_wrong(tmp_path):
    path = rul_models.table(tmp_path / "runs.csv", rul_models.units(8))
    done = CliRunner().invoke(app, ["model", "predict", str(path), str(path), "--out", str(tmp_path / "x.csv")])
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert "not an ONNX file" in done.output
    done = CliRunner().invoke(
        app, ["fit", "rul", str(path), "--unit", "unit", "--time", "t", "--out", str(tmp_path / "x")]
    )
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert "no column t (time)" in done.output


def test_a_predicted_table_lacks_no_column(tmp_path):
    (tmp_path / "rul.onnx").write_bytes(rul_models.content(rul_models.about(columns=("unit", "cycle"))))
    path = rul_models.table(tmp_path / "a.csv", [u[:, :2] for u in rul_models.units(2)], names=rul_models.TAGS[:2])
    done = CliRunner().invoke(
        app, ["model", "predict", str(tmp_path / "rul.onnx"), str(path), "--out", str(tmp_path / "x.csv")]
    )
    assert done.exit_code == 1
    assert "no numeric column pump/vibration" in done.output
    assert kind.load((tmp_path / "rul.onnx").read_bytes()).about.columns == ("unit", "cycle")
