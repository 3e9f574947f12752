"""Remaining life: first passage against closed forms, what is learned of a drift, and when nothing is said."""

import math
from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from life_world import HOUR, Draining, belief, draining, plant, wearing, worn
from scipy.stats import binom, invgauss

from agent.core import wire
from agent.twin import jsontree
from agent.twin.lifetime import drift, life, passage, usage


def whole(world, seed=7, **lives):
    machine, section, course, now = world
    return life.predict(machine, now, replace(section, **lives), course, seed).whole


# First passage


@pytest.mark.parametrize("steps", [3, 40])
def test_first_passage_of_a_wiener_process_is_inverse_gaussian_at_any_step(steps):
    n, b, v = 20_000, 0.09, 1.0
    ones = np.ones(n)
    none, wear = 0 * ones, wearing().wears[0]
    d = passage.Drifting(plant().health[0], wear, none, v * ones, none, none, ones, ones, b * ones, none, none, ones)
    rng, dt = np.random.default_rng(5), 1.5 / steps
    passed = np.zeros(n, bool)
    told = invgauss(mu=b / v, scale=1.0 / b)
    for step in range(1, steps + 1):
        d, share = passage._worn(d, dt, rng)
        passed |= np.isfinite(share)
        low, high = binom.ppf([1e-5, 1 - 1e-5], n, told.cdf(step * dt))
        assert low <= passed.sum() <= high


def test_a_tank_without_doubt_runs_empty_when_the_equation_says_so():
    lives = draining(step_s=7.0)
    found = life.predict(plant(), belief(level=100.3), lives, life.begin(plant(), lives), 1)
    part = found.parts[0]
    assert part.p5_s == part.p50_s == part.p95_s == pytest.approx(100.3)
    assert (part.censored, part.not_before_s, found.origin) == (0.0, pytest.approx(100.3), "simulation")


def test_the_doubt_about_the_level_is_the_doubt_about_the_time():
    lives = replace(draining(step_s=5.0), particles=20_000)
    part = life.predict(plant(), belief(level_spread=10.0), lives, life.begin(plant(), lives), 1).parts[0]
    assert part.p50_s == pytest.approx(100.0, abs=0.4)
    assert part.p95_s - part.p5_s == pytest.approx(2 * 1.645 * 10.0, rel=0.04)
    assert part.p_fail[-1] == 1.0
    assert part.not_before_s < part.p5_s


def test_process_noise_widens_it_as_first_passage_says():
    # Mean 100, variance 100 * noise^2 of an inverse Gaussian with v = 1; steps of 1 s miss few crossings.
    lives = replace(draining(), particles=4000)
    part = life.predict(plant(noise=0.5), belief(), lives, life.begin(plant(), lives), 1).parts[0]
    told = invgauss(mu=0.25 / 100, scale=100**2 / 0.25)
    assert [part.p5_s, part.p50_s, part.p95_s] == pytest.approx(told.ppf([0.05, 0.5, 0.95]), abs=1.2)


def test_load_scenarios_count_by_their_weight():
    lives = draining(loads=((1.0, 3.0), (2.0, 1.0)))
    found = life.predict(plant(), belief(), lives, life.begin(plant(), lives), 1)
    half = np.searchsorted(found.at_s, 75.0)
    assert found.parts[0].p_fail[half] == pytest.approx(0.25, abs=0.003)


def test_a_limit_that_is_crossed_already_is_a_life_of_nothing():
    lives = draining()
    part = life.predict(plant(), belief(level=-1.0), lives, life.begin(plant(), lives), 1).parts[0]
    assert (part.reason, part.p50_s, part.p95_s, part.p_fail[0]) == ("", 0.0, 0.0, 1.0)


def test_a_limit_from_below_and_one_at_a_health_parameter():
    rising = replace(draining(loads=((-1.0, 1.0),)), limits=(life.Limit("level", 150.0, falling=False),))
    assert life.predict(plant(), belief(), rising, life.begin(plant(), rising), 1).whole.p50_s == pytest.approx(50.0)
    own = replace(draining(), limits=(life.Limit("pump.wear"),))
    assert life.predict(plant(), belief(wear=1.5), own, life.begin(plant(), own), 1).whole.p50_s == 0.0
    assert life.predict(plant(), belief(wear=0.5), own, life.begin(plant(), own), 1).whole.p50_s == inf


