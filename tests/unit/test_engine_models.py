"""What models say in words, what they are told, and what they keep."""

from dataclasses import replace

import pytest
from engine_world import at, batch, tick
from keeper import Keeper, kept

from agent.core import quality, wire
from agent.core.nouns import Command, Snapshot
from agent.engine import state as states
from agent.engine.step import step

FINDING, WEAR = "health/finding", "health/pump.wear"


def play(built, ticks, state=None):
    state, shots = state or states.initial(built), []
    for one in ticks:
        state, shot = step(built, state, one)
        shots.append(shot)
    return state, shots


def running(n, start=1, level=3.0, state=2):
    return [tick(t, batch(t, level=level, state=state, product="water")) for t in range(start, start + n)]


def told(built, shot, name=FINDING):
    return shot.texts.get([p.id for p in built.points].index(f"rig/{name}"))


def ask(do, target="rig", **args):
    return Command("c1", do, target, "jane", args)


def test_a_text_of_a_model_stands_at_its_own_row_beside_those_of_tags():
    built = kept()
    _, shots = play(built, running(2))
    assert [told(built, s) for s in shots] == ["no estimate, 1 steps", "no estimate, 2 steps"]
    assert told(built, shots[0], "process/product") == "water"
    assert wire.decode(Snapshot, wire.encode(shots[0])).texts == shots[0].texts


def test_outside_its_modes_and_while_it_settles_a_model_says_no_text():
    built = kept(settle_s=1.5)
    _, shots = play(built, [*running(3), *running(1, 4, state=3), *running(1, 5, level=666.0)])
    assert [told(built, s) is None for s in shots] == [True, True, False, True, True]


def test_what_a_model_keeps_outlasts_a_pause_a_failure_and_another_boot():
    built = kept()
    state, shots = play(built, [*running(3), *running(1, 4, state=3), *running(1, 5), *running(1, 6, level=666.0)])
    assert at(built, shots[4], WEAR)[0] == pytest.approx(0.4)
    assert told(built, shots[4]) == "no estimate, 1 steps"
    moved = states.rebased(built, state, 10**12)
    _, after = play(built, running(1, 2000), moved)
    assert at(built, after[0], WEAR)[0] == pytest.approx(0.5)


def test_a_model_that_fails_where_it_begins_again_begins_anew():
    class Brittle(Keeper):
        def resume(self, params, state):
            raise ValueError("a state of another world")

    built = kept(kind=Brittle())
    _, shots = play(built, [*running(3), *running(1, 4, state=3), *running(3, 5)])
    codes = [at(built, s, WEAR)[1] for s in shots]
    assert codes[4] == quality.BAD_INTERNAL_ERROR
    assert "another world" in shots[4].faults[0].text


@pytest.mark.parametrize("target", ["rig", "rig/twin"])
def test_a_command_reaches_the_model_before_it_steps(target):
    built = kept()
    life = tick(2, batch(2, level=3.0, state=2), commands=[ask("life", target, text="100 h")])
    _, shots = play(built, [*running(1), life])
    assert told(built, shots[1]) == "100 h, 2 steps"
    assert shots[1].events == ()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (ask("life", "rig/other", text="1 h"), "no model rig/other"),
        (ask("replace", replaced="valve"), "twin: no component valve, expected pump"),
        (ask("life"), "twin: 'text'"),
    ],
)
def test_a_command_that_no_model_takes_is_an_event_and_changes_nothing(command, why):
    built = kept()
    _, (_, second) = play(built, [*running(1), tick(2, batch(2, level=3.0, state=2), commands=[command])])
    (event,) = second.events
    assert (event.change, event.user) == ("refused", "jane")
    assert why in event.text
    assert told(built, second) == "no estimate, 2 steps"


def test_texts_and_lasting_state_go_through_a_checkpoint():
    built = kept()
    state, _ = play(built, running(3))
    thawed = states.thaw(built, states.freeze(built, state))
    assert thawed.models[0].texts == state.models[0].texts == {2: "no estimate, 3 steps"}
    one = running(1, 4)
    assert wire.encode(play(built, one, state)[1][0]) == wire.encode(play(built, one, thawed)[1][0])


def test_summaries_tell_what_models_said_last():
    built = replace(kept(), summary_s=3.0)
    _, shots = play(built, [*running(4), *running(2, 5, state=3)])
    by_window, by_mode = [s for shot in shots for s in shot.summaries][:2]
    assert (by_window.closed_by, by_mode.closed_by) == ("window", "mode")
    assert by_window.figures == {WEAR: pytest.approx(0.3)}
    assert by_mode.findings == {FINDING: "no estimate, 4 steps"}
    assert all("residual" not in name for name in by_window.figures)
    later = next(s for shot in play(built, running(8, 1, state=3))[1] for s in shot.summaries)
    assert (later.figures, later.findings) == ({}, {})
    back = wire.decode(Snapshot, wire.encode(next(s for s in shots if s.summaries)))
    assert back.summaries[0].findings == by_window.findings
