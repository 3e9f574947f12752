"""The engine: one pure function over ticks."""

import math
from dataclasses import replace

import numpy as np
import pytest
from engine_world import SECOND, asset, at, batch, high, tick

from agent.core import quality
from agent.core.nouns import Command, Mode
from agent.engine import state as states
from agent.engine.asset import ModeRule, Modes
from agent.engine.step import step


def play(built, ticks, state=None):
    state, snapshots = state or states.initial(built), []
    for one in ticks:
        state, snapshot = step(built, state, one)
        snapshots.append(snapshot)
    return state, snapshots


def running(levels, start=1):
    return [tick(t, batch(t, level=v, state=2, product="water")) for t, v in enumerate(levels, start)]


def test_values_mode_context_and_model_come_out():
    built = asset()
    _, (first,) = play(built, running([3.0]))
    assert at(built, first, "tank/level") == (3.0, quality.GOOD)
    assert (first.mode, first.context) == (Mode.RUNNING, {"product": "water"})
    assert first.texts == {2: "water"}
    assert at(built, first, "state/mode")[0] == Mode.RUNNING
    assert at(built, first, "tank/level.deviation") == (2.0, quality.GOOD)


def test_before_any_sample_everything_waits():
    built = asset()
    _, (first,) = play(built, [tick(1)])
    value, status = at(built, first, "tank/level")
    assert math.isnan(value)
    assert status == quality.BAD_WAITING_FOR_INITIAL_DATA
    assert first.mode == Mode.UNKNOWN
    assert at(built, first, "anomaly/score")[1] == quality.NOT_APPLICABLE


def test_a_value_nobody_vouches_for_goes_bad_and_comes_back():
    built = asset()
    quiet = [tick(t) for t in (2, 3, 4)]
    _, shots = play(built, [*running([3.0]), *quiet, *running([4.0], start=5)])
    assert [at(built, s, "tank/level")[1] for s in shots] == [
        quality.GOOD,
        quality.GOOD,
        quality.GOOD,
        quality.BAD_NO_COMMUNICATION,
        quality.GOOD,
    ]


def test_a_mark_of_ours_gives_way_to_an_older_stamp_that_is_confirmed():
    built = asset()
    lost = batch(2, level=math.nan, state=math.nan, status=quality.BAD_NO_COMMUNICATION)
    back = batch(1, level=3.0, state=2)
    _, shots = play(built, [*running([3.0]), tick(2, lost), tick(3, back)])
    assert at(built, shots[1], "tank/level")[1] == quality.BAD_NO_COMMUNICATION
    assert at(built, shots[2], "tank/level") == (3.0, quality.GOOD)


def test_the_last_mode_is_held_for_a_while_then_unknown():
    built = asset()
    _, shots = play(built, [*running([3.0]), *[tick(t) for t in range(2, 11)]])
    assert [s.mode for s in shots[:6]] == [Mode.RUNNING] * 6
    assert shots[-1].mode == Mode.UNKNOWN


def test_a_model_is_silent_outside_its_modes_and_starts_anew_inside():
    built = asset(settle_s=1.5)
    idle = tick(4, batch(4, level=1.0, state=3))
    state, shots = play(built, [*running([3.0, 3.0, 3.0]), idle, *running([3.0], start=5)])
    codes = [at(built, s, "anomaly/score")[1] for s in shots]
    settling = quality.BAD_WAITING_FOR_INITIAL_DATA
    assert codes == [settling, settling, quality.GOOD, quality.NOT_APPLICABLE, settling]
    assert state.models[0].state.steps == 1


def test_a_failing_model_is_an_absent_value_and_a_fault_and_recovers():
    built = asset()
    _, shots = play(built, running([3.0, 666.0, 3.0]))
    assert at(built, shots[1], "anomaly/score")[1] == quality.BAD_INTERNAL_ERROR
    assert "devil" in shots[1].faults[0].text
    assert at(built, shots[1], "tank/level") == (666.0, quality.GOOD)
    assert at(built, shots[2], "anomaly/score")[1] == quality.GOOD


def test_numbers_at_the_end_of_the_float_stop_nothing():
    built = asset([high()], summary_s=3.0)
    _, shots = play(built, running([1e308, -1e308, 1.7e308, 5e-324, 3.0, 3.0, 3.0, 3.0]))
    assert at(built, shots[-1], "tank/level") == (3.0, quality.GOOD)
    assert at(built, shots[-1], "anomaly/score") == (3.0, quality.GOOD)


def test_a_condition_has_delay_hysteresis_and_count():
    built = asset([high(hysteresis=1.0, on_delay_s=1.0, off_delay_s=1.0)])
    _, shots = play(built, running([11, 9, 11, 11, 9.5, 9.5, 8, 8, 8]))
    changes = [[e.change for e in s.events if e.condition] for s in shots]
    assert changes == [[], [], [], ["raised"], [], [], [], ["cleared"], []]
    assert shots[-1].conditions[0].count == 1
    assert not shots[-1].conditions[0].acknowledged


def test_a_bad_value_leaves_a_condition_as_it_is():
    built = asset([high()])
    lost = batch(2, level=math.nan, status=quality.BAD_NO_COMMUNICATION)
    _, shots = play(built, [*running([11]), tick(2, lost), *running([5], start=3)])
    assert [s.conditions[0].active for s in shots] == [True, True, False]
    assert [e.change for e in shots[1].events if e.condition] == []


