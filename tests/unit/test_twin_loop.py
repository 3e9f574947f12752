"""The PLC's loops and interlocks as they are emulated, against sequences computed by hand."""

import numpy as np
import pytest

from agent.twin.trial.loop import Control, Interlock, Loop, armed, begun, scan, watched

# K 2, Ti 4 s, T 1 s: one period of error e adds K T / Ti e = 0.5 e to the integral.
LOOP = Loop("level", "speed", gain=2.0, reset_s=4.0, low=0.0, high=12.0)


def played(loop, u, y0, pairs, period_s=1.0):
    """The inputs that the loop gives from u at output y0, for (output, set point) pairs."""
    memory, out = begun(loop, np.array(u), np.array(y0), np.array(pairs[0][1])), []
    for y, r in pairs:
        given, memory = scan(loop, memory, np.array(y), np.array(r), period_s)
        out.append(float(given))
    return out


def test_the_hand_computed_sequence():
    # It takes over at u 5, y 1, r 1: I = 5 - 2 (1 - 1) = 5. Then r is 2:
    #   v = 2 (2 - 1.0) + 5.0 = 7.0,  I = 5.0 + 0.5 = 5.5
    #   v = 2 (2 - 1.5) + 5.5 = 6.5,  I = 5.5 + 0.25 = 5.75
    #   v = 2 (2 - 2.2) + 5.75 = 5.35, I = 5.75 - 0.1 = 5.65
    #   v = 2 (2 - 2.0) + 5.65 = 5.65
    given = played(LOOP, 5.0, 1.0, [(1.0, 1.0), (1.0, 2.0), (1.5, 2.0), (2.2, 2.0), (2.0, 2.0)])
    assert given == pytest.approx([5.0, 7.0, 6.5, 5.35, 5.65])


def test_the_set_point_is_weighted():
    loop = Loop("level", "speed", gain=2.0, reset_s=4.0, weight=0.5)
    # I = 5 - 2 (0.5 - 1) = 6; r 2: v = 2 (1 - 1) + 6 = 6, I = 6.5; v = 6.5
    assert played(loop, 5.0, 1.0, [(1.0, 1.0), (1.0, 2.0), (1.0, 2.0)]) == pytest.approx([5.0, 6.0, 6.5])


def test_at_its_limit_the_integral_does_not_wind_up():
    # r far above: u stands at 12 for a long time; the moment the error turns, u leaves the limit.
    stuck = [(1.0, 1.0)] + [(1.0, 10.0)] * 50
    given = played(LOOP, 5.0, 1.0, [*stuck, (10.5, 10.0)])
    assert given[1:-1] == [12.0] * 50
    assert given[-1] == pytest.approx(5.0 + 2.0 * -0.5)


def test_a_limited_rate():
    loop = Loop("level", "speed", gain=2.0, reset_s=4.0, rate=0.25)
    assert played(loop, 5.0, 1.0, [(1.0, 1.0), (1.0, 3.0), (1.0, 3.0)], 2.0) == pytest.approx([5.0, 5.5, 6.0])


def test_a_loop_that_acts_the_other_way_leaves_its_limit_too():
    loop = Loop("level", "valve", gain=-2.0, reset_s=4.0, low=0.0, high=12.0)
    given = played(loop, 5.0, 1.0, [(1.0, 1.0)] + [(1.0, 10.0)] * 20 + [(10.5, 10.0)])
    assert given[5] == 0.0
    assert given[-1] == pytest.approx(6.0)


def test_an_interlock_waits_and_latches():
    lock = Interlock("level", "high", 0.5, "speed", hold_s=2.0)
    latch, held = armed((1,)), []
    for value in (0.6, 0.4, 0.6, 0.6, 0.4):
        latch = watched(lock, latch, np.array([value]), 1.0)
        held.append(bool(latch.holds[0]))
    assert held == [False, False, False, True, True]


def test_an_interlock_that_does_not_latch_lets_go():
    lock = Interlock("level", "low", 0.5, "speed", latched=False)
    latch, held = armed((1,)), []
    for value in (0.4, 0.6):
        latch = watched(lock, latch, np.array([value]), 1.0)
        held.append(bool(latch.holds[0]))
    assert held == [True, False]


def test_what_does_not_fit_the_twin_is_named():
    wrong = Control(
        (Loop("flow", "speed", 1.0, 0.0), Loop("level", "speed", 1.0, 1.0, low=2.0, high=1.0)),
        (Interlock("none", "above", 1.0, "valve"),),
    ).problems(["speed"], ["level"], ["flow"])
    told = "; ".join(wrong)
    for part in ("one loop only on speed", "place of valve", "place of flow", "place of none", "reset_s", "low below"):
        assert part in told
    assert "side high or low" in told
