"""The linear twin's cycle: availability, time, start, wild values, faults; exact repetition and wire."""

from dataclasses import replace

import numpy as np
import pytest
from twin_rig import frame, params, plant

from agent.core import quality, wire
from agent.core.nouns import Role
from agent.twin import linear

NAN = float("nan")
GOOD, BAD, UNCERTAIN = quality.GOOD, quality.BAD_COMMUNICATION_ERROR, quality.UNCERTAIN
EXPECTED, RESIDUAL, SPREAD, DEVIATION = 0, 1, 2, 3


def run(twin, frames, state=None):
    state = linear.init(twin) if state is None else state
    values = []
    for f in frames:
        state, v = linear.step(twin, state, f, {})
        values.append(v)
    return state, values


def column(values, at):
    return np.array([v.value[at] for v in values])


def test_points_say_what_belongs_to_what():
    points = linear.points(params())
    parts = ("expected", "residual", "spread", "deviation")
    measured = [f"{tag}.{part}" for tag in ("upper/level", "lower/level") for part in parts]
    assert [p.id for p in points] == [*measured, "upper/flow", "upper/flow.spread"]
    assert points[0].role is Role.EXPECTED
    assert points[0].of == "upper/level"
    assert points[0].unit == "m"
    assert points[3].role is Role.DEVIATION
    assert points[3].unit == ""
    assert points[8].role is Role.VIRTUAL
    assert points[8].unit == "m3/h"


def test_values_stand_in_the_order_of_the_points():
    _, values = run(params(), [frame(*row) for row in plant(30, 1)])
    assert len(values[-1].value) == len(values[-1].status) == len(linear.points(params()))


def test_a_start_far_from_the_mean_begins_at_the_measurements():
    _, values = run(params(), [frame(50.0, 0.42, 0.10)])
    assert values[0].value[EXPECTED] == pytest.approx(0.42, abs=0.002)
    assert values[0].value[4 + EXPECTED] == pytest.approx(0.10, abs=0.002)


def test_nothing_can_be_said_before_the_inputs_are_there():
    state, values = run(params(), [frame(NAN, 0.3, 0.2)] * 3)
    assert (values[-1].status == quality.BAD_DATA_UNAVAILABLE).all()
    assert np.isnan(values[-1].value).all()
    assert state.started == 0


def test_an_unmeasured_output_is_still_expected_but_has_no_residual():
    rows = plant(40, 2)
    frames = [frame(*row) for row in rows[:-1]] + [frame(*rows[-1], status=[GOOD, BAD, GOOD])]
    _, values = run(params(), frames)
    last = values[-1]
    assert last.status[EXPECTED] == GOOD
    assert np.isfinite(last.value[EXPECTED])
    assert last.status[RESIDUAL] == last.status[DEVIATION] == quality.BAD_DATA_UNAVAILABLE
    assert np.isnan(last.value[RESIDUAL])
    assert last.status[4 + RESIDUAL] == GOOD


def test_absent_inputs_are_held_for_a_while_and_then_the_twin_starts_anew():
    rows = plant(60, 3)
    frames = [frame(*row) for row in rows[:40]]
    frames += [frame(NAN, *row[1:], status=[BAD, GOOD, GOOD]) for row in rows[40:45]]
    frames += [frame(*row) for row in rows[45:]]
    _, values = run(params(hold_periods=3), frames)
    assert all(np.isfinite(v.value[EXPECTED]) for v in values[40:43])
    assert all((v.status == quality.BAD_DATA_UNAVAILABLE).all() for v in values[43:45])
    assert np.isfinite(values[45].value[EXPECTED])


def test_an_uncertain_measurement_pulls_less_and_marks_its_residual():
    start, _ = run(params(), [frame(*row) for row in plant(40, 4)])
    high = (50.0, 0.3 + 0.05 * start.filters.tracking[0] + 0.002, 0.2)
    good, _ = run(params(), [frame(*high)], start)
    doubtful, values = run(params(), [frame(*high, status=[GOOD, UNCERTAIN, GOOD])], start)
    without, _ = run(params(), [frame(*high, status=[GOOD, BAD, GOOD])], start)
    alone = without.filters.tracking[0]
    assert 0 < abs(doubtful.filters.tracking[0] - alone) < 0.2 * abs(good.filters.tracking[0] - alone)
    assert values[0].status[RESIDUAL] == quality.UNCERTAIN


def test_one_wild_sample_is_refused_but_a_lasting_change_is_followed():
    twin = params()
    start, _ = run(twin, [frame(50.0, 0.3, 0.2)] * 60)
    once, _ = run(twin, [frame(50.0, 0.6, 0.2)], start)
    assert abs(once.filters.tracking[0]) < 0.05
    lasting, _ = run(twin, [frame(50.0, 0.6, 0.2)] * 12, start)
    assert lasting.filters.tracking[0] == pytest.approx(6.0, abs=0.6)  # (0.6 - 0.3) / 0.05


def test_half_periods_give_the_same_as_whole_ones():
    rows = plant(50, 5)
    whole, _ = run(params(), [frame(*row) for row in rows])
    halves = [frame(*rows[0])]
    for row in rows[1:]:
        halves += [frame(NAN, NAN, NAN, dt_s=0.4), frame(*row, dt_s=0.6)]
    split, _ = run(params(hold_periods=3), halves)
    np.testing.assert_array_equal(whole.filters.reference, split.filters.reference)
    np.testing.assert_array_equal(whole.filters.tracking, split.filters.tracking)


