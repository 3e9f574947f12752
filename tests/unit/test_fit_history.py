"""The recorder's history as a recording: what was the matter is left out, and said."""

from dataclasses import replace

import numpy as np
import pytest
from engine_world import SECOND, asset, batch, high, tick

from agent.core import quality, wire
from agent.core.nouns import Command
from agent.engine import state as states
from agent.engine.step import step
from agent.fit import history
from agent.fit.history import Wanted
from agent.fit.recording import FitError, read
from agent.store.read import Message
from agent.store.record import EVENT, Record

WALL_NS = 1_793_500_000 * SECOND


class Journal:
    """As `store.read.Reader` gives them: snapshots and events of a run."""

    def __init__(self, built, levels, commands):
        state, self.snapshots, self.events = states.initial(built), [], []
        for t, level in enumerate(levels, 1):
            status = quality.BAD_NO_COMMUNICATION if np.isnan(level) else quality.GOOD
            given = [replace(c, target=state.case.id if c.do == "close" else c.target) for c in commands.get(t, ())]
            one = tick(t, batch(t, level=level, state=2, status=status), commands=given)
            state, snapshot = step(built, state, replace(one, seq=t))
            self.snapshots.append((t, wire.encode(snapshot)))
            self.events += [(t, wire.encode(event)) for event in snapshot.events]

    def messages(self, asset, kinds, *, start_ns, end_ns):
        assert kinds == ("snapshot",)
        for t, body in self.snapshots:
            if start_ns <= WALL_NS + t * SECOND < end_ns:
                yield Message("snapshot", "boot", t * SECOND, WALL_NS + t * SECOND, body, 1)

    def records(self, class_, asset):
        assert class_ == EVENT
        for n, (t, body) in enumerate(self.events):
            yield Record(n, EVENT, 1, n, "boot", t * SECOND, WALL_NS + t * SECOND, "", asset, "event", body)


def written(tmp_path, levels, commands=(), built=None, **wanted):
    built = built or asset([high()])
    out = tmp_path / "h.csv"
    outcome = history.write(Journal(built, levels, dict(commands)), built, Wanted(**wanted), out)
    return outcome, read(out)


def seconds(recording):
    return [round(t - WALL_NS / SECOND) for t in recording.time_s]


def test_tags_and_mode_stand_in_columns_a_row_a_cycle(tmp_path):
    outcome, found = written(tmp_path, [1.0, 2.0, 3.0])
    assert seconds(found) == [1, 2, 3]
    assert found.names == ("drive/state", "tank/level", "state/mode")
    assert found.columns(["tank/level"])[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert found.columns(["state/mode"])[:, 0].tolist() == [2.0, 2.0, 2.0]
    assert outcome.rows == 3
    assert not outcome.left_out


def test_alarms_are_left_out_with_a_margin(tmp_path):
    levels = [1.0] * 10 + [11.0] * 3 + [1.0] * 10
    outcome, found = written(tmp_path, levels, margin_s=2.0)
    assert seconds(found) == [*range(1, 9), *range(17, 24)]
    assert dict(outcome.left_out) == {"alarms and alerts": 8}
    assert any("left out for alarms and alerts: 8 rows" in line for line in outcome.lines(1.0))


def test_an_alarm_that_goes_on_leaves_out_the_rest(tmp_path):
    _, found = written(tmp_path, [1.0] * 10 + [11.0] * 5, margin_s=0.0)
    assert seconds(found) == [*range(1, 11)]


def test_an_alarm_that_a_person_called_false_is_no_reason(tmp_path):
    levels = [1.0] * 10 + [11.0] * 3 + [1.0] * 10
    ended = {20: (Command("1", "close", "rig", "jane", {"cause": "false"}),)}
    real = {20: (Command("1", "close", "rig", "jane", {"cause": "real"}),)}
    built = asset([replace(high(), category="alert")])
    assert len(seconds(written(tmp_path, levels, ended, built, margin_s=2.0)[1])) == 23
    assert len(seconds(written(tmp_path, levels, real, built, margin_s=2.0)[1])) == 15


def test_maintenance_is_left_out(tmp_path):
    steps = {5: (Command("1", "maintenance", "rig", "jane", {"step": "begin"}),),
             9: (Command("2", "maintenance", "rig", "jane", {"step": "end"}),)}  # fmt: skip
    outcome, found = written(tmp_path, [1.0] * 15, steps)
    assert seconds(found) == [*range(1, 5), *range(10, 16)]
    assert dict(outcome.left_out) == {"maintenance": 5}


def test_what_is_not_good_is_empty_and_counted(tmp_path):
    outcome, found = written(tmp_path, [1.0, float("nan"), 3.0])
    assert np.isnan(found.columns(["tank/level"])[1, 0])
    assert outcome.not_good["tank/level"] == 1


def test_only_the_time_asked_for(tmp_path):
    first, last = WALL_NS + 3 * SECOND, WALL_NS + 6 * SECOND
    _, found = written(tmp_path, [1.0] * 10, start_ns=first, end_ns=last)
    assert seconds(found) == [3, 4, 5]
    with pytest.raises(FitError, match=r"asset rig: no rows in its history then \(none recorded\)"):
        written(tmp_path, [1.0] * 10, start_ns=WALL_NS + 100 * SECOND)


def test_points_of_models_are_columns_where_they_are_asked_for(tmp_path):
    _, found = written(tmp_path, [1.0, 2.0, 3.0], points=("tank/level.deviation",))
    assert "tank/level.deviation" in found.names
    assert "anomaly/score" not in found.names
