"""What a fit says of itself, and what is kept out of it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from agent.core.conditions import LEARNING, PROVISIONAL
from agent.fit import exclude
from agent.fit.judging import baselines
from agent.fit.recording import FitError, cut, read

HOUR = 3600


@pytest.fixture
def recording(tmp_path):
    rows = [f"{t},{np.sin(t / 50):.5f}" for t in range(2 * HOUR)]
    (tmp_path / "r.csv").write_text("\n".join(["time,tank/level", *rows]) + "\n")
    return read(tmp_path / "r.csv")


def test_hours_modes_and_state_come_from_the_rows_that_were_used(recording):
    used = np.zeros(2 * HOUR, bool)
    used[:HOUR] = True
    present = np.zeros(2 * HOUR, bool)
    present[: HOUR + 1200] = True
    made = baselines.made(recording, used, asset="rig", reason="new", present=present, alerts=1, healthy_rows=HOUR)
    assert (made.hours, made.modes, made.state) == (1.0, {"running": 0.75}, PROVISIONAL)
    assert (made.alerts.count, made.alerts.days) == (1, pytest.approx(1 / 24))
    assert made.coverage is None
    assert baselines.made(recording, used, learning_h=2.0).state == LEARNING
    assert made.problems() == []


def test_the_interval_of_independent_values_is_that_of_wilson():
    inside = (np.random.default_rng(3).random((4000, 1)) < 0.9).astype(float)
    found = baselines.coverage(inside)
    exact = binomtest(int(inside.sum()), 4000).proportion_ci(method="wilson")
    assert found.low == pytest.approx(exact.low, abs=0.01)
    assert found.high == pytest.approx(exact.high, abs=0.01)


def test_an_interval_of_values_that_go_together_is_wider_and_holds_the_truth():
    """Hits of an AR(1) series inside its 90 % band: each interval asked whether it holds 0.9."""
    hit, width = 0, []
    for seed in range(60):
        draw = np.random.default_rng(seed)
        x = np.zeros(6000)
        for t in range(1, len(x)):
            x[t] = 0.95 * x[t - 1] + draw.standard_normal() * np.sqrt(1 - 0.95**2)
        found = baselines.coverage((np.abs(x) <= 1.6449).astype(float)[:, None])
        hit += found.low <= 0.9 <= found.high
        width.append(found.high - found.low)
    assert hit >= 51  # of 60; 95 % would be 57
    assert np.mean(width) > 2 * 2 * 1.96 * np.sqrt(0.09 / 6000)


def test_nothing_seen_all_inside_and_absent_values():
    assert baselines.coverage(np.full((5, 2), np.nan)) is None
    full = baselines.coverage(np.ones((200, 2)))
    assert (full.share, full.met) == (1.0, False)
    part = np.array([[1.0, np.nan], [0.0, 1.0], [np.nan, np.nan]] * 50)
    assert baselines.coverage(part).share == pytest.approx(2 / 3)


def test_named_times_are_cut_out(recording, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("from,to,asset\n100,199,rig\n\n7000,,rig\n")
    found = exclude.without(recording, exclude.read(path))
    pieces = cut(found, ["tank/level"])
    assert [(p.time_s[0], p.time_s[-1]) for p in pieces] == [(0, 99), (200, 6999)]
    assert cut(recording, ["tank/level"])[0].time_s[-1] == 2 * HOUR - 1


def test_stamps_are_read_as_those_of_a_recording(recording, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("asset,to,from\nrig,1970-01-01T00:00:30+00:00,1970-01-01T01:00:10+01:00\n")
    assert exclude.read(path) == (exclude.Period(10.0, 30.0),)
    assert np.isnan(exclude.without(recording, exclude.read(path)).value[10:31]).all()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", ":1: expected columns from and to, got nothing"),
        ("begin,to\n1,2\n", ":1: expected columns from and to, got begin, to"),
        ("from,to\n1,x\n", ":2: 'x', expected seconds"),
        ("from,to\n5,2\n", ":2: from 5 is after to 2"),
        ("from,to\n5\n", ":2: 1 cells"),
    ],
)
def test_a_file_of_times_that_is_none_is_refused_with_its_line(tmp_path, text, why):
    path = tmp_path / "out.csv"
    path.write_text(text)
    with pytest.raises(FitError) as refused:
        exclude.read(path)
    assert why in str(refused.value)


def test_an_empty_recording_of_used_rows_is_learning(recording):
    made = baselines.made(recording, np.zeros(2 * HOUR, bool), present=np.zeros(2 * HOUR, bool))
    assert (made.hours, made.modes, made.state) == (0.0, {"running": 0.0}, LEARNING)
    assert replace(made, asset="x").asset == "x"
