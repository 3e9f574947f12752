"""What an asset goes on from after a stop: through a real store, as the daemon writes it."""

from dataclasses import replace

import pytest
from engine_world import SECOND, asset, batch, high, tick

from agent.core.nouns import Command
from agent.engine import state as states
from agent.engine.step import step
from agent.runtime import clock, restore
from agent.store import record
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
