"""Fitting a twin: closed-loop data, no bias, no column across a cut, the same bytes, clear refusals."""

import numpy as np
import pytest
from twin_rig import tanks_csv

from agent.fit.identify import simulation
from agent.fit.identify.subspace import directions, modes, stable, varx
from agent.fit.judging import limits
from agent.fit.recording import FitError
from agent.fit.twin import About, fit
from agent.twin import twin

PARTS = {
    "inputs": ["pump/speed", "valve/position"],
    "outputs": ["upper/level", "lower/level"],
    "virtual": ["upper/flow"],
    "where": {"drive/state": 2},
    "settle_s": 20.0,
    "orders": (2,),
    "kind": "linear",
    "page": False,
}


ABOUT = About("rig", "commissioning", "2026-11-24T13:00:00Z")


@pytest.fixture(scope="module", autouse=True)
def short_histories():
    """Limits from fewer resampled histories: what is tested here is what leads to them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "HISTORY_ROWS", 512)
        patch.setattr(limits, "HISTORIES", 32)
        yield


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twin")
    recording = tanks_csv(folder / "tanks.csv", rows=900)
    report = fit(recording, out=folder / "twin.json", about=ABOUT, **PARTS)
    return folder, recording, report


def test_the_file_says_what_it_was_made_of_and_how_good_it_is(fitted):
    folder, _, report = fitted
    made = twin.load((folder / "twin.json").read_bytes())
    assert made.tags == ("pump/speed", "valve/position", "upper/level", "lower/level")
    assert [c.tag for c in made.plant.virtual] == ["upper/flow"]
    assert made.plant.kind_name == "identified"
    assert made.plant.period_s == 1.0
    assert len(made.training["sha256"]) == 64
    assert made.training["rows"] == report.rows
    for score in report.outputs:
        assert score.rmse < score.persistence
        assert score.nrmse < 0.3
        assert score.worst > 0
    assert report.virtual[0].share_of_range < 0.05
    assert any("upper/flow" in line for line in report.lines())


def test_the_file_says_whose_it_is_and_what_speaks_for_it(fitted):
    folder, _, report = fitted
    known = twin.load((folder / "twin.json").read_bytes()).baseline
    assert (known.asset, known.reason, known.made_utc) == ("rig", "commissioning", "2026-11-24T13:00:00Z")
    assert known.hours == pytest.approx(report.rows / 3600)
    assert 0.5 < known.modes["running"] <= 1.0
    assert known.state == "learning"  # a quarter of an hour
    assert known.coverage.low <= known.coverage.share <= known.coverage.high
    assert 0.7 < known.coverage.share < 1.0
    assert known.alerts.count < 3
    assert 0 < known.alerts.days < known.hours / 24


def test_the_same_recording_gives_the_same_bytes(fitted):
    folder, recording, _ = fitted
    fit(recording, out=folder / "again.json", about=ABOUT, **PARTS)
    assert (folder / "again.json").read_bytes() == (folder / "twin.json").read_bytes()


def closed_loop(rows, seed, gain):
    """x+ = 0.9 x + 0.5 u + w, y = x + v under u = r - gain y: the loop feeds the noise back into the input."""
    draw = np.random.default_rng(seed)
    x, out, r = 0.0, [], 0.0
    for k in range(rows):
        if k % 20 == 0:
            r = draw.uniform(-1, 1)
        y = x + 0.2 * draw.standard_normal()
        u = r - gain * y
        out.append((u, y))
        x = 0.9 * x + 0.5 * u + 0.05 * draw.standard_normal()
    return np.array(out)


def test_a_closed_loop_does_not_bias_the_pole():
    segments = [closed_loop(2000, seed, 0.5) for seed in (1, 2)]
    model = varx(segments, 1, 10)
    basis = modes(segments, model, directions(segments, model), 1)
    assert basis.A[0, 0] == pytest.approx(0.9, abs=0.02)
    B, D = simulation.refit(basis.A, basis.C, [s[:, :1] for s in segments], [s[:, 1:] for s in segments], 1e-9)
    gain = basis.C @ np.linalg.solve(np.eye(1) - basis.A, B) + D
    assert gain[0, 0] == pytest.approx(5.0, rel=0.15)


def test_no_row_pairs_a_past_with_a_future_behind_a_cut():
    one = closed_loop(400, 3, 0.5)
    cut_in_two = [one[:200], one[200:]]
    # Joined, the ten rows after the cut would have a past from before it; apart, the order of the parts means nothing.
    a, b = varx(cut_in_two, 1, 10), varx(cut_in_two[::-1], 1, 10)
    np.testing.assert_allclose(a.theta, b.theta, atol=1e-9)
    joined = varx([np.vstack(cut_in_two[::-1])], 1, 10)
    assert np.max(np.abs(joined.theta - a.theta)) > 1e-6


def test_an_unstable_matrix_is_pulled_inside():
    A = stable(np.array([[1.05, 0.2], [-0.2, 1.05]]))
    assert np.max(np.abs(np.linalg.eigvals(A))) < 1.0
    kept = np.array([[0.5, 0.2], [0.0, 0.9]])
    assert stable(kept) is kept


def test_refit_finds_b_and_d_of_a_known_system():
    draw = np.random.default_rng(4)
    A, C = np.array([[0.9, 0.1], [0.0, 0.7]]), np.array([[1.0, 0.3]])
    B, D = np.array([[0.3], [1.0]]), np.array([[0.2]])
    u = [draw.standard_normal((150, 1)) for _ in range(2)]
    y = [simulation.run(A, B, C, D, part, draw.standard_normal(2)) for part in u]
    found_B, found_D = simulation.refit(A, C, u, y, 1e-12)
    np.testing.assert_allclose(found_B, B, atol=1e-6)
    np.testing.assert_allclose(found_D, D, atol=1e-6)


def write(path, columns, rows):
    path.write_text(
        "\n".join([",".join(["time", *columns]), *(f"{k}," + ",".join(map(str, r)) for k, r in enumerate(rows))])
    )
    return path  # fmt: skip


def refused(tmp_path, columns, rows, **parts):
    recording = write(tmp_path / "bad.csv", columns, rows)
    with pytest.raises(FitError) as caught:
        fit(recording, out=tmp_path / "twin.json", settle_s=0.0, orders=(1,), **{"kind": "linear", **parts})
    assert not (tmp_path / "twin.json").exists()
    return str(caught.value)


def test_a_kind_that_does_not_exist_is_named(tmp_path):
    rows = [(k % 7, k % 5) for k in range(300)]
    assert "kind 'neural'" in refused(tmp_path, ["u", "y"], rows, inputs=["u"], outputs=["y"], kind="neural")


def test_a_curved_machine_gets_units_and_the_file_says_so(tmp_path):
    draw = np.random.default_rng(8)
    x, wanted, rows = 0.0, 0.0, []
    for k in range(360):
        wanted = draw.uniform(-1.5, 1.5) if k % 12 == 0 else wanted
        rows.append((wanted, x + 0.01 * draw.standard_normal()))
        x = 0.85 * x + 0.5 * np.tanh(2.5 * wanted)
    path = write(tmp_path / "curved.csv", ["u", "y"], rows)
    told = []
    report = fit(path, inputs=["u"], outputs=["y"], out=tmp_path / "t.json", settle_s=0.0, orders=(1,), say=told.append)
    made = twin.load((tmp_path / "t.json").read_bytes())
    assert made.plant.params.tanh is not None
    assert "units" in report.model
    assert len(told) == len(report.folds) - 2
    assert "free-run" in (tmp_path / "t.html").read_text()


def test_a_signal_that_never_moves_is_named(tmp_path):
    draw = np.random.default_rng(5)
    rows = [(k % 7, 3.0, draw.normal()) for k in range(400)]
    assert "u2 never moves" in refused(tmp_path, ["u1", "u2", "y"], rows, inputs=["u1", "u2"], outputs=["y"])


def test_inputs_that_say_the_same_are_named(tmp_path):
    draw = np.random.default_rng(6)
    rows = [(a, 2 * a + 1, draw.normal()) for a in draw.normal(size=400)]
    assert "says nothing new" in refused(tmp_path, ["u1", "u2", "y"], rows, inputs=["u1", "u2"], outputs=["y"])


def test_too_few_rows_and_unknown_columns_are_said(tmp_path):
    rows = [(k % 7, k % 5) for k in range(100)]
    assert "expected at least 200" in refused(tmp_path, ["u", "y"], rows, inputs=["u"], outputs=["y"])
    assert "no numeric column z" in refused(tmp_path, ["u", "y"], rows, inputs=["u"], outputs=["z"])
    assert "once" in refused(tmp_path, ["u", "y"], rows, inputs=["u"], outputs=["u"])


def test_a_twin_that_loses_to_persistence_is_refused(tmp_path):
    # The output is a random walk that the input does not touch: its last value is the best guess there is.
    draw = np.random.default_rng(7)
    walk = np.cumsum(draw.standard_normal(800))
    rows = list(zip(draw.standard_normal(800), walk, strict=True))
    assert "loses to" in refused(tmp_path, ["u", "y"], rows, inputs=["u"], outputs=["y"])
