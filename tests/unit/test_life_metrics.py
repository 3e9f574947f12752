"""Metrics of remaining life against numeric integration and worked examples."""

import math
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from agent.fit import metrics

AT = np.geomspace(0.1, 100.0, 400)
NORMAL = norm(40.0, 8.0)
F = NORMAL.cdf(AT)


@pytest.mark.parametrize("truth", [25.0, 40.0, 71.0])
def test_crps_of_a_table_is_the_integral_and_the_closed_form_of_a_normal(truth):
    z = (truth - 40.0) / 8.0
    closed = 8.0 * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / math.sqrt(math.pi))
    assert metrics.crps(AT, F, truth) == pytest.approx(closed, rel=2e-3)
    numeric = quad(lambda t: (NORMAL.cdf(t) - (t >= truth)) ** 2, 0.0, 100.0, points=[truth])[0]
    assert metrics.crps(AT, F, truth) == pytest.approx(numeric, rel=2e-3)


@pytest.mark.parametrize("truth", [25.0, 48.0, 71.0])
def test_crps_with_a_horizon_that_censors(truth):
    at = np.geomspace(0.1, 50.0, 400)
    numeric = quad(lambda t: (NORMAL.cdf(t) - (t >= truth)) ** 2, 0.0, 50.0, points=[min(truth, 50.0)])[0]
    assert metrics.crps(at, NORMAL.cdf(at), truth) == pytest.approx(numeric, rel=2e-3)
    part = quad(lambda t: NORMAL.cdf(t) ** 2, 0.0, min(truth, 50.0))[0]
    assert metrics.crps(at, NORMAL.cdf(at), truth, ended=False) == pytest.approx(part, rel=2e-3)


@given(st.lists(st.floats(0.0, 50.0) | st.just(inf), min_size=1, max_size=12), st.floats(0.0, 60.0))
def test_crps_of_particles_is_the_integral_over_their_steps(lifetimes, truth):
    x = np.array(lifetimes)
    edges = np.unique(np.concatenate([[0.0, 40.0, min(truth, 40.0)], x[x < 40.0]]))
    middle = 0.5 * (edges[1:] + edges[:-1])
    value = [(np.mean(x <= t) - (t >= truth)) ** 2 for t in middle]
    assert metrics.crps_of(x, truth, 40.0) == pytest.approx(float(np.diff(edges) @ value), abs=1e-9)


def test_a_sure_forecast_scores_its_error():
    assert metrics.crps_of(np.full(9, 7.0), 10.0, 100.0) == pytest.approx(3.0)
    assert metrics.crps(np.array([1.0, 2.0]), np.ones(2), 1.5) == pytest.approx(1.5)


def test_coverage_counts_lives_and_an_open_end_holds_all():
    found = metrics.coverage(np.array([1.0, 5.0, 2.0]), np.array([4.0, 9.0, inf]), np.array([4.0, 3.0, 1e9]))
    assert (found.hits, found.count, found.share) == (2, 3, pytest.approx(2 / 3))
    many = metrics.coverage(np.zeros(200), np.r_[np.full(180, 2.0), np.full(20, 0.5)], np.ones(200))
    # Wilson 1927 for 180 of 200.
    assert (many.low, many.high) == (pytest.approx(0.8506, abs=1e-4), pytest.approx(0.9344, abs=1e-4))
    assert many.allows(0.9)
    assert not many.allows(0.95)
    assert math.isnan(metrics.coverage(np.zeros(0), np.zeros(0), np.zeros(0)).share)


def test_alpha_lambda_asks_for_half_of_the_probability():
    assert metrics.alpha_lambda(AT, F, 40.0)  # 32 to 48: 68 %
    assert not metrics.alpha_lambda(AT, F, 30.0)  # 24 to 36: 29 %
    assert metrics.within(AT, F, 32.0, 48.0) == pytest.approx(0.683, abs=0.002)
    assert metrics.within(AT, F, 32.0, 1e9) == pytest.approx(0.841, abs=0.002)
    assert metrics.within(AT, F, 200.0, 300.0) == 0.0
    assert math.isnan(metrics.before(AT, F, 101.0))


def test_the_prognostic_horizon_begins_where_predictions_stay_within():
    asked = np.array([0.0, 20.0, 40.0, 60.0])
    means = (90.0, 40.0, 58.0, 41.0)  # of a life of 100 s: true 100, 80, 60, 40
    rows = np.stack([norm(mean, 4.0).cdf(AT) for mean in means])
    assert metrics.prognostic_horizon(asked, AT, rows, 100.0) == 60.0
    rows[3] = nan
    assert metrics.prognostic_horizon(asked, AT, rows, 100.0) == 0.0
    rows = np.stack([norm(100.0 - t, 4.0).cdf(np.append(AT, 120.0)) for t in asked])
    assert metrics.prognostic_horizon(asked, np.append(AT, 120.0), rows, 100.0) == 100.0


def test_relative_accuracy_and_the_score_that_hates_lateness():
    accuracy = metrics.relative_accuracy(np.array([8.0, 12.0, inf, nan]), np.full(4, 10.0))
    assert accuracy[:2] == pytest.approx([0.8, 0.8])
    assert np.isnan(accuracy[2:]).all()
    early, late = (metrics.score(np.array([x]), np.array([100.0]), 13.0, 10.0) for x in (90.0, 110.0))
    assert (early, late) == (pytest.approx(math.exp(10 / 13) - 1), pytest.approx(math.exp(1.0) - 1))


def test_split_conformal_widening_holds_on_new_lives_in_each_band():
    rng, edges = np.random.default_rng(4), np.array([0.5])

    def lives(count):
        damage, truth = rng.uniform(0, 1, count), rng.lognormal(3.0, 0.5, count)
        middle = truth * rng.lognormal(0.1, np.where(damage < 0.5, 0.4, 0.1))
        return damage, middle * 0.8, middle * 1.25, truth

    damage, low, high, truth = lives(800)
    found = metrics.widening(damage, low, high, truth, edges)
    assert found.asked == 800
    damage, low, high, truth = lives(8000)
    k = np.digitize(damage, edges)
    low, high = low * np.exp(-found.lower[k]), high * np.exp(found.upper[k])
    for band in (0, 1):
        assert metrics.coverage(low[k == band], high[k == band], truth[k == band]).share == pytest.approx(0.9, abs=0.03)
    assert found.upper[1] < 0 < found.upper[0]  # narrower where the intervals were too wide
    with pytest.raises(ValueError, match="3 lives in a band of damage, expected at least 19"):
        metrics.widening(np.full(3, 0.2), *np.ones((3, 3)), edges)
