"""Whitening, deviation and CUSUM: what they find, what they forgive, and limits for a stated budget."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agent.core.wire import decode, encode
from agent.fit.judging import limits
from agent.twin import jsontree
from agent.twin.departure import cusum, deviation, whitening
from agent.twin.departure.cusum import Cusum
from agent.twin.departure.deviation import Deviation
from agent.twin.departure.whitening import Whitening

WHITE = Whitening(np.array([[0.6, 0.2], [0.0, 0.0]]), np.array([1.0, 2.0]), 3.0)
CHART = Cusum(0.25, np.array([30.0, 30.0]), 30.0)
ROWS = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 40), st.just(2)), elements=st.floats(allow_nan=True, allow_infinity=True)
)


def coloured(rows, seed, *, shift=0.0):
    draw, z = np.random.default_rng(seed), np.zeros((rows, 2))
    for k in range(1, rows):
        z[k] = [0.6, 0.0] * z[k - 1] + draw.standard_normal(2) + shift
    return z


def test_what_the_past_says_is_taken_out():
    past, w = whitening.begin(WHITE), []
    for row in coloured(4000, 1):
        past, now = whitening.fold(Whitening(np.array([[0.6], [0.0]]), np.ones(2), 10.0), past[:, :1], row, 1.0)
        w.append(now)
    w = np.array(w)[1:]
    lag_one = np.mean(w[1:] * w[:-1], axis=0)
    assert np.all(np.abs(lag_one) < 3.0 / np.sqrt(len(w)))


def test_the_soft_clip_is_the_identity_inside_and_never_over_three_clips():
    w = np.array([-1e9, -3.0, 0.5, 3.0, 1e9])
    assert whitening.soft(w, 3.0).tolist() == [-9.0, -3.0, 0.5, 3.0, 9.0]


@given(ROWS, st.floats(0.0, 1.0))
def test_nothing_that_comes_makes_a_chart_lose_its_mind(rows, trust):
    rows = np.where(np.isfinite(rows), rows, np.nan)
    past, ewma, sums = whitening.begin(WHITE), np.zeros(2), cusum.begin(CHART)
    chart = Deviation(0.05, np.ones(2))
    for row in np.clip(rows, -1e12, 1e12):
        past, w = whitening.fold(WHITE, past, row, trust)
        ewma, sums = deviation.fold(chart, ewma, w, trust), cusum.fold(CHART, sums, w, trust)
        assert np.isfinite(ewma).all()
        assert np.all(np.abs(ewma) <= 9.0)
        assert np.all(sums >= 0.0)
        assert np.all(sums <= cusum.CEILING * CHART.limit)


def test_an_absent_residual_leaves_both_charts_still():
    sums, ewma, chart = np.array([[3.0, 1.0], [0.0, 2.0]]), np.array([0.4, -0.2]), Deviation(0.05, np.ones(2))
    w = np.array([np.nan, 1.0])
    assert cusum.fold(CHART, sums, w, 1.0)[:, 0].tolist() == [3.0, 0.0]
    assert deviation.fold(chart, ewma, w, 1.0)[0] == 0.4


def test_a_shift_of_two_slacks_is_found_in_about_limit_over_slack_rows():
    sums = cusum.begin(CHART)
    rows = 0
    while np.any(np.abs(cusum.value(CHART, sums)) < 1.0):
        sums, rows = cusum.fold(CHART, sums, np.array([0.5, -0.5]), 1.0), rows + 1
    assert rows == 120
    assert cusum.value(CHART, sums)[1] < 0.0 < cusum.value(CHART, sums)[0]


def test_a_shift_within_the_slack_never_counts():
    sums = cusum.begin(CHART)
    for _ in range(1000):
        sums = cusum.fold(CHART, sums, np.array([0.25, -0.2]), 1.0)
    assert not sums.any()


def test_after_a_repair_the_sum_is_back_within_two_limits():
    sums = cusum.begin(CHART)
    for _ in range(100_000 // 100):
        sums = cusum.fold(CHART, sums, np.array([9.0, 9.0]), 1.0)
    for _ in range(round(cusum.CEILING * 30.0 / 0.25) + 1):
        sums = cusum.fold(CHART, sums, np.zeros(2), 1.0)
    assert not sums.any()


def test_the_state_goes_over_the_wire_and_the_sections_through_a_file():
    sums = np.array([[3.0, 1.0], [0.0, 2.0]])
    assert np.array_equal(decode(type(CHART), encode(CHART)).limit, CHART.limit)
    assert jsontree.read(Cusum, jsontree.tree(CHART)).slack == CHART.slack
    assert jsontree.read(Whitening, jsontree.tree(WHITE)).a.tolist() == WHITE.a.tolist()
    assert cusum.fold(CHART, sums, np.zeros(2), 0.0).tolist() == sums.tolist()


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (Cusum(0.25, np.array([1.0]), 30.0), "2 limits"),
        (Deviation(0.05, np.array([1.0, 0.0])), "2 limits over 0"),
        (Whitening(np.zeros((1, 2)), np.ones(1), 3.0), "whitening of 2 outputs"),
    ],
)
def test_a_section_says_what_is_wrong_with_it(section, said):
    assert said in section.problems(2)[0]


@pytest.fixture(scope="module")
def learned():
    z = [coloured(2500, seed) for seed in range(4)]
    return limits.learned(z, [np.ones(2500)] * 4, 1.0)


def test_healthy_days_after_the_fit_stay_below_the_limits(learned):
    past, ewma, sums = whitening.begin(learned.whitening), np.zeros(2), cusum.begin(learned.cusum)
    worst = np.zeros((2, 2))
    for row in coloured(20_000, 77):
        past, w = whitening.fold(learned.whitening, past, row, 1.0)
        ewma, sums = deviation.fold(learned.deviation, ewma, w, 1.0), cusum.fold(learned.cusum, sums, w, 1.0)
        now = [deviation.value(learned.deviation, ewma), cusum.value(learned.cusum, sums)]
        worst = np.maximum(worst, np.abs(now))
    assert np.all(worst < 1.0)
    assert np.all(worst > 0.2)


def test_the_rows_of_the_fit_are_within_their_own_limits(learned):
    assert np.all(learned.worst_deviation < 1.0)
    assert np.all(learned.worst_cusum < 1.0)


def test_a_larger_budget_of_false_alarms_makes_narrower_limits():
    z = [coloured(600, 5)]
    often, seldom = (limits.learned(z, [np.ones(600)], 1.0, budget_days=days).cusum.limit[0] for days in (7.0, 90.0))
    assert often < seldom


def test_a_shift_that_lasts_is_found_by_the_cusum(learned):
    past, sums = whitening.begin(learned.whitening), cusum.begin(learned.cusum)
    for row in coloured(600, 8, shift=1.0):
        past, w = whitening.fold(learned.whitening, past, row, 1.0)
        sums = cusum.fold(learned.cusum, sums, w, 1.0)
    assert np.all(cusum.value(learned.cusum, sums) > 1.0)
