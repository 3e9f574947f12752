"""Functions that remember: against plain numpy and a plain counter, however the samples are cut into cycles."""

import math
from itertools import pairwise

import numpy as np
import pytest
from derived_world import SECOND, Play, asset, batch
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import memory, quality
from agent.core.memory import FRESH
from agent.core.nouns import Batch

TOO_LATE = st.integers(0, 5).map(lambda n: -n)  # steps of time that do not go on
steps = st.one_of(st.integers(1, 2000), st.integers(1, 2000), TOO_LATE)
values = st.one_of(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.just(math.nan))
sampled = st.lists(st.tuples(steps, values), min_size=1, max_size=40)
cuts = st.lists(st.integers(0, 40), max_size=12)


def timed(pairs):
    """(t_ns, x) of (step of time in ms, x): some are late, or there twice."""
    t_ms, newest, out = 0, 0, []
    for step, x in pairs:
        t_ms = newest + step
        newest = max(newest, t_ms) if x == x else newest
        out.append((t_ms * 10**6 + SECOND, x))
    return out


def folded(name, samples, where=(), parameter=0.0):
    """The memory after all samples, cut into cycles at some places."""
    edges = sorted({0, len(samples), *(w for w in where if w < len(samples))})
    after = FRESH
    for start, stop in pairwise(edges):
        after = memory.FOLDS[name](after, samples[start:stop], parameter)
    return after


def in_order(samples):
    """Stretches of usable samples in order of time, each with what came in it: late ones left out."""
    stretches, newest = [[]], -1
    for t_ns, x in samples:
        if x != x:
            stretches.append([])
        elif t_ns > newest:
            stretches[-1].append((t_ns, x))
            newest = t_ns
    return [np.array(s, dtype=[("t", "i8"), ("x", "f8")]) for s in stretches]


def same(one, other):
    return np.array_equal(np.array(one, np.float64), np.array(other, np.float64), equal_nan=True)


@settings(deadline=None)
@given(sampled, cuts, st.sampled_from(sorted(memory.FOLDS)))
def test_it_does_not_matter_how_samples_are_cut_into_cycles(pairs, where, name):
    samples = timed(pairs)
    assert same(folded(name, samples, where, 100.0), folded(name, samples, (), 100.0))


@settings(deadline=None)
@given(sampled, cuts)
def test_an_integral_is_that_of_numpy(pairs, where):
    samples = timed(pairs)
    area = sum(np.trapezoid(s["x"], (s["t"] - SECOND) * 1e-9) for s in in_order(samples))
    assert folded("integral", samples, where).sum == pytest.approx(area, rel=1e-9, abs=1e-3)


@settings(deadline=None)
@given(sampled, cuts)
def test_a_rate_is_that_of_the_two_newest_samples(pairs, where):
    samples = timed(pairs)
    last, rate = in_order(samples)[-1], math.nan
    if len(last) > 1:
        rate = np.diff(last["x"])[-1] / (np.diff(last["t"])[-1] * 1e-9)
    assert folded("rate", samples, where).sum == pytest.approx(rate, rel=1e-9, abs=1e-9, nan_ok=True)


@settings(deadline=None)
@given(sampled, cuts)
def test_a_total_is_the_sum_of_all_that_is_usable_and_new(pairs, where):
    samples = timed(pairs)
    assert folded("total", samples, where).sum == pytest.approx(sum(s["x"].sum() for s in in_order(samples)), abs=1e-3)


# A machine makes so many pulses until the next poll, or its PLC restarts and then makes so many.
polls = st.lists(st.tuples(st.booleans(), st.integers(0, 399)), min_size=1, max_size=60)


@settings(deadline=None)
@given(polls, cuts, st.integers(0, 999))
def test_a_counter_is_followed_through_rollovers_and_resets(polls, where, start):
    rollover, count, made, samples = 1000, start, 0, [(SECOND, float(start))]
    for n, (restarted, pulses) in enumerate(polls, 2):
        looks_like_a_rollover, goes_on = pulses + rollover - count < rollover / 2, pulses >= count
        if restarted and (looks_like_a_rollover or goes_on):
            continue  # no counter alone can tell such a restart
        count = pulses if restarted else (count + pulses) % rollover
        made += pulses
        samples.append((n * SECOND, float(count)))
    assert folded("increase", samples, where, float(rollover)).sum == made


def test_a_16_bit_energy_counter_rolls_over_and_its_plc_restarts():
    """A meter with 0.1 kWh a pulse in a 16-bit register: `total(increase({m/a}, 65536)) * 0.1` goes on through both."""
    play = Play(asset({"d/step": "increase({m/a}, 65536)", "d/energy": "total({d/step}) * 0.1"}, stale_s=60.0))
    seen = []
    for t, reading in enumerate([65500, 65530, 4, 4, 1004, 0, 7], 1):
        play.tick(t, batch((t, "m/a", float(reading))))
        seen.append((play.of("d/step")[0], round(play.of("d/energy")[0], 6)))
    assert seen == [(0, 0), (30, 3.0), (10, 4.0), (0, 4.0), (1000, 104.0), (0, 104.0), (7, 104.7)]


def test_a_counter_without_a_rollover_takes_each_step_back_as_a_reset():
    play = Play(asset({"d/x": "total(increase({m/a}))"}))
    for t, reading in enumerate([100.0, 130.0, 5.0, 9.0], 1):
        play.tick(t, batch((t, "m/a", reading)))
    assert play.of("d/x") == (39.0, "Good")