def test_beyond_the_horizon_is_censored():
    lives = draining(horizon_s=60.0)
    part = life.predict(plant(), belief(), lives, life.begin(plant(), lives), 1).parts[0]
    assert (part.p5_s, part.p50_s, part.p95_s, part.censored) == (inf, inf, inf, 1.0)
    assert (part.reason, part.not_before_s) == ("", 60.0)
    assert not part.p_fail.any()


def test_what_wears_carries_the_plant_along():
    """The tank drains faster as the pump wears: 100 = t + rate t^2 / 2."""
    machine, lives, course, now = worn(1 / 200.0, 100, noise=1e-4)
    both = replace(draining(horizon_s=150 * HOUR, step_s=HOUR / 4, loads=((1 / HOUR, 1.0),)), wears=lives.wears)
    part = life.predict(machine, now, both, course, 3)
    wear = now.x[1]
    rate = 1 / 200.0
    expected = (-(1 + wear) + math.sqrt((1 + wear) ** 2 + 2 * rate * 100.0)) / rate
    assert part.parts[1].p50_s / HOUR == pytest.approx(expected, rel=0.04)
    assert part.whole.p50_s <= min(p.p50_s for p in part.parts)


# The drift


@given(st.floats(-0.9, 3.0), st.sampled_from(drift.SHAPES))
def test_straightening_has_an_inverse_and_keeps_new_and_worn_out(d, shape):
    a, c = np.array([shape]).T
    one, h = np.array([d]), 1e-6
    s = drift.straightened(one, a, c)
    assert drift.damaged(s, a, c) == pytest.approx(one, abs=1e-9)
    rise = (drift.straightened(one + h, a, c) - drift.straightened(one - h, a, c)) / (2 * h)
    assert drift.slope(one, a, c) == pytest.approx(rise, rel=1e-3)
    assert drift.straightened(np.array([0.0, 1.0]), a, c) == pytest.approx([0.0, 1.0], abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_steady_wear_is_learned_and_its_end_foreseen(seed):
    world = worn(1 / 800.0, 320, seed=seed)
    mean, spread = drift.rate(world[2].tracks[0], world[1].wears[0])
    found = whole(world)
    assert abs(mean * HOUR - 1 / 800.0) < max(3 * spread * HOUR, 0.2 / 800)
    assert found.p5_s < 480 * HOUR < found.p95_s
    assert found.p50_s / HOUR == pytest.approx(480, rel=0.25)


def stood(world, hours, level, seed=3):
    machine, lives, course, now = world
    rng = np.random.default_rng(seed)
    for hour in range(hours):
        now = belief(wear=level(hour) + 0.003 * rng.standard_normal(), spread=0.003)
        course = life.fold(machine, lives, course, now, np.ones(1), HOUR)
    return machine, lives, course, now


def test_a_plateau_is_taken_as_one_and_its_end_too():
    going = worn(1 / 800.0, 320)
    short, long = (stood(going, hours, lambda hour: 0.4) for hours in (60, 300))
    before, soon, late = (whole(world) for world in (going, short, long))
    assert before.p50_s < soon.p50_s < late.p50_s
    assert before.p95_s / before.p5_s < soon.p95_s / soon.p5_s < late.p95_s / late.p5_s
    again = whole(stood(long, 240, lambda hour: 0.4 + hour / 800))
    assert again.p5_s < 240 * HOUR < again.p95_s


def test_a_jump_is_followed_within_days():
    found = whole(stood(worn(1 / 800.0, 200), 200, lambda hour: 0.45 + hour / 800))
    assert found.p5_s < 240 * HOUR < found.p95_s


def test_a_relative_parameter_that_falls_is_worn_out_at_its_limit():
    health = drift.Health("impeller.gain", "impeller", "m", 1, 20.0, 10.0, 1.0, 30.0, 0.02, 1e-5, relative=True)
    new, span = drift.way(health)
    assert (new, span) == (0.0, pytest.approx(math.log(0.5)))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1e12, 1e12) | st.sampled_from([nan, inf, -inf]), st.floats(1e-9, 1e3)), max_size=60)
)
def test_no_estimate_however_odd_breaks_a_track(estimates):
    machine, lives = plant(), wearing()
    track = drift.begin(machine.health[0])
    for z, spread in estimates:
        track = drift.waited(machine.health[0], track, 2 * HOUR)
        track = drift.fold(machine.health[0], lives.wears[0], track, z, spread**2)
    assert np.isfinite(track.mean).all()
    assert (np.linalg.eigvalsh(track.covariance) > 0).all()
    assert drift.weights(track).sum() == pytest.approx(1.0)


