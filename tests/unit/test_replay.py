"""A backtest: the same ticks give the same bits, another rule or a hole in the record is said."""

from dataclasses import replace

from engine_world import asset, batch, high, tick
from keeper import kept

from agent.core import wire
from agent.core.nouns import Command
from agent.engine import state as states
from agent.engine.replay import play
from agent.engine.step import step


def recorded(built, levels, from_seq=0):
    """Messages as the journal holds them, and the state after them."""
    state = replace(states.initial(built), seq=from_seq)
    messages = [("state", states.freeze(built, state), 0)]
    for t, level in enumerate(levels, 1):
        one = replace(tick(t, batch(t, level=level, state=2)), seq=from_seq + t)
        state, snapshot = step(built, state, one)
        messages += [("tick", wire.encode(one), 0), ("snapshot", wire.encode(snapshot), 0)]
    return messages


LEVELS = [1.0, 5.0, 11.0, 12.0, 12.0, 4.0]


def test_the_same_ticks_give_the_same_bits():
    built = asset([high()], summary_s=3.0)
    outcome = play(built, recorded(built, LEVELS))
    assert (outcome.ticks, outcome.same, outcome.different, outcome.skipped) == (6, 6, 0, 0)
    assert outcome.alerts_live == outcome.alerts_now == 1


def test_another_limit_is_told_with_what_changed():
    built = asset([high()])
    outcome = play(asset([high(limit=100.0)]), recorded(built, LEVELS))
    assert outcome.different > 0
    assert (outcome.alerts_live, outcome.alerts_now) == (1, 0)
    assert outcome.differences


def test_a_changed_value_is_named_with_its_point():
    built = asset()
    messages = recorded(built, LEVELS)
    shorter = replace(built, models=())
    shorter = replace(shorter, points=built.points[:4])
    assert "points then" in play(shorter, messages).differences[0]
    older = replace(built, stale_s=(-1.0,) * 3)
    assert "rig/" in play(older, messages).differences[0]


def test_ticks_after_a_hole_are_skipped_until_the_next_state():
    built = asset()
    first = recorded(built, LEVELS)
    second = recorded(built, LEVELS, from_seq=1 << 32)
    holed = first[:3] + first[5:] + second
    outcome = play(built, holed)
    assert outcome.skipped == 4
    assert outcome.ticks == outcome.same == 1 + 6


def test_maintenance_and_what_came_back_for_a_model_play_back_to_the_bit():
    built = kept([high()])
    asked = [
        Command("1", "life", "rig/twin", "worker", {"text": "80 h"}),
        Command("2", "maintenance", "rig", "jane", {"step": "begin"}),
        Command("3", "maintenance", "rig", "jane", {"step": "end", "replaced": "pump"}),
        Command("4", "maintenance", "rig", "jane", {"step": "undo"}),
        Command("5", "maintenance", "rig", "jane", {"step": "end"}),
    ]
    state, messages = states.initial(built), []
    for t in range(1, 13):
        commands = [asked[t // 2 - 1]] if t % 2 == 0 and t // 2 <= len(asked) else ()
        one = replace(tick(t, batch(t, level=3.0 + t, state=2), commands=commands), seq=t)
        if t % 4 == 1:
            messages.append(("state", states.freeze(built, state), 0))
        state, snapshot = step(built, state, one)
        messages += [("tick", wire.encode(one), 0), ("snapshot", wire.encode(snapshot), 0)]
    for begin in (0, 9):
        outcome = play(built, messages[begin:])
        assert (outcome.same, outcome.different) == (outcome.ticks, 0)
        assert outcome.ticks == 12 - begin // 9 * 4
    assert [(a.begun_ns, a.ended_ns) for a in outcome.now] == [(a.begun_ns, a.ended_ns) for a in outcome.live]


def test_alarms_then_and_now_are_in_wall_time():
    built = asset([high()])
    messages = [(kind, body, 10**18) for kind, body, _ in recorded(built, LEVELS)]
    (alarm,) = play(built, messages).live
    assert (alarm.begun_ns, alarm.ended_ns) == (10**18 + 3 * 10**9, 10**18 + 6 * 10**9)
    assert alarm.worst == 12.0
    other = play(asset([high(limit=11.5)]), messages)
    assert other.now[0].begun_ns == 10**18 + 4 * 10**9
