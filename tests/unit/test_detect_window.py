"""One row a period, whatever the cycle; holes and missing inputs."""

import detect_models as models
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import quality
from agent.detect import window

NAN = float("nan")


def advance(held, frame, period_s=1.0, hold_rows=2):
    given = window.given(frame, models.TAGS, {})
    return window.advance(held, given, frame.dt_ns, period_s=period_s, hold_rows=hold_rows)


def filled(size=4, **kw):
    held = window.empty(size, 3)
    for i in range(size):
        held, _ = advance(held, models.frame([i, i, i]), **kw)
    return held


def test_a_row_a_period_oldest_first():
    held = filled()
    assert held.full
    np.testing.assert_array_equal(held.rows[:, 0], [0, 1, 2, 3])


def test_a_faster_cycle_gives_the_mean_of_its_samples():
    held = filled()
    for i in range(10):
        before = held
        held, gained = advance(held, models.frame([i, 0, 0], dt_s=0.1))
        if gained:
            break
        assert held.rows is before.rows
    assert i == 4  # the row is due at the nearest tick: half a period after the last, then each period
    assert held.rows[-1, 0] == pytest.approx(np.mean(range(5)))
    gains = [i]
    for i in range(5, 35):
        held, gained = advance(held, models.frame([i, 0, 0], dt_s=0.1))
        if gained:
            gains.append(i)
    assert gains == [4, 14, 24, 34]
    assert held.rows[-1, 0] == pytest.approx(np.mean(range(25, 35)))


def test_samples_of_one_frame_count_as_many():
    held = window.empty(2, 3)
    held, _ = advance(held, models.frame([0, 0, 0]))
    held, gained = advance(held, models.frame([9, 9, 9], mean=[1, 1, 1], count=3, dt_s=0.4))
    assert gained == 0
    held, gained = advance(held, models.frame([9, 9, 9], mean=[5, 5, 5], count=1, dt_s=0.6))
    assert gained == 1
    assert held.rows[-1, 0] == pytest.approx((3 * 1 + 5) / 4)


def test_a_slower_cycle_repeats_its_row():
    held = filled()
    held, gained = advance(held, models.frame([7, 7, 7], dt_s=2.0))
    assert gained == 2
    np.testing.assert_array_equal(held.rows[:, 0], [2, 3, 7, 7])


def test_jitter_neither_loses_nor_doubles_rows():
    draw = np.random.default_rng(5)
    held, gains = filled(), []
    for dt_s in 1.0 + draw.uniform(-0.2, 0.2, 500).round(3):
        held, gained = advance(held, models.frame([1, 1, 1], dt_s=dt_s))
        gains.append(gained)
    assert abs(sum(gains) - 500) <= 10
    assert max(gains) <= 2


def test_a_missing_tag_is_held_for_a_few_rows_then_all_starts_anew():
    held = filled()
    for rows in (1, 2):
        held, gained = advance(held, models.frame([8, NAN, 8]))
        assert gained == 1
        assert held.held.tolist() == [0, rows, 0]
        assert held.rows[-1].tolist() == [8, 3, 8]
    held, gained = advance(held, models.frame([8, NAN, 8]))
    assert gained == -1
    assert held.filled == 0
    held, gained = advance(held, models.frame([8, NAN, 8]))
    assert gained == -1
    held, gained = advance(held, models.frame([8, 8, 8]))
    assert (gained, held.filled) == (1, 1)
    assert not held.held.any()


def test_bad_is_missing_and_uncertain_is_not():
    held = filled()
    held, _ = advance(held, models.frame([8, 8, 8], status=quality.BAD_SENSOR_FAILURE))
    assert held.held.tolist() == [1, 1, 1]
    held, _ = advance(held, models.frame([8, 8, 8], status=quality.UNCERTAIN))
    assert held.held.tolist() == [0, 0, 0]


def test_a_hole_in_time_starts_anew():
    held, gained = advance(filled(), models.frame([8, 8, 8], dt_s=4.0))
    assert (gained, held.filled) == (1, 1)
    held, gained = advance(filled(), models.frame([8, 8, 8], dt_s=3.0))
    assert (gained, held.filled) == (3, 4)


def test_the_state_before_is_not_touched():
    held = filled()
    rows = held.rows.copy()
    advance(held, models.frame([9, 9, 9], dt_s=2.0))
    np.testing.assert_array_equal(held.rows, rows)


cells = st.one_of(st.just(NAN), st.just(float("inf")), st.floats(-1e300, 1e300))
ticks = st.tuples(st.lists(cells, min_size=3, max_size=3), st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.5, 1e4]))


@settings(max_examples=60, deadline=None)
@given(st.lists(ticks, max_size=20))
def test_nothing_that_comes_raises_or_gets_a_bad_row_in(frames):
    held = window.empty(3, 3)
    for value, dt_s in frames:
        held, gained = advance(held, models.frame(value, dt_s=dt_s))
        assert np.isfinite(held.rows).all()
        assert 0 <= held.filled <= 3
        assert gained >= -1
