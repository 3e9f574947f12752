"""The twin's cycle: what it expects, follows, remembers over stops, and what it is told."""

import math
from dataclasses import replace

import cycle_world as world
import numpy as np
import pytest

from agent import twin as model
from agent.core import quality, wire
from agent.core.nouns import Command
from agent.twin.departure import trust
from agent.twin.lifetime.life import Forecast, Life, Lives, encode

LEVEL = "y/0"


@pytest.fixture(scope="module")
def tank():
    return world.twin()


def at(made, name):
    return [p.id for p in model.points(made)].index(name)


def series(made, given, name):
    return np.array([v.value[at(made, name)] for v in given])


def command(do, **args):
    return Command("1", do, "rig/twin", "anna", args)


def test_a_healthy_machine_is_as_expected_and_its_bands_hold(tank):
    u, y = world.truth(1500, 7)
    _, given = world.played(model, tank, u, y)
    assert np.abs(series(tank, given, f"{LEVEL}.deviation")[30:]).max() < 1.0
    assert np.abs(series(tank, given, f"{LEVEL}.cusum")[30:]).max() < 1.0
    assert 0.85 < series(tank, given, f"{LEVEL}.coverage")[-1] <= 1.0
    assert 0.0 < series(tank, given, f"{LEVEL}.skill")[-1] < 0.8
    assert quality.good_mask(given[-1].status[: at(tank, "twin/remoteness")]).all()


def test_wear_departs_from_the_reference_and_is_followed_by_the_health(tank):
    wear = np.where(np.arange(2500) < 600, 0.0, 0.25)
    u, y = world.truth(2500, 8, wear)
    _, given = world.played(model, tank, u, y)
    worn, spread = (series(tank, given, f"twin/tank.wear{end}") for end in ("", ".spread"))
    assert np.abs(series(tank, given, "y/1.deviation")[30:600]).max() < 1.0
    assert np.abs(series(tank, given, "y/1.deviation")[600:700]).max() > 1.0
    assert worn[-1] == pytest.approx(0.5 * math.exp(0.25), abs=4 * spread[-1])
    # The reference says what a healthy machine would do: its residual stays, the tracking filter's would not.
    assert abs(np.mean(series(tank, given, f"{LEVEL}.residual")[-300:])) > 5 * world.SD[0]


def test_it_says_nothing_that_counts_while_it_settles(tank):
    u, y = world.truth(40, 3)
    _, given = world.played(model, tank, u, y)
    row = at(tank, f"{LEVEL}.deviation")
    assert [v.status[row] for v in given[:19]] == [quality.BAD_WAITING_FOR_INITIAL_DATA] * 19
    assert given[5].status[at(tank, f"{LEVEL}.expected")] == quality.UNCERTAIN_INITIAL_VALUE
    assert given[25].status[row] == quality.GOOD


def test_an_absent_input_is_held_for_a_while_then_nothing_is_said_and_what_was_learned_stays(tank):
    u, y = world.truth(900, 4, np.full(900, 0.2))
    state, _ = world.played(model, tank, u, y)
    health = state.health
    gone = np.full((8, 1), np.nan)
    state, given = world.played(model, tank, gone, y[:8], state, 900)
    status = [v.status[0] for v in given]
    assert not any(quality.is_bad(s) for s in status[:5])
    assert all(quality.is_bad(s) for s in status[5:])
    assert state.health.x == pytest.approx(health.x, abs=0.05)
    assert state.health.x[0] == pytest.approx(0.2, abs=0.05)
    _, given = world.played(model, tank, u[:60], y[:60], state, 908)
    assert given[-1].value[at(tank, "twin/tank.wear")] == pytest.approx(0.5 * math.exp(0.2), rel=0.05)


def test_a_stop_keeps_health_and_accuracy(tank):
    u, y = world.truth(900, 4, np.full(900, 0.2))
    state, _ = world.played(model, tank, u, y)
    again = model.resume(tank, state)
    assert again.started == 0
    assert again.health.x == pytest.approx(state.health.x)
    assert again.accuracy.runs == pytest.approx(state.accuracy.runs)


def test_a_late_sample_is_taken_in_at_its_own_time(tank):
    u, y = world.truth(120, 5)
    missing = y.copy()
    missing[100, 0] = np.nan
    of = world.names(tank)
    in_order, _ = world.played(model, tank, u[:103], y[:103])
    state, _ = world.played(model, tank, u[:102], missing[:102])
    late = ((1, y[100, 0], 101 * world.SECOND),)
    frame = world.frame(of, np.concatenate([u[102], y[102]]), 102, late=late)
    after, _ = model.step(tank, state, frame, {})
    assert after.tracking.belief.x == pytest.approx(in_order.tracking.belief.x, abs=1e-12)
    assert pytest.approx(in_order.tracking.belief.P, abs=1e-12) == after.tracking.belief.P


