"""A recording through the engine: the same as live, gaps are silences, alarms are intervals that can be compared."""

from dataclasses import replace

import numpy as np
import pytest
from engine_world import SECOND, TAGS, asset, batch, high, tick

from agent.engine import recorded, trial
from agent.engine.recorded import FIRST_NS
from agent.engine.trial import Alarm, compared, run

NAMES = ("drive/state", "rig/tank/level", "other/thing")


def columns(levels, state=2.0, period_s=1.0):
    time_s = 1000.0 + period_s * np.arange(len(levels))
    return time_s, np.column_stack([np.full(len(levels), state), levels, np.zeros(len(levels))])


def played(built, levels, **more):
    time_s, value = columns(np.asarray(levels, float), **more)
    return list(recorded.ticks(built, NAMES, recorded.axis(time_s), value))


def test_rows_become_the_ticks_that_a_live_run_would_have_had():
    built = asset([high()])
    levels = [3.0, 11.0, 12.0, 4.0]
    made = run(built, played(built, levels))
    live = [
        replace(tick(1 + t, batch(1 + t, level=x, state=2)), seq=t + 1, now_ns=FIRST_NS + t * SECOND)
        for t, x in enumerate(levels)
    ]
    live = [replace(t, batches=tuple(replace(b, t_ns=b.t_ns * 0 + t.now_ns) for b in t.batches)) for t in live]
    assert made.alarms == run(built, live).alarms
    (alarm,) = made.alarms
    assert (alarm.begun_ns, alarm.ended_ns) == (FIRST_NS + SECOND, FIRST_NS + 3 * SECOND)
    assert (alarm.worst, alarm.limit, alarm.category) == (12.0, 10.0, "alert")
    assert made.seconds == {"running": 3.0}
    assert made.spoke == {"twin": 3.0}


def test_columns_that_are_no_tags_are_left_out_and_absent_cells_are_no_samples():
    built = asset()
    assert recorded.rows_of(built, NAMES) == [0, 1, -1]
    (one,) = played(built, [np.nan])
    assert one.batches[0].tag.tolist() == [TAGS.index("drive/state")]


def test_rows_faster_than_the_cycle_share_a_tick_with_their_own_times():
    built = asset([high()])
    made = played(built, [3.0] * 9 + [11.0], period_s=0.25)
    assert [len(t.batches) for t in made] == [2, 4, 4]
    assert [int(b.t_ns[0]) - FIRST_NS for b in made[1].batches] == [n * SECOND // 4 for n in (2, 3, 4, 5)]
    assert len(run(built, made).alarms) == 1


def test_a_gap_is_a_silence_after_which_models_begin_again():
    built = asset()
    time_s, value = columns(np.full(20, 3.0))
    time_s[10:] += 3600.0
    made = list(recorded.ticks(built, NAMES, recorded.axis(time_s), value))
    assert [t.batches == () for t in made] == [False] * 10 + [True] * (len(made) - 20) + [False] * 10
    result = run(built, made)
    assert result.seconds["unknown"] > 3580.0
    assert result.seconds["running"] == pytest.approx(9 + 9 + 2.5 + 5, abs=1)
    assert run(built, made[:10] + made[-10:]).seconds == {"running": pytest.approx(3619.0)}


def test_rows_that_go_back_in_time_are_left_out():
    assert recorded.axis(np.array([0.0, 2.0, 1.0, 2.0, 3.0])).tolist() == [
        FIRST_NS, FIRST_NS + 2 * SECOND, -1, -1, FIRST_NS + 3 * SECOND,
    ]  # fmt: skip


def alarm(name, begun_s, ended_s):
    return Alarm(name, "alert", "limit", begun_s * SECOND, ended_s * SECOND, 1.0, 1.0, "", False)


def test_alarms_that_overlap_are_the_same_the_rest_is_gained_or_lost():
    now = [alarm("a", 10, 20), alarm("a", 100, 0), alarm("b", 10, 20)]
    then = [alarm("a", 18, 30), alarm("c", 10, 20), alarm("b", 50, 60)]
    found = compared(now, then, 5 * SECOND)
    assert found.gained == (now[1], now[2])
    assert found.lost == (then[1], then[2])
    assert found.both == ((now[0], then[0]),)
    assert compared(now, then, 30 * SECOND).both[1] == (now[2], then[2])


def test_an_open_alarm_takes_over_how_bad_it_becomes():
    built = asset([high()])
    (one,) = run(built, played(built, [3.0, 11.0, 15.0, 13.0])).alarms
    assert (one.ended_ns, one.worst) == (0, 15.0)


def test_a_model_that_fails_is_counted():
    built = asset()
    result = run(built, played(built, [3.0, 666.0, 3.0]))
    ((text, times),) = result.faults.items()
    assert ("devil" in text, times) == (True, 1)
    assert isinstance(result, trial.Trial)