def test_twice_the_load_is_half_the_life():
    lives = wearing(exposure="load", exponent=1.0)
    world = worn(1 / 800.0, 320, lives=lives)
    once = tuple(life.Scenario("as now", 1.0, HOUR, np.array([[u]])) for u in (1.0, 2.0))
    slow, fast = (whole(world, scenarios=(one,)).p50_s for one in once)
    assert slow / fast == pytest.approx(2.0, rel=0.03)


def test_without_scenarios_the_recent_hours_are_the_future():
    lives = wearing(exposure="load", exponent=1.0)
    world = worn(2 / 800.0, 160, lives=lives, load=2.0)
    assert whole(world).p50_s / HOUR == pytest.approx(240, rel=0.25)


# When nothing is said


def test_the_reasons_for_no_estimate():
    good = worn(1 / 800.0, 320)
    reasons = {
        "no limit known": worn(1 / 800.0, 320, machine=plant(failed=nan)),
        "no limit known at which": worn(1 / 800.0, 320, machine=plant(failed=0.0)),
        "walk 0": worn(1 / 800.0, 320, machine=plant(walk=0.0)),
        "not observed": (*good[:3], belief(wear=0.4, spread=0.02)),
        "known only to 50 %": (good[0], good[1], replace(good[2], tracks=(replace(good[2].tracks[0], open=9.0),)),
                               belief(wear=0.4, spread=0.5)),
        "not enough history: 3 of 12": worn(1 / 800.0, 6),
        "no drift that can be told from zero": worn(0.0, 320),
        "from zero": worn(-1 / 800.0, 320),
        "no load scenario": (*worn(1 / 800.0, 320)[:1], wearing(exposure="load"), *good[2:]),
    }  # fmt: skip
    unseen = reasons["no load scenario"]
    reasons["no load scenario"] = (*unseen[:2], replace(unseen[2], recent=usage.nothing_yet(96, 1)), unseen[3])
    assert whole(good).reason == ""
    for words, world in reasons.items():
        found = whole(world)
        assert words.replace(" %", "%") in found.reason
        assert np.isnan([found.p5_s, found.p50_s, found.p95_s, found.not_before_s, found.censored]).all()
        assert np.isnan(found.p_fail).all()


def test_a_machine_of_which_nothing_wears_says_so():
    lives = replace(draining(), limits=())
    assert life.predict(plant(), belief(), lives, life.begin(plant(), lives), 1).whole.reason == "nothing here wears"


def test_a_part_without_an_estimate_leaves_the_others_theirs():
    machine, lives, course, now = worn(0.0, 320)
    both = replace(draining(), wears=lives.wears)
    found = life.predict(machine, now, both, course, 1)
    assert found.parts[0].reason
    assert found.whole.p50_s == found.parts[1].p50_s == pytest.approx(100.0, rel=0.05)


def test_a_posterior_from_now_to_beyond_the_horizon_is_no_estimate():
    lives = draining(horizon_s=120.0)
    found = life.predict(plant(), belief(level_spread=100.0), lives, life.begin(plant(), lives), 1)
    assert found.whole.reason == "level: the posterior is too wide: from now to beyond the horizon"


def test_a_replaced_component_begins_anew():
    machine, lives, course, now = worn(1 / 800.0, 320)
    other = life.renewed(machine, lives, course, "motor")
    assert whole((machine, lives, other, now)).reason == ""
    fresh = life.renewed(machine, lives, course, "pump")
    assert "not" in whole((machine, lives, fresh, belief(wear=0.0, spread=0.004))).reason
    assert fresh.recent is course.recent


# Values


def test_the_same_seed_gives_the_same_bits_also_after_a_restart():
    machine, lives, course, now = worn(1 / 800.0, 320)
    again = wire.decode(life.Course, wire.encode(course))
    first, second, third = (
        life.encode(life.predict(machine, now, lives, c, seed)) for c, seed in ((course, 7), (again, 7), (course, 8))
    )
    assert first == second != third
    back = life.decode(first)
    assert life.encode(back) == first
    assert back.whole.p50_s == whole((machine, lives, course, now)).p50_s


def test_a_text_that_is_no_life_is_refused():
    with pytest.raises(ValueError, match="message"):
        life.decode("aGVsbG8=")
    with pytest.raises(ValueError):  # noqa: PT011
        life.decode("not base64!")


