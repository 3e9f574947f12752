"""Load scenarios learned from a recording."""

import numpy as np
import pytest

from agent.fit.loads import scenarios

DAY = np.repeat([1.0, 3.0], 30)[:, None]
NIGHT = np.full((60, 1), 0.5)


def test_days_and_nights_are_told_apart_and_weighted():
    rng = np.random.default_rng(1)
    parts = [DAY, NIGHT, DAY, DAY]
    u = np.concatenate([part + 0.02 * rng.standard_normal(part.shape) for part in parts])
    day, night = scenarios([u], 1.0, 60.0, 10.0, most=2)
    assert (day.weight, night.weight, day.step_s) == (0.75, 0.25, 10.0)
    assert day.u.ravel() == pytest.approx(np.repeat([1.0, 3.0], 3), abs=0.05)
    assert night.u.ravel() == pytest.approx(np.full(6, 0.5), abs=0.05)


def test_a_steady_recording_is_one_scenario_and_a_short_one_none():
    (only,) = scenarios([np.tile(NIGHT, (5, 1))], 1.0, 60.0, 10.0)
    assert (only.weight, only.u.shape) == (1.0, (6, 1))
    assert scenarios([DAY[:50]], 1.0, 60.0, 10.0) == ()


def test_no_window_crosses_a_cut_or_an_absent_value():
    hole = DAY.copy()
    hole[5] = np.nan
    found = scenarios([NIGHT, hole, NIGHT[:59]], 1.0, 60.0, 10.0)
    assert [s.weight for s in found] == [1.0]
    assert found[0].u.ravel() == pytest.approx(np.full(6, 0.5))


def test_the_same_recording_gives_the_same_scenarios():
    u = np.random.default_rng(3).uniform(0, 2, (900, 2))
    first, second = (scenarios([u], 2.0, 120.0, 20.0) for _ in range(2))
    assert [s.weight for s in first] == [s.weight for s in second]
    assert all(np.array_equal(a.u, b.u) for a, b in zip(first, second, strict=True))
    assert sum(s.weight for s in first) == pytest.approx(1.0)
