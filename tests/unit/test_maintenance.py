"""Maintenance through the engine: what is silent, what goes on, what is set back, and how it is taken back."""

import pytest
from engine_world import SECOND, at, batch, high, tick
from keeper import kept
from test_engine_models import FINDING, WEAR, play, told

from agent.core import quality
from agent.core.conditions import Rule
from agent.core.nouns import Command, Mode
from agent.engine import maintenance
from agent.engine import state as states

ALARM = {"category": "alarm", "priority": "high", "consequence": "x", "response": "y", "respond_within_s": 60.0}
RUNNING = frozenset({Mode.RUNNING})


def care(step, **args):
    return Command("c1", "maintenance", "rig", "jane", {"step": step, **args})


def at_level(t, *commands, level=3.0, state=2):
    return tick(t, batch(t, level=level, state=state), commands=commands)


def changes(shots):
    return [[e.change for e in s.events] for s in shots]


def test_the_mode_says_it_models_are_silent_and_the_machines_own_mode_goes_on_after_it():
    built = kept()
    ticks = [at_level(1), at_level(2, care("begin")), at_level(3, state=3)]
    state, shots = play(built, [*ticks, tick(4, batch(4, level=3.0, state=3), commands=[care("end")])])
    assert [s.mode for s in shots] == [Mode.RUNNING, Mode.MAINTENANCE, Mode.MAINTENANCE, Mode.IDLE]
    assert [at(built, s, "state/mode")[0] for s in shots] == [2, 6, 6, 3]
    assert at(built, shots[1], WEAR)[1] == quality.NOT_APPLICABLE
    assert changes(shots)[1:] == [["mode", "maintenance_began"], [], ["mode", "maintenance_ended"]]
    assert shots[1].events[0].text == "running -> maintenance"
    assert "by jane" in shots[1].events[1].text
    assert not state.maintenance.now.since_ns


def test_alerts_end_and_stay_silent_alarms_of_the_machine_go_on_those_of_a_model_do_not():
    rules = [
        high(modes=frozenset(Mode)),
        Rule("top", "tank/level", "limit", "high", 10.0, modes=RUNNING, **ALARM),
        Rule("off", "tank/level.residual", "limit", "high", 10.0, **ALARM),
        Rule("twin", "tank/level.residual", "residual", "both", 10.0, category="alert"),
    ]
    built = kept(rules)
    ticks = [at_level(1, level=11.0), at_level(2, care("begin"), level=11.0), at_level(3, level=11.0),
             at_level(4, care("end"), level=11.0)]  # fmt: skip
    _, shots = play(built, ticks)
    assert [[c.active for c in s.conditions] for s in shots] == [
        [True, True, True, True],
        [False, True, False, False],
        [False, True, False, False],
        [True, True, True, True],
    ]
    cleared = [e for e in shots[1].events if e.change == "cleared"]
    assert [e.condition.id for e in cleared] == ["rig/tank/level.high", "rig/off", "rig/twin"]
    assert all("maintenance" in e.text for e in cleared)


def test_no_case_opens_in_maintenance_and_an_alarm_is_raised_in_the_mode_the_machine_is_in():
    rules = [high(), Rule("top", "tank/level", "limit", "high", 10.0, modes=RUNNING, **ALARM)]
    _, shots = play(kept(rules), [at_level(1), at_level(2, care("begin")), at_level(3, level=11.0)])
    assert changes(shots)[2] == ["raised"]
    assert shots[2].events[0].condition.id == "rig/top"
    assert shots[2].case is None


def test_limits_settle_after_it_ended_although_the_machine_never_stopped():
    built = kept([high(settle_s=2.5)])
    ticks = [*map(at_level, range(1, 6)), at_level(6, care("begin")), at_level(7, care("end"), level=11.0)]
    _, shots = play(built, [*ticks, *(at_level(t, level=11.0) for t in (8, 9, 10))])
    assert [s.conditions[0].active for s in shots[6:]] == [False, False, False, True]