def test_the_section_is_read_as_it_was_written():
    lives = replace(draining(), wears=wearing().wears)
    read = jsontree.read(life.Lives, jsontree.tree(lives), "twin.life")
    assert jsontree.tree(read) == jsontree.tree(lives)
    assert life.problems(plant(), read) == []


def test_every_mistake_in_the_section_is_named():
    wrong = replace(
        draining(), particles=3, horizon_s=1e6, wears=(drift.Wear("fan.wear", 0.0, 1.0, exposure="torque"),),
        limits=(life.Limit("depth"), life.Limit("level")),
        scenarios=(life.Scenario("night", 0.0, 1.0, np.zeros((2, 3))),),
    )  # fmt: skip
    told = " ".join(life.problems(plant(), wrong))
    for word in (
        "particles",
        "at most 20000 steps",
        "fan.wear",
        "life_s",
        "torque",
        "depth",
        "level: a limit",
        "rows of 1",
        "weight",
    ):
        assert word in told


def test_the_usual_section_is_of_what_can_wear_out():
    lives = life.usual(plant(), 1000 * HOUR)
    assert [w.health for w in lives.wears] == ["pump.wear"]
    assert life.problems(plant(), lives) == []
    assert life.usual(plant(failed=nan), 1000 * HOUR) is None


def test_what_held_out_lives_say_moves_both_ends_of_the_interval():
    world = worn(1 / 800.0, 320)  # damage 0.4: the second band
    bands = life.Widening(np.array([0.3, 0.6]), np.array([9.0, math.log(2.0), 9.0]), np.array([9.0, -0.1, 9.0]), 60)
    plain, moved = whole(world), whole(world, widening=bands)
    expected = (plain.p5_s / 2, plain.p50_s, plain.p95_s * math.exp(-0.1))
    assert (moved.p5_s, moved.p50_s, moved.p95_s) == pytest.approx(expected, rel=5e-3)
    assert moved.not_before_s == pytest.approx(plain.not_before_s / 2, rel=5e-3)
    assert (np.diff(moved.p_fail) >= 0).all()
    section = replace(world[1], widening=bands)
    assert jsontree.tree(jsontree.read(life.Lives, jsontree.tree(section), "twin.lives")) == jsontree.tree(section)
    short = replace(section, widening=replace(bands, lower=np.zeros(2)))
    assert life.problems(world[0], short) == ["life.widening: rising edges"]


def test_a_large_change_is_due_at_once():
    machine, lives, course, now = worn(1 / 800.0, 320)
    last = life.predict(machine, now, lives, course, 1)
    assert life.moved(machine, lives, now, None)
    assert not life.moved(machine, lives, belief(wear=now.x[1] + 0.04), last)
    assert life.moved(machine, lives, belief(wear=now.x[1] + 0.06), last)
    assert life.moved(machine, lives, belief(wear=now.x[1] - 0.06), last)


# Load


@given(
    st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=6),
    st.floats(0.5, 4.0),
    st.lists(st.floats(0.01, 20.0), min_size=1, max_size=6),
)
def test_means_of_a_repeated_profile(rows, step_s, gaps):
    at_s = np.concatenate([[0.0], np.cumsum(gaps)])
    got = usage.means(np.array(rows)[:, None], step_s, at_s)[:, 0]
    for mean, start, end in zip(got, at_s, at_s[1:], strict=False):
        middle = start + (np.arange(20_000) + 0.5) / 20_000 * (end - start)
        brute = np.array(rows)[(middle // step_s).astype(int) % len(rows)].mean()
        assert mean == pytest.approx(brute, abs=0.02)


def test_recent_hours_are_a_ring_oldest_first():
    recent = usage.nothing_yet(3, 1)
    assert usage.as_recently(recent, 10.0) == ()
    for value in (1.0, 1.0, 2.0, 2.0, nan, 3.0, 3.0, 4.0, 4.0, 5.0):
        recent = usage.remember(recent, np.array([value]), 5.0, 10.0)
    (scenario,) = usage.as_recently(recent, 10.0)
    assert scenario.u.ravel().tolist() == [2.0, 3.0, 4.0]
    assert wire.decode(usage.Recent, wire.encode(recent)).seen_s == 5.0


def test_a_kind_of_any_shape_is_enough():
    assert life.problems(plant(), draining()) == []
    assert Draining().health(None)[0].state == 1
