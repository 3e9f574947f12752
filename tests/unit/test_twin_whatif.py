"""What-if against closed forms: moments of a linear system, first passage, common random numbers, the loop."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whatif_rig import LOWER, POWER, SPEED, UPPER, A, B, belief, domain, plant

from agent.twin.trial import plc, tally, whatif
from agent.twin.trial.loop import Control, Interlock, Loop
from agent.twin.trial.whatif import Change, Constraint, Cost, Question, Start

NOW = np.array([60.0])
LOOP = Loop(LOWER, SPEED, gain=60.0, reset_s=40.0, setpoint="control/setpoint", low=40.0, high=85.0)


def ask(question, *, machine=None, control=Control(), start=None, where=None):  # noqa: B008
    return whatif.run(machine or plant(), start or Start(belief(), NOW, {}), question, where or domain(), control)


def normal(z):
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def test_mean_and_band_are_those_of_the_linear_system():
    outcome = ask(Question((Change(SPEED, 70.0, 20.0),), 120.0, particles=4000))
    mean, P, expected = np.zeros(2), 0.01 * np.eye(2), []
    for k in range(121):
        expected.append((mean, P))
        mean = A @ mean + B[:, 0] * (1.0 if k >= 20 else 0.0)
        P = A @ P @ A.T + 1e-3 * np.eye(2)
    middle = np.array([m for m, _ in expected]) * 0.1 + np.array([0.3, 0.2])
    sd = np.array([np.sqrt(np.diag(P)) for _, P in expected]) * 0.1
    error = 4.0 / math.sqrt(4000)  # of a quantile's own spread, in standard deviations of the population
    levels = outcome.band[1, :, 1:3]
    assert outcome.time_s.tolist() == list(range(121))
    np.testing.assert_array_less(np.abs(levels[..., 1] - middle) / sd, 1.25 * error)
    for side, z in ((0, -1.6449), (2, 1.6449)):
        np.testing.assert_array_less(np.abs(levels[..., side] - (middle + z * sd)) / sd, 2.2 * error)


def test_of_a_linear_system_the_difference_is_the_change_alone():
    outcome = ask(Question((Change(SPEED, 70.0),), 60.0, particles=50))
    x, shift = np.zeros(2), []
    for _ in range(61):
        shift.append(x)
        x = A @ x + B[:, 0]
    for side in range(3):
        np.testing.assert_allclose(outcome.difference[:, 1:3, side], 0.1 * np.array(shift), atol=1e-12)


def test_common_random_numbers_reduce_the_spread():
    question = Question((Change("control/setpoint", 0.25, 10.0),), 300.0, costs=(Cost("energy", POWER),))
    control = Control((LOOP,))
    start = Start(belief(), NOW, {"control/setpoint": 0.2})
    one = ask(question, control=control, start=start)
    other = ask(replace(question, seed=2), control=control, start=start)
    paired = one.cost[0, 2, 2] - one.cost[0, 2, 0]
    # Two arms of other draws: the variance of the difference is the sum of both.
    apart = math.hypot(one.cost[0, 0, 2] - one.cost[0, 0, 0], other.cost[0, 1, 2] - other.cost[0, 1, 0])
    assert paired < 0.2 * apart
    assert one.cost[0, 2, 1] == pytest.approx(other.cost[0, 2, 1], rel=0.05)


def test_the_same_seed_gives_the_same_bits():
    question = Question((Change(SPEED, 70.0),), 30.0, particles=20)
    assert ask(question).band.tobytes() == ask(question).band.tobytes()
    assert ask(question).band.tobytes() != ask(replace(question, seed=2)).band.tobytes()


def test_the_probability_of_a_violation_of_a_known_gaussian():
    # No noise on the way: the level only moves with the input, the doubt is that of the start. x stands still.
    machine = plant(Q=0.0, A=0.999999 * np.eye(2))
    # upper = 0.3 + 0.1 x, x ~ N(0, 0.1^2) + 0.05 a second: after 4 s 0.32 +- 0.01
    question = Question((Change(SPEED, 70.0),), 4.0, (Constraint(UPPER, "high", 0.33),), particles=20000)
    (verdict,) = ask(question, machine=machine).violations
    assert verdict[0].probability == pytest.approx(1.0 - normal(3.0), abs=0.001)
    assert verdict[1].probability == pytest.approx(1.0 - normal(1.0), abs=4 * math.sqrt(0.159 * 0.841 / 20000))
    assert verdict[1].low < 1.0 - normal(1.0) < verdict[1].high
    assert verdict[1].worst == pytest.approx(0.33 - (0.32 + 1.6449 * 0.01), abs=0.0005)
    assert 0.0 <= verdict[1].earliest_s <= verdict[1].first_s <= 4.0


def test_first_passage_of_a_random_walk():
    """P(max > b) = 2 P(W_T > b) (reflection principle), the barrier moved by 0.5826 sd for steps (Siegmund 1979)."""
    machine = plant(Q=1e-4, A=(1.0 - 1e-9) * np.eye(2))
    start = Start(belief(1e-9), NOW, {})
    question = Question((), 400.0, (Constraint(LOWER, "low", 0.18),), particles=5000)
    ((same, other),) = ask(question, machine=machine, start=start).violations
    expected = 2.0 * normal(-(0.2 + 0.5826 * 0.01) / (0.01 * 20.0))
    assert same.probability == pytest.approx(expected, abs=4.0 * math.sqrt(expected * (1 - expected) / 5000))
    assert same == other  # nothing changed


def test_a_violation_shorter_than_its_delay_is_let_go():
    question = Question((Change(SPEED, 90.0), Change(SPEED, 60.0, 8.0)), 100.0)
    limit = Constraint(UPPER, "high", 0.35)
    machine, start = plant(Q=0.0), Start(belief(1e-9), NOW, {})

    def candidate(hold_s):
        ((_, verdict),) = ask(
            replace(question, constraints=(replace(limit, hold_s=hold_s),)), machine=machine, start=start
        ).violations
        return verdict

    assert candidate(0.0).probability == 1.0
    beyond_s = candidate(0.0).share * 100.0
    assert 2.0 < beyond_s < 60.0
    assert candidate(beyond_s + 1.0).probability == 0.0
    # It began one period before its first second was over.
    assert candidate(2.0).first_s == candidate(0.0).first_s + 1.0


def test_a_cost_is_the_integral_over_hours():
    question = Question(
        (Change(SPEED, 80.0),), 7200.0, costs=(Cost("energy", POWER), Cost("speed", SPEED)), particles=2
    )
    outcome = ask(replace(question, horizon_s=1800.0), machine=plant(Q=0.0), start=Start(belief(1e-9), NOW, {}))
    assert outcome.cost[1, :, 1] == pytest.approx([30.0, 40.0, 10.0])
    # 100 W for half an hour; then power = 100 + 20 (0.5 x + 0.5 u), u 2, x settles at 2 within a minute: 140 W
    assert outcome.cost[0, 0, 1] == pytest.approx(50.0)
    assert outcome.cost[0, 1, 1] == pytest.approx(70.0, abs=0.5)


def test_the_loop_holds_its_set_point_and_an_input_set_by_hand_stops_it():
    control, start = Control((LOOP,)), Start(belief(0.01), NOW, {"control/setpoint": 0.2})
    machine = plant(Q=1e-7)
    moved = ask(
        Question((Change("control/setpoint", 0.25, 60.0),), 1500.0), machine=machine, control=control, start=start
    )
    assert moved.band[0, -1, 2, 1] == pytest.approx(0.2, abs=0.002)
    assert moved.band[1, -1, 2, 1] == pytest.approx(0.25, abs=0.002)
    manual = ask(Question((Change(SPEED, 66.0, 60.0),), 600.0), machine=machine, control=control, start=start)
    assert set(manual.band[1, 61:, 0, :].ravel()) == {66.0}
    assert np.ptp(manual.band[0, 61:, 0, :]) > 0.0


def test_an_interlock_stops_the_pump():
    control = Control((), (Interlock(UPPER, "high", 0.45, SPEED, 0.0),))
    outcome = ask(Question((Change(SPEED, 85.0),), 200.0, particles=50), control=control)
    assert outcome.interlocked == (0.0, 1.0)
    assert outcome.band[1, -1, 0, 1] == 0.0


def test_where_it_extrapolates_and_which_signal_leads_there():
    inside = ask(Question((Change(SPEED, 65.0),), 300.0), start=Start(belief(0.01), NOW, {}))
    assert inside.extrapolation[1].share < 0.01
    outside = ask(Question((Change(SPEED, 99.0, 150.0),), 300.0), start=Start(belief(0.01), NOW, {}))
    base, candidate = outside.extrapolation
    assert base.tag == ""
    assert candidate.share == pytest.approx(0.5, abs=0.01)
    assert candidate.worst > 1.2
    assert candidate.tag in (SPEED, UPPER)


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (Question((Change("pump/power", 1.0),), 10.0), "nothing moves pump/power"),
        (Question((Change(SPEED, math.nan),), 10.0), "expected a finite number"),
        (Question((Change(SPEED, 1.0, 10.0),), 10.0), "before the horizon"),
        (Question((), 10.0, (Constraint("x/y", "high", 1.0),)), "the twin has no x/y"),
        (Question((), 10.0, costs=(Cost("e", "x/z"),)), "the twin has no x/z"),
        (Question((), 0.0), "horizon over 0"),
    ],
)
def test_what_cannot_be_asked_is_named(question, told):
    with pytest.raises(ValueError, match=told):
        ask(question)


def test_an_absent_present_value_is_named():
    with pytest.raises(ValueError, match="no present value of pump/speed"):
        ask(Question((), 10.0), start=Start(belief(), np.array([np.nan]), {}))


def test_steps_and_ramps():
    t_s = np.arange(8.0)
    steps = plc.trajectory(1.0, [Change("u", 5.0, 4.0), Change("u", 2.0, 2.0)], t_s)
    assert steps.tolist() == [1, 1, 2, 2, 5, 5, 5, 5]
    ramp = plc.trajectory(1.0, [Change("u", 3.0, 2.0, 6.0), Change("u", 0.0, 4.0)], t_s)
    assert ramp.tolist() == [1, 1, 1, 1.5, 0, 0, 0, 0]


@given(st.integers(0, 60), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_the_interval_of_a_share_holds_it(hits, more):
    low, high = tally.wilson(hits, hits + more)
    assert 0.0 <= low <= hits / (hits + more) <= high <= 1.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40))
@settings(max_examples=60, deadline=None)
def test_the_quantiles_are_those_of_numpy(values):
    np.testing.assert_allclose(
        tally.spread_of(np.array(values), 0), np.quantile(values, tally.QUANTILES), rtol=1e-12, atol=1e-9
    )
