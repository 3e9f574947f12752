"""Summaries against the same figures computed by hand, piece by piece of the step signal that the samples make."""

import math
from dataclasses import replace

import numpy as np
import pytest
from engine_world import SECOND, asset, batch, tick
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import quality
from agent.core.nouns import Mode
from agent.engine import state as states
from agent.engine.step import step

STATUSES = (quality.GOOD, quality.GOOD, quality.GOOD, quality.UNCERTAIN, quality.BAD_SENSOR_FAILURE)
MODES = {2: Mode.RUNNING, 3: Mode.IDLE}
STALE_S, WINDOW_S = 2.5, 10.0

# Of one sample: when in its cycle (before 0: it came late), its value, its quality.
SAMPLE = st.tuples(st.integers(-8, 16).map(lambda n: n / 16), st.floats(-1e6, 1e6), st.sampled_from(STATUSES))
# Of one cycle: its length in s, its samples in the order of their arrival, the state of the drive.
CYCLE = st.tuples(
    st.sampled_from([0.25, 0.5, 1.0, 1.0, 1.0, 4.0]), st.lists(SAMPLE, max_size=4), st.sampled_from([2, 2, 2, 3])
)


def played(cycles):
    """Summaries of the engine, with the cycles as (start_s, now_s, samples with their own time, mode)."""
    built, state, now_s, found, told = asset(summary_s=WINDOW_S), None, 100.0, [], []
    state = states.initial(built)
    for length_s, samples, drive in cycles:
        start_s, now_s = now_s, now_s + length_s
        timed = [(start_s + at * length_s, value, status) for at, value, status in samples]
        batches = [batch(t, level=value, status=status) for t, value, status in timed]
        one = replace(tick(now_s, *batches, batch(now_s, state=drive)), seq=len(told) + 1)
        state, shot = step(built, state, one)
        found += shot.summaries
        told.append((start_s, now_s, timed, MODES[drive]))
    state, shot = step(built, state, replace(tick(now_s), last=True))
    return [*found, *shot.summaries], told


def by_hand(told):
    """(start_s, end_s, why, pieces) of each window; a piece is (length_s, value or None, Good, whether sampled)."""
    windows, pieces, begun, mode = [], [], None, None
    held, confirmed = (None, False), -math.inf
    for number, (start_s, now_s, samples, now_mode) in enumerate(told):
        start_s = now_s if number == 0 else start_s  # the first cycle has no length
        before = told[number - 1][1] if number else 0.0
        if mode != now_mode:
            if pieces and start_s > begun:
                windows.append((begun, start_s, "mode", pieces))
            pieces, begun = [], start_s
        at, newest, cycle = start_s, held, []
        usable = [(value, status) for _, value, status in samples]
        if mode != now_mode and usable:
            newest = known(*usable[0])
        sampled = False
        for t, value, status in samples:
            then = max(at, min(max(t, start_s), now_s))
            cycle.append((then - at, *newest, sampled))
            at, newest, sampled = then, known(value, status), True
            if status < quality.BAD:
                confirmed = max(t, before)
        cycle.append((now_s - at, *newest, sampled))
        if newest[0] is not None and round((now_s - confirmed) * 1e9) > STALE_S * 1e9:
            newest, cycle = (None, False), [(now_s - start_s, None, False, False)]
        pieces, held, mode = pieces + cycle, newest, now_mode
        if begun // WINDOW_S != now_s // WINDOW_S and now_s > begun:
            windows.append((begun, now_s, "window", pieces))
            pieces, begun = [], now_s
    if pieces and told[-1][1] > begun:
        windows.append((begun, told[-1][1], "shutdown", pieces))
    return windows


def known(value, status):
    return (None if status >= quality.BAD else value), status < quality.UNCERTAIN


@settings(max_examples=60, deadline=None)
@given(st.lists(CYCLE, min_size=1, max_size=30))
def test_a_summary_says_what_the_step_signal_was(cycles):
    found, told = played(cycles)
    expected = by_hand(told)
    assert [(s.start_ns, s.end_ns, s.closed_by) for s in found] == [
        (round(a * 1e9), round(b * 1e9), why) for a, b, why, _ in expected
    ]
    for summary, (start_s, end_s, _, pieces) in zip(found, expected, strict=True):
        row = summary.names.index("tank/level")
        there = [(w, x) for w, x, _, sampled in pieces if x is not None and (w > 0 or sampled)]
        weight = sum(w for w, _ in there)
        assert summary.good[row] == pytest.approx(sum(w for w, _, good, _ in pieces if good) / (end_s - start_s))
        if not there:
            assert np.isnan([summary.min[row], summary.max[row], summary.last[row], summary.mean[row]]).all()
            continue
        values = [x for _, x in there]
        assert (summary.min[row], summary.max[row], summary.last[row]) == (min(values), max(values), values[-1])
        if weight < 1e-6:
            continue
        mean = sum(w * x for w, x in there) / weight
        variance = sum(w * (x - mean) ** 2 for w, x in there) / weight
        scale = max(map(abs, values))
        assert summary.mean[row] == pytest.approx(mean, rel=1e-9, abs=1e-9 * scale)
        assert summary.std[row] == pytest.approx(math.sqrt(variance), rel=1e-6, abs=1e-7 * scale)
        assert summary.min[row] <= summary.mean[row] <= summary.max[row]


def test_irregular_samples_weigh_what_they_lasted():
    """Ten samples within a tenth of a second do not outvote the value of the nine tenths before them."""
    burst = [batch(101 + 0.9 + n / 100, level=10.0) for n in range(10)]
    ticks = [
        tick(101, batch(101, level=0.0, state=2)),
        tick(102, *burst, batch(102, state=2)),
        tick(103, batch(103, state=2), last=True),
    ]
    built, state, summaries = asset(), states.initial(asset()), []
    for one in ticks:
        state, shot = step(built, state, one)
        summaries += shot.summaries
    (window,) = summaries
    row = window.names.index("tank/level")
    assert window.mean[row] == pytest.approx(1.0)
    assert window.std[row] == pytest.approx(3.0)


def test_a_pause_of_ours_is_in_no_window():
    """The daemon was killed and came back an hour later, on the same boot: its window ends where it saw no more."""
    built, state = asset(), states.initial(asset())
    for t in (101, 102, 103):
        state, _ = step(built, state, tick(t, batch(t, level=float(t), state=2)))
    state = replace(states.thaw(built, states.freeze(built, state)), t_ns=0)  # what restore makes of a checkpoint
    state, shot = step(built, state, tick(3703, batch(3703, level=5.0, state=2)))
    (window,) = shot.summaries
    row = window.names.index("tank/level")
    assert (window.closed_by, window.start_ns, window.end_ns) == ("restart", 101 * SECOND, 103 * SECOND)
    assert (window.mean[row], window.good[row]) == (101.5, 1.0)
    state, shot = step(built, state, tick(3720, batch(3720, level=5.0, state=2)))
    (window,) = shot.summaries
    assert (window.start_ns, window.end_ns) == (3703 * SECOND, 3720 * SECOND)
