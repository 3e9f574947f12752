"""A heartbeat that stands: nothing of its source is fresh any more, and one event says so."""

import math
from dataclasses import replace

from derived_world import SECOND, Play, asset, batch

from agent.core import quality
from agent.core.conditions import Rule
from agent.engine import heartbeats
from agent.engine import state as states
from agent.engine.asset import Heartbeat
from agent.engine.heartbeats import Beat

RULE = Rule("m/a.heartbeat", "m/a", "heartbeat", "high", 4.0, category="event", of="m/a", message="heartbeat of plc1")
BEAT = Heartbeat(0, "m/a", 4.0, (0, 2))  # m/a beats for itself and m/zones; m/b is of another source


def world(**more):
    return asset({"d/sum": "total({m/zones}[0])"}, heartbeats=[BEAT], rules=[RULE], stale_s=2.5, **more)


def lived(shown, beats, start=1, zone=1.0):
    """A cycle a second: m/a as given (None: its poll failed), the rest with a new sample in each; events and states."""
    events, states_of = [], []
    for t, beat in enumerate(beats, start):
        own = (t, "m/a", math.nan, quality.BAD_TIMEOUT) if beat is None else (t, "m/a", float(beat))
        shown.tick(t, batch(own, (t, "m/b", 1.0), arrays=[(t, "m/zones", [zone])]))
        events += [(t, e.text) for e in shown.shot.events if e.change in ("raised", "cleared")]
        states_of.append(tuple(shown.of(name)[1] for name in ("m/a", "m/zones", "m/b")))
    return events, states_of


LOST, WELL = "BadNoCommunication", "Good"


def test_a_moving_heartbeat_is_nothing_to_speak_of():
    assert lived(Play(world()), range(20)) == ([], [(WELL, WELL, WELL)] * 20)


def test_a_standing_heartbeat_is_bad_at_once_and_the_rest_of_its_source_after_their_stale_time():
    shown = Play(world())
    events, found = lived(shown, [1, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    # Unchanged since 2 s: beyond 4 s at 7 s. m/zones was confirmed last at 6 s, and is good for 2.5 s.
    assert events == [(7, "heartbeat of plc1 stopped: m/a unchanged for 5 s")]
    assert [t for t, (a, _, _) in enumerate(found, 1) if a == LOST] == [7, 8, 9, 10]
    assert [t for t, (_, zones, _) in enumerate(found, 1) if zones == LOST] == [9, 10]
    assert {b for _, _, b in found} == {WELL}
    (condition,) = shown.shot.conditions
    assert (condition.active, condition.kind, condition.limit) == (True, "heartbeat", 4.0)
    events, found = lived(shown, [3, 4], start=11)
    assert events == [(11, "heartbeat of plc1 is back: m/a changes again")]
    assert found == [(WELL, WELL, WELL)] * 2


def test_samples_of_a_plc_that_stands_count_for_nothing():
    shown = Play(world())
    lived(shown, [1, 2, 2, 2, 2, 2])
    before = shown.of("d/sum")[0]
    lived(shown, [2, 2, 2], start=7)
    lived(shown, [3], start=10)
    assert shown.of("d/sum") == (before + 1.0, "Good")


def test_a_connection_that_is_lost_is_no_stopped_heart():
    events, found = lived(Play(world()), [1, 2, 2, 2, None, None, None, None, None, None, 2, 2, 2, 2, 2, 3])
    assert events == []
    assert found[-1] == (WELL, WELL, WELL)
    assert found[5][0] == "BadTimeout"


def test_after_a_loss_a_heart_that_stood_must_move_to_be_well():
    shown = Play(world())
    events, _ = lived(shown, [1, *[2] * 6, None, None, 2, 2])
    assert [t for t, _ in events] == [7]
    assert lived(shown, [3], start=12)[0][0][0] == 12


def resumed(shown):
    """The state that the next run begins with, as runtime/restore.py makes it of a checkpoint."""
    return replace(states.thaw(shown.asset, states.freeze(shown.asset, shown.state)), t_ns=0)


def test_a_pause_of_ours_is_not_held_against_it():
    shown = Play(world())
    lived(shown, [1, 2, 2])
    again = Play(shown.asset, resumed(shown))
    assert lived(again, [2, 2, 2, 3], start=60) == ([], [(WELL, WELL, WELL)] * 4)


def test_a_checkpoint_in_between_changes_nothing():
    shown = Play(world())
    lived(shown, [1, 2, 2, 2])
    thawed = states.thaw(shown.asset, states.freeze(shown.asset, shown.state))
    assert lived(Play(shown.asset, thawed), [2] * 6, start=5) == lived(shown, [2] * 6, start=5)


def test_a_standing_heart_is_known_over_a_restart_and_a_boot():
    shown = Play(world())
    lived(shown, [1, *[2] * 9])
    after = resumed(shown)
    for state, start in ((after, 20), (states.rebased(shown.asset, after, -8 * SECOND), 5)):
        again = Play(shown.asset, state)
        events, found = lived(again, [2, 2], start)
        assert events == []
        assert found[0][0] == LOST
        assert again.shot.conditions[0].active
        assert [text for _, text in lived(again, [3], start + 2)[0]] == ["heartbeat of plc1 is back: m/a changes again"]


def test_samples_within_one_cycle_are_followed_one_by_one():
    samples = batch(*((t, "m/a", float(t < 3)) for t in (1, 2, 3, 4, 5, 6, 7.5)))
    (beat,) = heartbeats.step((BEAT,), (Beat(),), (samples,))
    assert beat.stopped
    assert beat.unchanged_s == 4.5
