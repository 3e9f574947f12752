"""Q and R found again from data whose noise is known."""

from dataclasses import replace

import numpy as np
import pytest
from filter_rig import Linear, linear_kind, plant, tank
from test_filtering import rows

from agent.fit.tuning import likelihood, tuned
from agent.twin.filtering import begin, step


def two_lags():
    F = np.array([[-0.05, 0.0], [0.04, -0.04]])
    params = Linear(F, np.array([[0.05], [0.0]]), np.eye(2), np.zeros((2, 1)), np.diag([1e-4, 1e-4]), np.eye(2))
    return plant(linear_kind, params, 1, 2, 0, np.array([1e-2, 4e-3]))


def recorded(subject, count, seed):
    samples, _ = rows(subject, count, seed)
    return np.array([s.u for s in samples]), np.array([s.y for s in samples])


def test_each_sensor_gets_its_own_noise_back():
    true = two_lags()
    wrong = replace(true, R=true.R * [0.25, 5.0])
    found = tuned(wrong, [recorded(true, 700, 1)])
    assert found.measurement * wrong.R == pytest.approx(true.R, rel=0.35)
    assert 0.3 < found.process < 3.0
    assert found.gain > 0.0


def test_the_process_noise_is_found_and_the_filter_then_knows_its_doubt():
    true = two_lags()
    quiet = replace(true.params, W=true.params.W / 10.0)
    wrong = replace(true, params=quiet)
    found = tuned(wrong, [recorded(true, 700, 2)])
    assert 4.0 < found.process < 25.0
    samples, _ = rows(true, 400, 3)
    now, z = begin(wrong, samples[0]), []
    right = replace(wrong, R=wrong.R * found.measurement)
    for s in samples[1:]:
        now, said = step(right, now, s, reference=found.process)
        z.append(said.nu / said.sd)
    assert np.mean(np.square(z[50:])) == pytest.approx(1.0, abs=0.2)


def test_it_serves_a_nonlinear_plant_with_holes_in_its_rows():
    true = tank()
    u, y = recorded(true, 400, 4)
    y[np.random.default_rng(1).random(y.shape) < 0.3] = np.nan
    wrong = replace(true, R=true.R * 9.0)
    found = tuned(wrong, [(u, y)])
    assert found.measurement[0] * 9.0 == pytest.approx(1.0, rel=0.5)


def test_without_a_value_nothing_is_likelier_than_anything():
    true = two_lags()
    u, y = recorded(true, 20, 5)
    assert likelihood(true, u, np.full_like(y, np.nan), np.ones(2), np.ones((2, 2))).tolist() == [0.0, 0.0]