def test_a_replaced_component_begins_anew_and_an_undo_brings_back_the_health_there_was():
    built = kept()
    said = [at_level(t) for t in (1, 2, 3)]
    begun, ended = at_level(4, care("begin")), at_level(5, care("end", replaced="pump"))
    state, shots = play(built, [*said, begun, ended])
    assert at(built, shots[4], WEAR)[0] == pytest.approx(0.1)
    assert "replaced pump" in shots[4].events[1].text
    # Over a checkpoint, as after a restart.
    state = states.thaw(built, states.freeze(built, state))
    state, shots = play(built, [at_level(6), at_level(7, care("undo")), at_level(8, care("end"))], state)
    assert [s.mode for s in shots] == [Mode.RUNNING, Mode.MAINTENANCE, Mode.RUNNING]
    assert at(built, shots[2], WEAR)[0] == pytest.approx(0.4)


def test_a_model_is_told_of_one_component_or_tag_at_a_time():
    built = kept()
    both = care("begin", replaced="pump", recalibrated="tank/level,tank/flow")
    state, shots = play(built, [at_level(1), at_level(2, both)])
    assert "replaced pump, recalibrated tank/level, recalibrated tank/flow by jane" in shots[1].events[1].text
    assert (state.models[0].state.wear, state.models[0].state.life) == (0.0, "tank/flow set right")


def test_a_prediction_that_was_asked_before_the_replacement_is_not_believed():
    built = kept()
    life = [
        Command(str(t), "life", "rig/twin", "gateway", {"text": f"{t} h", "asked_ns": str(t * SECOND)}) for t in (1, 3)
    ]
    begun = at_level(2, care("begin", replaced="pump"))
    _, shots = play(built, [at_level(1), begun, at_level(3, care("end"), life[0]), at_level(4, life[1])])
    assert [told(built, s) for s in shots[2:]] == ["no estimate, 1 steps", "3 h, 2 steps"]
    assert changes(shots)[3] == []


def test_an_undo_takes_back_one_step_and_no_more():
    built = kept()
    state, shots = play(built, [at_level(1), at_level(2, care("begin", replaced="pump")), at_level(3, care("undo"))])
    assert shots[2].mode == Mode.RUNNING
    assert at(built, shots[2], WEAR)[0] == pytest.approx(0.2)
    _, (again,) = play(built, [at_level(4, care("undo"))], state)
    assert changes([again]) == [["refused"]]
    assert at(built, again, WEAR)[0] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (care("end"), "not in maintenance"),
        (care("undo"), "no step to take back"),
        (care("dance"), "expected one of begin, end, undo"),
        (care("begin", replaced="pmp"), "no component pmp, expected pump"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(command, why):
    state, (_, shot) = play(kept(), [at_level(1), at_level(2, command)])
    (event,) = shot.events
    assert (event.change, event.user) == ("refused", "jane")
    assert why in event.text
    assert state.maintenance == states.Maintenance()
    assert shot.mode == Mode.RUNNING


def test_a_second_begin_is_refused_and_a_model_without_health_replaces_nothing():
    from engine_world import asset

    _, shots = play(kept(), [at_level(1, care("begin")), at_level(2, care("begin"))])
    assert "already" in shots[1].events[0].text
    plain = asset()
    _, (shot,) = play(plain, [at_level(1, care("begin", replaced="pump"))])
    assert "takes no command" in shot.events[-1].text
    _, (shot,) = play(plain, [at_level(1, care("begin"))])
    assert shot.mode == Mode.MAINTENANCE


def test_it_outlasts_a_restart_and_another_boot():
    built = kept([high()])
    state, _ = play(built, [at_level(1), at_level(2, care("begin"))])
    for kept_state in (states.thaw(built, states.freeze(built, state)), states.rebased(built, state, 5_000_000_000)):
        _, (shot,) = play(built, [at_level(10, level=11.0)], kept_state)
        assert shot.mode == Mode.MAINTENANCE
        assert told(built, shot, FINDING) is None
        assert not shot.conditions[0].active


B, E, U = (maintenance.CHANGE[step] for step in ("begin", "end", "undo"))


@pytest.mark.parametrize(
    ("events", "periods"),
    [
        ([], []),
        ([B, E, "mode", B], [(0, 1), (3, 0)]),
        ([B, U], []),
        ([B, "raised", E, U], [(0, 0)]),
        ([B, E, U, E], [(0, 3)]),
        ([B, E, B, U], [(0, 1)]),
        ([E, U], []),
    ],
)
def test_the_periods_that_events_tell(events, periods):
    assert maintenance.periods(enumerate(events)) == periods
