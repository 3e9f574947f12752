"""Derived tags in the engine: in statistics, summaries, limits and backtests as any other; over restarts and boots."""

import math
from dataclasses import replace

import numpy as np
import pytest
from derived_world import SECOND, Play, asset, batch

from agent.core import wire
from agent.core.conditions import Rule
from agent.core.nouns import Tick
from agent.engine import derived
from agent.engine import state as states
from agent.engine.replay import play
from agent.engine.step import step

TEXTS = {
    "d/power": "{m/a} * {m/b}",
    "d/energy": "integral({d/power}) / 3600",
    "d/count": "total(increase({m/b}, 1000))",
    "d/slope": "rate({m/a})",
    "d/kept": "hold({m/a}, 30)",
}


def ticks(stop, start=1):
    """A tick a second with a new value of a and b in each."""
    return [
        Tick("rig", 1, t, t * SECOND, (batch((t, "m/a", t * 0.37), (t - 0.2, "m/b", (t * 171.0) % 1000)),))
        for t in range(start, stop)
    ]


def lived(built, some, state=None):
    state, shots = state or states.initial(built), []
    for one in some:
        state, shot = step(built, state, one)
        shots.append(shot)
    return state, shots


def test_statistics_summaries_and_limits_see_it():
    rule = Rule("d/power.high", "d/power", "limit", "high", 10.0, of="d/power")
    shown = Play(asset({"d/power": "{m/a} * {m/b}"}, rules=[rule]))
    for t in range(1, 61):
        shown.tick(t, batch((t, "m/a", 2.0), (t, "m/b", float(t))))
    assert shown.shot.conditions[0].active
    (summary,) = shown.shot.summaries
    row = summary.names.index("d/power")
    assert (summary.max[row], summary.last[row], summary.good[row]) == (120.0, 120.0, 1.0)
    assert summary.mean[row] == pytest.approx(2 * np.mean(np.arange(1, 60)))


def test_what_did_not_change_is_no_sample():
    shown = Play(asset({"d/x": "{m/a} + 1"}, stale_s=60.0)).tick(1, batch((1, "m/a", 1.0)))
    assert shown.of("d/x") == (2.0, "Good")
    newest, muted = shown.state.latest, np.zeros(4, np.bool_)
    seen = derived.latest.seen(newest, SECOND, shown.asset.stale_ns, muted)
    one = Tick("rig", 1, 2, 2 * SECOND)
    assert derived.step(shown.asset.derived, shown.state.memories, newest, seen, one, muted)[0] is None


def test_it_is_as_stale_as_its_operands():
    shown = Play(asset({"d/x": "{m/a} + {m/b}"}, stale_s=2.5)).tick(1, batch((1, "m/a", 1.0), (1, "m/b", 1.0)))
    seen = [shown.tick(t, batch((t, "m/a", 1.0))).of("d/x")[1] for t in (2, 3, 4, 5)]
    assert seen == ["Good", "Good", "BadNoCommunication", "BadNoCommunication"]


def test_a_tick_that_is_played_again_gives_the_same_bits():
    built = asset(TEXTS)
    state = states.initial(built)
    messages = [("state", states.freeze(built, state), 0)]
    for one in ticks(40):
        state, shot = step(built, state, one)
        messages += [("tick", wire.encode(one), 0), ("snapshot", wire.encode(shot), 0)]
    assert all(batch.source == "plc" for one in ticks(3) for batch in one.batches)  # only what a driver gave
    outcome = play(built, messages)
    assert (outcome.ticks, outcome.same) == (39, 39)


def test_a_checkpoint_continues_to_the_bit():
    built = asset(TEXTS)
    _, whole = lived(built, ticks(21))
    half, _ = lived(built, ticks(11))
    _, rest = lived(built, ticks(21, 11), states.thaw(built, states.freeze(built, half)))
    for one, other in zip(whole[10:], rest, strict=True):
        assert one.value.tobytes() == other.value.tobytes()
        assert one.status.tobytes() == other.status.tobytes()


@pytest.mark.parametrize(("pause_s", "area"), [(1.0, 4.0), (30.0, 3.0)])
def test_a_short_restart_is_bridged_and_a_long_one_is_not(pause_s, area):
    built = asset({"d/x": "integral({m/a})"}, stale_s=3.0)
    before, _ = lived(built, [Tick("rig", 1, t, t * SECOND, (batch((t, "m/a", 1.0)),)) for t in (1, 2, 3, 4)])
    begins = replace(states.thaw(built, states.freeze(built, before)), t_ns=0)
    at_s = 4 + pause_s
    _, (shot,) = lived(built, [Tick("rig", 1, 9, round(at_s * SECOND), (batch((at_s, "m/a", 1.0)),))], begins)
    assert float(shot.value[built.names.at["d/x"]]) == area


def test_another_expression_begins_anew_and_the_others_go_on():
    built = asset({"d/x": "total({m/a})", "d/y": "total({m/b})"})
    half, _ = lived(built, ticks(11))
    changed = asset({"d/new": "{m/a}", "d/y": "total({m/b}) * 1", "d/x": "total({m/a} + 0)"})
    thawed = states.thaw(changed, states.freeze(built, half))
    kept = dict(zip((recall.key for recall in changed.derived.recalls), thawed.memories, strict=True))
    assert kept["d/y: total({m/b})"].sum > 0
    assert kept["d/x: total({m/a} + 0)"].sum == 0


def test_after_a_boot_totals_and_counters_go_on_and_what_hangs_on_time_begins_anew():
    built = asset(TEXTS | {"d/sum": "total({m/a})"}, stale_s=60.0)
    before, shots = lived(built, ticks(11))
    at = built.names.at
    energy, count, added = (float(shots[-1].value[at[n]]) for n in ("d/energy", "d/count", "d/sum"))
    state = states.rebased(built, before, -(10**18))
    one = Tick("rig", 1, 20, 5 * SECOND, (batch((5, "m/a", 1.0), (5, "m/b", 715.0)),))  # 710 was the last of before
    _, (shot,) = lived(built, [one], state)
    assert float(shot.value[at["d/energy"]]) == energy
    assert float(shot.value[at["d/count"]]) == count + 5.0
    assert float(shot.value[at["d/sum"]]) == added + 1.0
    assert math.isnan(shot.value[at["d/slope"]])


def test_a_checkpoint_from_before_there_were_derived_tags_is_read():
    plain = asset({})
    state, _ = lived(plain, ticks(4))
    old = states.freeze(plain, state).replace(b'"memories"', b'"memorieX"').replace(b'"beats"', b'"beatX"')
    built = replace(asset({"d/x": "total({m/a})"}))
    assert states.thaw(built, old).memories == states.initial(built).memories


def test_one_reading_without_an_engine_is_worked_out_too():
    built = asset({"d/power": "{m/a} * {m/b}", "d/zone": "{m/zones}[1]", "d/slope": "rate({d/power})"})
    value, status = np.array([2.0, 3.0, np.nan, 0, 0, 0]), np.zeros(6, np.uint32)
    found, codes = derived.once(built.derived, value, status, {2: np.array([1.0, 4.0])})
    assert found[:2].tolist() == [6.0, 4.0]
    assert codes.tolist()[2] == derived.quality.BAD_WAITING_FOR_INITIAL_DATA
    assert derived.operands(built)["rig/d/slope"] == ("rig/m/a", "rig/m/b")