def test_every_sample_of_a_cycle_counts_with_its_own_time():
    texts = {
        "d/area": "integral({m/a})",
        "d/slope": "rate({m/a})",
        "d/sum": "total({m/a})",
        "d/zone": "total({m/zones}[1])",
    }
    play = Play(asset(texts)).tick(1, batch((0.2, "m/a", 1.0), (0.6, "m/a", 3.0)), batch((0.8, "m/a", 4.0)))
    assert play.of("d/area")[0] == pytest.approx(0.4 * 2.0 + 0.2 * 3.5)
    assert play.of("d/slope")[0] == pytest.approx(5.0)
    assert play.of("d/sum")[0] == 8.0
    arrays = [(1.2, "m/zones", [1.0, 2.0]), (1.4, "m/zones", [1.0, 5.0])]
    assert play.tick(2, batch(arrays=arrays)).of("d/zone")[0] == 7.0


def test_an_expression_gives_one_sample_a_cycle_and_only_if_an_operand_is_new():
    play = Play(asset({"d/area": "integral({m/a} * 2)", "d/sum": "total({m/a} + {m/b})"}, stale_s=60.0))
    play.tick(1, batch((0.5, "m/a", 1.0), (0.5, "m/b", 1.0))).tick(2, batch((1.5, "m/a", 3.0))).tick(3)
    assert play.of("d/area")[0] == pytest.approx(4.0)
    assert play.of("d/sum")[0] == 6.0


def test_before_its_second_sample_a_rate_waits():
    play = Play(asset({"d/x": "rate({m/a})"})).tick(1, batch((1, "m/a", 2.0)))
    assert play.of("d/x")[1] == "BadWaitingForInitialData"
    assert play.tick(3, batch((3, "m/a", 6.0))).of("d/x") == (2.0, "Good")


def test_a_hold_bridges_a_short_loss_and_no_long_one():
    play = Play(asset({"d/x": "hold({m/a}, 3) + 1", "d/plain": "{m/a} + 1"}, stale_s=1.5))
    play.tick(1, batch((1, "m/a", 5.0)))
    lost = (math.nan, "BadNoCommunication")
    seen = [play.tick(t).of("d/x") for t in (2, 3, 4)]
    assert seen == [(6.0, "Good"), (6.0, "UncertainLastUsableValue"), (6.0, "UncertainLastUsableValue")]
    assert play.of("d/plain")[1] == lost[1]
    assert [play.tick(t).of("d/x")[1] for t in (5, 6)] == ["UncertainLastUsableValue", lost[1]]
    assert play.tick(7, batch((7, "m/a", 8.0))).of("d/x") == (9.0, "Good")


def test_over_a_bad_stretch_nothing_is_integrated_and_a_counter_goes_on():
    play = Play(asset({"d/area": "integral({m/a})", "d/count": "total(increase({m/b}, 1000))"}, stale_s=60.0))
    play.tick(1, batch((1, "m/a", 1.0), (1, "m/b", 10.0)))
    bad = quality.BAD_TIMEOUT
    play.tick(2, batch((2, "m/a", math.nan, bad), (1.5, "m/b", 15.0), (2, "m/b", math.nan, bad)))
    assert play.of("d/area")[1] == play.of("d/count")[1] == "BadTimeout"
    play.tick(3, batch((3, "m/a", 1.0), (3, "m/b", 20.0))).tick(4, batch((4, "m/a", 1.0)))
    assert play.of("d/area") == (1.0, "Good")
    assert play.of("d/count") == (10.0, "Good")


def test_a_silent_gap_is_not_integrated_over():
    play = (
        Play(asset({"d/area": "integral({m/a})"}, stale_s=1.5)).tick(1, batch((1, "m/a", 1.0))).tick(2).tick(3).tick(4)
    )
    assert play.tick(5, batch((5, "m/a", 1.0))).of("d/area") == (0.0, "Good")


def test_the_time_of_a_derived_tag_is_that_of_its_newest_operand():
    play = Play(asset({"d/x": "{m/a} + {m/b}"})).tick(2, batch((1.0, "m/a", 1.0), (1.5, "m/b", 1.0)))
    row = play.asset.names.at["d/x"]
    assert play.shot.time_ns[row] == round(1.5 * SECOND)
    assert play.state.latest.confirmed_ns[row] == round(1.5 * SECOND)


def test_a_whole_batch_of_samples_is_the_same_as_one_a_cycle():
    rng = np.random.default_rng(3)
    t = np.cumsum(rng.uniform(0.05, 0.5, 200))
    x = np.floor(np.cumsum(rng.uniform(0, 40, 200))) % 1000
    texts = {"d/area": "integral({m/a})", "d/count": "total(increase({m/a}, 1000))", "d/slope": "rate({m/a})"}
    ends = []
    for edges in (np.arange(0, 201), np.array([0, 3, 50, 51, 180, 200])):
        play = Play(asset(texts, stale_s=1e6))
        for start, stop in pairwise(edges):
            play.tick(t[stop - 1], batch(*((t[n], "m/a", x[n]) for n in range(start, stop))))
        ends.append([play.of(name) for name in texts])
    assert ends[0] == ends[1]
    assert ends[0][0][0] == pytest.approx(np.trapezoid(x, t))
    assert ends[0][1][0] == np.floor(x[-1] - x[0] + 1000 * (np.diff(x) < 0).sum())


def test_columns_of_many_tags_are_folded_like_single_ones():
    play = Play(asset({"d/x": "total({m/a})", "d/y": "total({m/b})"}))
    both = Batch("plc", np.array([0, 1, 0, 1], np.int32), np.array([1.0, 10.0, 2.0, 20.0]), np.zeros(4, np.uint32),
                 np.array([1, 1, 2, 2], np.int64) * SECOND, np.zeros(4, np.int64))  # fmt: skip
    play.tick(2, both)
    assert (play.of("d/x")[0], play.of("d/y")[0]) == (3.0, 30.0)