def test_a_gap_is_as_many_predictions_as_periods_went_by():
    twin = params()
    rows = plant(20, 6)
    start, _ = run(twin, [frame(*row) for row in rows])
    held = rows[-1][0]
    gap, _ = run(twin, [frame(held, NAN, NAN, dt_s=7.2)], start)
    steps, _ = run(twin, [frame(held, NAN, NAN)] * 7, start)
    np.testing.assert_allclose(gap.filters.reference, steps.filters.reference, rtol=0, atol=1e-12)
    assert gap.carry_ns == 200_000_000


@pytest.mark.parametrize("products", [False, True])
def test_covariances_stay_positive_definite_under_random_availability(products):
    twin, draw = params(products=products), np.random.default_rng(7)
    state = linear.init(twin)
    for u, upper, lower in plant(1200, 7):
        status = draw.choice([GOOD, GOOD, UNCERTAIN, BAD], 3)
        values = np.where(draw.random(3) < 0.1, [NAN, np.inf, 1e300], [u, upper, lower])
        dt_s = float(draw.choice([0.3, 1.0, 1.0, 4.7]))
        state, given = linear.step(twin, state, frame(*values, status=status, dt_s=dt_s), {})
        for P in (state.filters.Pz, state.filters.Px):
            assert np.linalg.eigvalsh(P)[0] > 0
            assert np.array_equal(P, P.T)
        assert np.isfinite(state.filters.reference).all()
        assert np.isfinite(state.filters.tracking).all()
        assert (np.isfinite(given.value) == ~quality.bad_mask(given.status)).all()


def test_the_same_frames_give_the_same_bits_and_state_survives_the_wire():
    twin = params(products=True, settle_s=5.0)
    frames = [frame(*row) for row in plant(80, 8)]
    frames[20] = frame(NAN, NAN, NAN)
    state, first = run(twin, frames[:40])
    back = wire.decode(linear.State, wire.encode(state))
    assert wire.encode(back) == wire.encode(state)
    _, here = run(twin, frames[40:], state)
    _, there = run(twin, frames[40:], back)
    _, again = run(twin, frames)
    for a, b in zip(first + here, again, strict=True):
        assert a.value.tobytes() == b.value.tobytes()
        assert a.status.tobytes() == b.status.tobytes()
    assert [v.value.tobytes() for v in here] == [v.value.tobytes() for v in there]


def test_step_does_not_touch_what_it_is_given():
    twin = params()
    state, _ = run(twin, [frame(*row) for row in plant(10, 9)])
    before = wire.encode(state)
    given = frame(50.0, 0.31, 0.21)
    linear.step(twin, state, given, {})
    assert wire.encode(state) == before
    assert given.value.tolist() == [50.0, 0.31, 0.21]


def test_a_leak_stays_in_the_residual_and_only_its_own_output_deviates():
    rows = plant(500, 10, leak_at=200, leak=0.03)
    _, values = run(params(), [frame(*row) for row in rows])
    upper, lower = column(values, DEVIATION), column(values, 4 + DEVIATION)
    assert np.abs(upper).max() < 1.0
    assert np.abs(lower[:200]).max() < 1.0
    found = np.flatnonzero(lower[200:] <= -1.0)
    assert len(found) > 0
    assert found[0] < 25
    assert (lower[260:] < -1.0).all()  # not followed by the filter


def test_deviation_falls_back_after_a_repair():
    sick = plant(300, 11, leak_at=100, leak=0.03)
    state, _ = run(params(), [frame(*row) for row in sick])
    healthy = plant(200, 12)
    _, values = run(params(), [frame(*row) for row in healthy], state)
    assert np.abs(column(values, 4 + DEVIATION)[120:]).max() < 1.0


def test_while_it_settles_there_is_no_deviation():
    _, values = run(params(settle_s=10.0), [frame(*row) for row in plant(30, 13)])
    assert [v.status[DEVIATION] for v in values[:10]] == [quality.BAD_WAITING_FOR_INITIAL_DATA] * 10
    assert values[10].status[DEVIATION] == GOOD


def test_outside_the_recording_the_twin_is_uncertain_and_counts_nothing():
    twin = params()
    start, _ = run(twin, [frame(50.0, 0.3, 0.2)] * 60)
    state, values = run(twin, [frame(120.0, 0.3, 0.2)] * 30, start)
    assert values[-1].status[EXPECTED] == quality.UNCERTAIN_SUB_NORMAL
    assert state.trust == 0.0
    np.testing.assert_array_equal(state.ewma, start.ewma)


def test_the_virtual_output_follows_the_machine_not_the_model():
    twin = params()
    twin = replace(twin, noise=replace(twin.noise, Q=1e-2 * np.eye(2)))
    _, values = run(twin, [frame(50.0, 0.4, 0.2)] * 80)
    # x = (0.4 - 0.3) / 0.05 = 2, flow = 1 + 0.2 * 0.8 * 2: a model that trusts its inputs says 1.0
    assert values[-1].value[8] == pytest.approx(1.32, abs=0.05)