def test_a_checkpoint_goes_on_to_the_bit(tank):
    u, y = world.truth(200, 6)
    state, _ = world.played(model, tank, u[:150], y[:150])
    thawed = wire.decode(model.State, wire.encode(state))
    one, other = (world.played(model, tank, u[150:], y[150:], s, 150)[1] for s in (state, thawed))
    assert [v.value.tobytes() for v in one] == [v.value.tobytes() for v in other]


def test_a_replaced_part_is_as_new_widely_spread_and_has_no_life():
    made = world.twin(lives=LIVES, plant=FAILING)
    u, y = world.truth(900, 4, np.full(900, 0.2))
    state, _ = world.played(model, made, u, y)
    state = model.obey(made, state, command("life", result=encode(LIFE)))
    text = at(made, "twin/life")
    _, given = world.played(model, made, u[:2], y[:2], state, 900)
    assert given[-1].texts[text] == "4 d (90 %: 2 d to more than 42 d), not before 45 h"
    after = model.obey(made, state, command("maintenance", step="end", replaced="outlet"))
    assert after.health.x[0] == pytest.approx(0.0)
    assert math.sqrt(after.health.P[0, 0]) == pytest.approx(2 * world.HEALTH.spread)
    _, given = world.played(model, made, u[:2], y[:2], after, 900)
    assert "no estimate" in given[-1].texts[text]
    with pytest.raises(ValueError, match="no component 'inlet'; health is known of outlet"):
        model.obey(made, state, command("maintenance", step="end", replaced="inlet"))


def test_a_sensor_set_right_forgets_only_what_was_held_against_it(tank):
    u, y = world.truth(700, 9)
    y[500:, 0] += 0.2
    state, _ = world.played(model, tank, u, y)
    after = model.obey(tank, state, command("maintenance", step="end", recalibrated=LEVEL))
    assert state.judging.sums[:, 0].max() > 0
    assert after.judging.sums[:, 0].max() == 0
    assert after.judging.sums[:, 1] == pytest.approx(state.judging.sums[:, 1])
    assert after.health.x == pytest.approx(state.health.x)
    with pytest.raises(ValueError, match="no measured output 'y/9'; there are y/0, y/1"):
        model.obey(tank, state, command("maintenance", step="end", recalibrated="y/9"))


def test_what_a_twin_is_not_for_is_refused_in_words(tank):
    with pytest.raises(ValueError, match="predicts no life"):
        model.obey(tank, model.init(tank), command("life", result="x"))
    with pytest.raises(ValueError, match="takes life and maintenance, not dance"):
        model.obey(tank, model.init(tank), command("dance"))


H = 3600.0
WHOLE = Forecast("", "", np.zeros(2), 50 * H, 100 * H, math.inf, 45 * H, 0.2, math.nan)
LIFE = Life(np.array([H, 2 * H]), 1000 * H, 500, "simulation", WHOLE, ())
LIVES = Lives((), (), (), 1000 * H, 60.0, 500, "simulation")
FAILING = world.twin().plant


def test_its_trust_is_published_with_the_reason(tank):
    two = np.ones(2)
    # What white residuals of two thirds of the twin's spread would give over windows of 160 rows.
    healthy = trust.Reference(
        block=20,
        blocks=8,
        middle=0 * two,
        scale=0.8 * two,
        step=1.2 * two,
        noise=-0.4 * two,
        noise_low=0.8 * two,
        noise_high=0.8 * two,
        wander=-3.4 * two,
        wander_high=3.0 * two,
        bias_most=0.8 * two,
    )
    made = replace(tank, trust=healthy)
    u, y = world.truth(500, 31)
    y[250:] += 2.0 * world.SD * np.random.default_rng(1).normal(size=(250, 2))
    _, given = world.played(model, made, u, y)
    told = series(made, given, "twin/trust")
    assert told[[100, 240, 499]].tolist() == [trust.Level.UNKNOWN, trust.Level.OK, trust.Level.OVER_CONFIDENT]
    assert "times as noisy" in given[-1].texts[at(made, "twin/trust_reason")]


def test_a_twin_without_healthy_rows_to_compare_with_has_no_trust_point(tank):
    assert "twin/trust" not in [p.id for p in model.points(tank)]
