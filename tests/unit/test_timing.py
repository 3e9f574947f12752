"""A model that takes too long again and again is suspended, and comes back."""

from dataclasses import replace

import pytest
from engine_world import at
from shadow_world import Scaled, ask, changes, paired, play

from agent.core import quality, wire
from agent.core.nouns import Command
from agent.engine import state as states
from agent.engine.step import step
from agent.runtime import clock, meters
from agent.runtime.cycle import Cycle
from agent.runtime.inbox import Inbox
from agent.runtime.timing import SLOW, STEPS


@pytest.fixture
def counters():
    return meters.install(meters.Meters())


def suspended(target="rig/score", for_s=600):
    return Command("slow", "suspend", target, "gateway", {"for_s": f"{for_s}", "why": "9 ms a step"})


def test_a_suspended_model_gives_nothing_with_one_fault_and_comes_back_with_what_it_was():
    built = paired(1.0, 1.0)
    state, shots = play(built, [0.5] * 20, commands={5: [suspended()]})
    codes = [at(built, shot, "anomaly/score")[1] for shot in shots]
    assert codes == [quality.GOOD] * 5 + [quality.BAD_INTERNAL_ERROR] * 10 + [quality.GOOD] * 5
    assert [f.text for s in shots for f in s.faults] == ["TimeoutError: it is suspended, its steps take too long"]
    assert [e.text for e in shots[5].events] == ["rig/score: suspended for 10 min: 9 ms a step"]
    assert state.models[0].state.steps == 5
    assert state.models[1].state.steps == 20


def test_it_stays_suspended_over_a_restart_but_not_over_another_boot():
    built = paired(1.0, 1.0)
    state, _ = play(built, [0.5] * 6, commands={5: [suspended()]})
    thawed = states.thaw(built, states.freeze(built, state))
    assert thawed.models[0].until_ns == state.models[0].until_ns > 0
    assert states.rebased(built, state, 10**12).models[0].until_ns == 0


def test_a_promoted_model_that_is_suspended_is_taken_back():
    built = paired(1.0, 2.0)
    _, shots = play(built, [0.3] * 10, commands={3: [ask("promote")], 6: [suspended("rig/score.shadow")]})
    assert [change for change, _ in changes(shots)] == ["model_promoted", "model_suspended", "model_rolled_back"]
    assert "it failed: TimeoutError: it is suspended" in changes(shots)[2][1]


def cycle(monkeypatch, slow_ms):
    """(cycle, its ticks and snapshots): the shadow uses so many ms of each step by a clock of our own."""
    now_ns = [0]

    class Slow(Scaled):
        def step(self, params, state, frame, so_far):
            now_ns[0] += int(slow_ms[0] * 1e6) if params[0] == 2.0 else 1000
            return super().step(params, state, frame, so_far)

    monkeypatch.setattr(clock, "thread_ns", lambda: now_ns[0])
    built = paired(1.0, 2.0)
    built = replace(built, models=tuple(replace(m, kind=Slow()) for m in built.models))
    said = []
    return Cycle(built, states.initial(built), Inbox("rig"), lambda *both: said.append(both)), said


def turn(made, n):
    for _ in range(n):
        made._inbox.put(play_batch(made))
        made.turn(made.state.t_ns + 10**9)


def play_batch(made):
    from engine_world import batch

    return batch(made.state.t_ns * 1e-9 + 1.0, level=0.3, state=2)


def test_the_cycle_suspends_who_is_slow_longer_each_time_and_a_backtest_agrees(monkeypatch, counters):
    slow_ms = [7.0]
    made, said = cycle(monkeypatch, slow_ms)
    turn(made, SLOW + 2)
    events = [e.text for _, shot in said for e in shot.events if e.change == "model_suspended"]
    assert events == [f"rig/score.shadow: suspended for 10 min: 7 ms a step, allowed 5 ms, {SLOW} times in {STEPS}"]
    turn(made, 600 + SLOW)
    events = [e.text for _, shot in said for e in shot.events if e.change == "model_suspended"]
    assert "suspended for 20 min" in events[1]
    state = states.initial(made.asset)
    for tick, shot in said:
        state, again = step(made.asset, state, tick)
        assert wire.encode(again) == wire.encode(shot)


def test_who_is_slow_now_and_then_goes_on_and_its_time_is_a_meter(monkeypatch, counters):
    slow_ms = [7.0]
    made, said = cycle(monkeypatch, slow_ms)
    for n in range(3 * STEPS):
        slow_ms[0] = 7.0 if n % STEPS < SLOW - 2 else 1.0
        turn(made, 1)
    assert not any(e.change == "model_suspended" for _, shot in said for e in shot.events)
    assert counters.read("engine/rig.score.shadow_ms") == pytest.approx(1.0 + 6.0 * (SLOW - 2) / STEPS)
    assert counters.read("engine/rig.score_ms") == pytest.approx(0.001)