def test_acknowledge_and_shelve_are_commands_and_an_unknown_target_is_said():
    built = asset([high()])
    ask = Command("1", "ack", "rig/tank/level.high", "ann")
    shelf = Command("2", "shelve", "rig/tank/level.high", "ann", {"reason": "test", "for_s": "2"})
    no_reason = Command("3", "shelve", "rig/tank/level.high", "ann", {})
    unknown = Command("4", "ack", "rig/x", "ann")
    levels = running([11, 11, 5, 11, 11])
    levels[1] = replace(levels[1], commands=(ask, no_reason, unknown, shelf))
    _, shots = play(built, levels)
    assert [e.change for e in shots[1].events] == ["acknowledged", "refused", "refused", "shelved"]
    assert shots[1].conditions[0].acknowledged
    assert [e.change for e in shots[2].events] == []  # cleared on the shelf: nobody is told
    assert [e.change for e in shots[3].events] == ["unshelved", "raised"]


def test_alerts_join_one_case_that_a_person_closes_with_a_cause():
    second = replace(high(12.0), id="tank/level.higher")
    built = asset([high(), second])
    _, shots = play(built, running([11, 13]))
    case = shots[1].case
    assert [e.change for e in shots[0].events if e.case] == ["case_opened"]
    assert case.conditions == ("rig/tank/level.high", "rig/tank/level.higher")
    assert case.blamed == "rig/tank/level"
    wrong = Command("1", "close", case.id, "ann", {"cause": "boredom"})
    right = Command("2", "close", case.id, "ann", {"cause": "real"})
    levels = running([11, 13, 13, 5, 11])
    levels[2] = replace(levels[2], commands=(wrong, right))
    _, shots = play(built, levels)
    assert [e.change for e in shots[2].events] == ["refused", "case_closed"]
    assert (shots[2].case.cause, shots[2].case.closed_by) == ("real", "ann")
    assert shots[4].case.id != case.id


def test_windows_close_by_clock_mode_and_context_and_weigh_by_time():
    built = asset(summary_s=4.0)
    _, shots = play(built, [*running([1, 2, 3, 6]), tick(5, batch(5, level=9.0, state=3, product="water"))])
    (window,) = [s for shot in shots for s in shot.summaries]
    row = window.names.index("tank/level")
    # The first cycle has no length yet; then 1, 2 and 3 held for a second each, and 6 has just come.
    assert (window.closed_by, window.end_ns) == ("window", 4 * SECOND)
    assert window.mean[row] == pytest.approx(2)
    assert window.std[row] == pytest.approx(math.sqrt((1 + 4 + 9) / 3 - 2**2))
    assert (window.min[row], window.max[row], window.last[row], window.good[row]) == (1, 6, 6, 1)
    assert window.score_max == 6.0
    _, shots = play(built, [*running([1, 2]), tick(3, batch(3, level=9.0, state=3, product="water"))])
    (window,) = [s for shot in shots for s in shot.summaries]
    assert (window.closed_by, window.mode, window.max[row]) == ("mode", Mode.RUNNING, 2.0)


def test_the_last_tick_says_shutdown_without_events_and_enters_no_summary():
    built = asset([high()])
    ends = tick(3, batch(3, level=99.0, state=2), last=True)
    _, shots = play(built, [*running([1, 2]), ends])
    assert {at(built, shots[-1], n)[1] for n in ("tank/level", "anomaly/score")} == {quality.BAD_SHUTDOWN}
    assert shots[-1].events == ()
    assert shots[-1].summaries[0].max[1] == 2.0


def test_declared_mode_rules_need_their_time():
    rules = (ModeRule(Mode.RUNNING, "tank/level", at_least=5.0, for_s=2.0),)
    built = asset(modes=Modes(rules=rules, otherwise=Mode.IDLE))
    _, shots = play(built, running([6, 6, 6, 1]))
    assert [s.mode for s in shots] == [Mode.IDLE, Mode.IDLE, Mode.RUNNING, Mode.IDLE]


def test_a_checkpoint_continues_to_the_bit():
    built = asset([high(on_delay_s=2.0)], summary_s=5.0)
    ticks = running(list(np.linspace(5, 15, 12)))
    _, whole = play(built, ticks)
    half, _ = play(built, ticks[:6])
    thawed = states.thaw(built, states.freeze(built, half))
    _, rest = play(built, ticks[6:], thawed)
    for one, other in zip(whole[6:], rest, strict=True):
        assert one.value.tobytes() == other.value.tobytes()
        assert one.events == other.events
        assert [s.mean.tobytes() for s in one.summaries] == [s.mean.tobytes() for s in other.summaries]


def test_a_checkpoint_of_other_rules_or_models_keeps_what_fits():
    built = asset([high()])
    state, _ = play(built, running([11, 11]))
    changed = asset([high(), replace(high(1.0), id="new")])
    changed = replace(changed, models=(replace(changed.models[0], sha256="other"),))
    thawed = states.thaw(changed, states.freeze(built, state))
    assert [c.active for c in thawed.conditions] == [True, False]
    assert thawed.models[0].state.steps == 0
    moved = states.rebased(built, state, -SECOND // 2)
    assert moved.conditions[0].since_ns == state.conditions[0].since_ns - SECOND // 2
