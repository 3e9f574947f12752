"""What an asset goes on from after a stop: through a real store, as the daemon writes it."""

from dataclasses import replace

import pytest
from engine_world import SECOND, asset, batch, high, tick

from agent.core.nouns import Command
from agent.engine import state as states
from agent.engine.step import step
from agent.runtime import clock, restore
from agent.store import blocks, record
from agent.store.record import ClockRow
from agent.store.write import Store, Work

CAP = 10_000_000


def keep(path, entries, boot=None, clock_rows=()):
    store, _ = Store.open(path, CAP, boot or clock.boot_id(), "g")
    store.commit(Work(entries=list(entries), clock=list(clock_rows)))
    store.close()


def lived(built, levels, commands=()):
    """The state after some ticks, and all events on the way."""
    state, events = replace(states.initial(built), seq=1 << 32), []
    for t, level in enumerate(levels, 1):
        one = tick(t, batch(t, level=level, state=2), commands=commands if t == len(levels) else ())
        state, snapshot = step(built, state, replace(one, seq=state.seq + 1))
        events += snapshot.events
    return state, events


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


def test_without_a_journal_it_begins_anew(path):
    built = asset([high()])
    state = restore.state(built, path)
    assert state.seq == 1 << 32
    assert not state.conditions[0].active


def test_it_goes_on_from_the_checkpoint_with_a_new_run(path):
    built = asset([high()])
    before, _ = lived(built, [1, 11, 12])
    keep(path, [record.checkpoint("rig", 3 * SECOND, states.freeze(built, before))])
    state = restore.state(built, path)
    assert state.seq == 2 << 32
    assert state.t_ns == 0  # a pause weighs nothing
    assert state.conditions == before.conditions
    assert state.case == before.case
    assert state.models[0].state == before.models[0].state
    assert state.latest.value.tobytes() == before.latest.value.tobytes()


def test_events_after_the_checkpoint_win(path):
    built = asset([high()])
    early, _ = lived(built, [1])
    ack = Command("1", "ack", "rig/tank/level.high", "ann")
    late, events = lived(built, [1, 11, 12], [ack])
    entries = [record.checkpoint("rig", SECOND, states.freeze(built, early)), *map(record.event, events)]
    keep(path, entries)
    state = restore.state(built, path)
    assert state.conditions[0].active
    assert state.conditions[0].acknowledged
    assert state.case == late.case


def test_after_a_reboot_times_move_to_the_new_axis_and_models_begin_anew(path):
    built = asset([high()])
    before, _ = lived(built, [1, 11, 12])
    # In the old boot, its clock at 3 s was one hour ago by the wall.
    then_ns = clock.wall_ns() - 3600 * SECOND
    rows = [ClockRow(3 * SECOND, then_ns, "synchronised")]
    keep(path, [record.checkpoint("rig", 3 * SECOND, states.freeze(built, before))], "another-boot", rows)
    state = restore.state(built, path)
    age_s = (clock.now_ns() - state.conditions[0].since_ns) * 1e-9
    assert age_s == pytest.approx(3600 + 1, abs=5)
    assert state.models[0].state.steps == 0


def test_a_checkpoint_that_cannot_be_read_is_passed_over(path, caplog):
    built = asset([high()])
    keep(path, [record.checkpoint("rig", SECOND, b"nonsense")])
    assert restore.state(built, path).seq == 1 << 32
    assert "starting anew" in caplog.text


def ticked(built, count, start=1):
    """(state, ticks) after so many ticks with levels that go up and down."""
    state, ticks = replace(states.initial(built), seq=1 << 32), []
    for t in range(start, start + count):
        one = replace(tick(t, batch(t, level=5 + 7 * (t % 3), state=2)), seq=state.seq + 1)
        state, _ = step(built, state, one)
        ticks.append(one)
    return state, ticks


def blocked(ticks):
    return blocks.pack([record.tick(one) for one in ticks])


def test_ticks_stored_after_the_checkpoint_are_played_again_to_the_bit(path):
    built = asset([high()])
    checkpointed, _ = ticked(built, 5)
    killed, ticks = ticked(built, 40)
    entries = [blocked(ticks[:5]), record.checkpoint("rig", 5 * SECOND, states.freeze(built, checkpointed)),
               blocked(ticks[5:20]), blocked(ticks[20:])]  # fmt: skip
    keep(path, entries)
    state = restore.state(built, path)
    assert states.freeze(built, state) == states.freeze(built, restore.first(killed, 2))


@pytest.mark.parametrize("hole", ["a tick is missing", "another boot", "another asset"])
def test_ticks_that_do_not_follow_are_not_played(path, hole):
    built = asset([high()])
    checkpointed, ticks = ticked(built, 5)
    _, ticks = ticked(built, 12)
    point = record.checkpoint("rig", 5 * SECOND, states.freeze(replace(built, key=hole[8:]), checkpointed))
    if hole == "another boot":
        keep(path, [point], boot="before")
        keep(path, [blocked(ticks[5:])])
        assert restore.state(built, path).conditions[0].active == checkpointed.conditions[0].active
        return
    keep(path, [point, blocked(ticks[5:7] + ticks[8:])])
    built = built if hole == "another asset" else replace(built, key=hole[8:])
    expected = checkpointed if hole == "another asset" else ticked(built, 7)[0]
    assert states.freeze(built, restore.state(built, path)) == states.freeze(built, restore.first(expected, 2))


def test_events_after_the_last_stored_tick_still_win(path):
    built = asset([high()])
    checkpointed, _ = ticked(built, 3)
    _, ticks = ticked(built, 6)
    state, events = lived(built, [1, 11, 12, 13])
    told = replace(events[-1], condition=replace(state.conditions[0], active=True, count=77))
    keep(path, [record.checkpoint("rig", 3 * SECOND, states.freeze(built, checkpointed)), record.event(events[0]),
                blocked(ticks[3:]), record.event(told)])  # fmt: skip
    assert restore.state(built, path).conditions[0].count == 77
