"""A new model beside the one that speaks: what is counted, when it takes over, when it is taken back."""

from dataclasses import replace

import numpy as np
import pytest
from engine_world import at
from shadow_world import ask, changes, paired, play

from agent.core import quality, wire
from agent.engine import comparison
from agent.engine import state as states
from agent.engine.asset import Promotion
from agent.engine.comparison import NEW, OLD

QUIET = [0.5] * 10
HOUR = 60  # ticks


def figure(built, shot, name):
    return at(built, shot, f"state/score.shadow.{name}")[0]


def text(built, shot):
    return shot.texts[[p.id for p in built.points].index("rig/state/score.shadow")]


def test_the_old_one_speaks_and_the_new_one_raises_nothing():
    alone, beside = paired(1.0, 1.0), paired(1.0, 100.0)
    _, before = play(alone, [*QUIET, 2.0, 2.0, 0.5])
    _, after = play(beside, [*QUIET, 2.0, 2.0, 0.5])
    assert [at(beside, s, "anomaly/score") for s in after] == [at(alone, s, "anomaly/score") for s in before]
    assert [[e.text for e in s.events] for s in after] == [[e.text for e in s.events] for s in before]


def test_what_the_new_one_would_have_raised_is_counted_as_alerts_are():
    built = paired(1.0, 3.0)
    state, shots = play(built, [*QUIET[:9], 0.2, *[0.5, 0.2] * 3, 0.2, 0.2])
    (known,) = state.comparisons
    old, new = known.sides
    assert (old.alarms, new.alarms) == (0, 4)
    assert known.both_s == pytest.approx(17 * 60.0)  # the first tick of a run has no duration
    assert known.apart_s == pytest.approx((8 + 3) * 60.0)
    assert figure(built, shots[-1], "hours") == pytest.approx(17 / 60)
    assert figure(built, shots[-1], "new_alarms_per_day") == pytest.approx(4 / (17 * 60) * 86400)
    assert figure(built, shots[-1], "distance") == pytest.approx(1.0)
    assert figure(built, shots[-1], "old_p99") == pytest.approx(0.5, rel=0.05)
    assert figure(built, shots[-1], "new_p99") == pytest.approx(1.5, rel=0.05)


def test_the_alerts_that_are_counted_are_those_that_it_raises_once_it_speaks():
    levels = np.abs(np.random.default_rng(3).normal(0.35, 0.2, 400)).tolist()
    built = paired(1.0, 2.0)
    state, _ = play(built, levels)
    _, spoken = play(paired(2.0, 1.0), levels)
    raised = sum(e.change == "raised" for s in spoken for e in s.events)
    assert raised == state.comparisons[0].sides[NEW].alarms > 20


def test_a_person_promotes_and_rolls_back_and_it_is_said_and_takes_effect_at_once():
    built = paired(1.0, 3.0)
    commands = {10: [ask("promote", reason="it sees more")], 12: [ask("rollback")]}
    _, shots = play(built, [0.2] * 14, commands=commands)
    scores = [at(built, s, "anomaly/score")[0] for s in shots[9:13]]
    assert scores == pytest.approx([0.2, 0.6, 0.6, 0.2])
    (promoted, said), (back, _) = changes(shots)
    assert (promoted, back) == ("model_promoted", "model_rolled_back")
    assert "the new model took over, by jane: it sees more" in said
    assert [e.user for s in shots for e in s.events if e.change.startswith("model_")] == ["jane", "jane"]
    assert [figure(built, s, "active") for s in shots[9:13]] == [0.0, 1.0, 1.0, 0.0]
    assert "by jane" in text(built, shots[-1])


@pytest.mark.parametrize(
    ("command", "tick", "why"),
    [
        (ask("promote"), 0, "has given nothing yet"),
        (ask("rollback"), 5, "the model of the file speaks already"),
        (ask("promote", "rig/other"), 5, "no shadow beside rig/other; models with one: rig/score"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(command, tick, why):
    built = paired(1.0, 3.0)
    state, shots = play(built, QUIET, commands={tick: [command]})
    ((change, said),) = changes(shots)
    assert change == "refused"
    assert why in said
    assert not state.comparisons[0].promoted


def test_by_rule_it_takes_over_once_there_is_enough_evidence_and_not_before():
    # No alarm proves at most 1 a day with 95 % confidence after ln(20) = 2.9957 days.
    built = paired(1.0, 1.1, promotion=Promotion(after_h=24.0, alarms_per_day=1.0))
    levels = np.random.default_rng(1).uniform(0.2, 0.6, 24 * HOUR * 4).tolist()
    state, shots = play(built, levels)
    when = next(n for n, s in enumerate(shots) if changes([s]))
    assert when / (24 * HOUR) == pytest.approx(2.9957, abs=0.01)
    assert changes(shots)[0][0] == "model_promoted"
    assert state.comparisons[0].promoted


@pytest.mark.parametrize(
    ("new", "levels", "because"),
    [
        (2.0, lambda draw, n: np.where(draw.random(n) < 0.01, 0.9, 0.3), "too many alarms"),
        (0.0, lambda draw, n: draw.uniform(0.2, 0.6, n), "a score that does not move"),
        (1e5, lambda draw, n: draw.uniform(0.2, 0.6, n), "no score"),
        (666.0 / 0.3, lambda draw, n: np.where(draw.random(n) < 0.01, 0.3, 1e-5), "failures"),
    ],
)
def test_by_rule_it_does_not_take_over_with(new, levels, because):
    built = paired(1.0, new, promotion=Promotion(after_h=1.0, alarms_per_day=10.0))
    state, shots = play(built, levels(np.random.default_rng(2), 12 * HOUR).tolist())
    assert not state.comparisons[0].promoted, because
    assert changes(shots) == []


def promoted(built, levels=(0.3, 0.4) * 5):
    state, _ = play(built, levels, commands={9: [ask("promote")]})
    assert state.comparisons[0].promoted
    return state


def after(built, levels):
    """(state, changes) of levels after a promotion."""
    state, shots = play(built, levels, promoted(built), start=11)
    return state, changes(shots)


def test_in_its_probation_too_many_alarms_take_it_back_and_the_event_says_why():
    built = paired(1.0, 2.0)
    state, said = after(built, [0.3, 0.9, 0.3] * HOUR)
    assert [change for change, _ in said] == ["model_rolled_back"]
    assert "3 alarms in" in said[0][1]
    assert "it promises 1 a day" in said[0][1]
    assert state.comparisons[0].barred


def test_alarms_that_the_old_one_has_too_are_the_machine_and_take_nothing_back():
    _, said = after(paired(1.0, 1.05), [0.3, 2.0, 0.3] * HOUR)
    assert said == []


def test_after_its_probation_alarms_take_nothing_back():
    built = paired(1.0, 2.0, promotion=Promotion(probation_h=1.0))
    _, said = after(built, [0.3] * 2 * HOUR + [0.3, 0.9, 0.3] * HOUR)
    assert said == []


def test_a_failure_or_silence_takes_it_back():
    failing = paired(1.0, 666.0 / 0.5)
    state, _ = play(failing, [0.0003, 0.0004] * 5, commands={9: [ask("promote")]})
    _, shots = play(failing, [0.0003, 0.5, 0.0003], state, start=11)
    ((_, said),) = changes(shots)
    assert "it failed: ValueError: the devil's score" in said
    silent = paired(0.001, 2.0)
    _, said = after(silent, [0.3] * 5 + [600.0] * 12)
    assert "it gave nothing for 600 s while the old one did" in said[0][1]


def test_one_that_was_taken_back_is_promoted_again_only_by_a_person():
    built = paired(1.0, 2.0, promotion=Promotion(after_h=0.1, alarms_per_day=1.0))
    state, said = after(built, [0.3, 0.9, 0.3] * 10)
    assert len(said) == 1
    levels = np.random.default_rng(1).uniform(0.1, 0.4, 24 * HOUR * 4).tolist()
    state, shots = play(built, levels, state, start=100)
    assert changes(shots) == []
    _, shots = play(built, QUIET, state, start=100 + len(levels), commands={3: [ask("promote")]})
    assert [change for change, _ in changes(shots)] == ["model_promoted"]


def test_who_speaks_and_the_tallies_go_through_a_checkpoint_to_the_bit():
    built = paired(1.0, 3.0)
    state = promoted(built)
    thawed = states.thaw(built, states.freeze(built, state))
    _, one = play(built, [0.4, 0.2, 0.4], state, start=11)
    _, other = play(built, [0.4, 0.2, 0.4], thawed, start=11)
    assert [wire.encode(s) for s in one] == [wire.encode(s) for s in other]
    assert states.rebased(built, state, 10**12).comparisons[0].promoted


def test_a_promoted_model_that_is_named_in_the_file_goes_on_with_its_state():
    built = paired(1.0, 3.0)
    state = promoted(built)
    alone = replace(built, models=(replace(built.models[1], name="score", first=4),), pairs=(), points=built.points[:7])
    thawed = states.thaw(alone, states.freeze(built, state))
    assert thawed.models[0].state == state.models[1].state
    assert thawed.models[0].state.steps == 10


def test_another_new_model_begins_anew_in_the_shadow():
    state = promoted(paired(1.0, 3.0))
    other = paired(1.0, 2.0)
    thawed = states.thaw(other, states.freeze(paired(1.0, 3.0), state))
    assert not thawed.comparisons[0].promoted
    assert thawed.models[0].state == state.models[0].state


def test_points_that_only_one_of_them_gives_are_not_applicable_while_the_other_speaks():
    built = paired(1.0, 3.0, new_tags=("drive/state",))
    commands = {5: [ask("promote")]}
    _, shots = play(built, QUIET, commands=commands)
    names = ("tank/level.contribution", "drive/state.contribution")
    assert [at(built, shots[4], name)[1] for name in names] == [quality.GOOD, quality.NOT_APPLICABLE]
    assert [at(built, shots[5], name)[1] for name in names] == [quality.NOT_APPLICABLE, quality.GOOD]


def test_alerts_are_believed_as_far_as_the_model_that_speaks():
    built = paired(1.0, 1.0, standing=("trusted", "provisional"))
    _, shots = play(built, [0.5, 2.0, 0.5, 2.0, 0.5], commands={2: [ask("promote")]})
    raised = [e.condition.provisional for s in shots for e in s.events if e.change == "raised"]
    assert raised == [False, True]
    _, shots = play(
        paired(1.0, 1.0, standing=("learning", "trusted")), [0.5, 2.0, 0.5, 2.0], commands={2: [ask("promote")]}
    )
    assert [n for n, s in enumerate(shots) if any(e.change == "raised" for e in s.events)] == [3]


def test_a_machine_that_is_not_running_counts_for_neither():
    built = paired(1.0, 3.0)
    state, _ = play(built, QUIET)
    idle = replace(built, modes=replace(built.modes, words={2: built.modes.words[3]}))
    later, _ = play(idle, QUIET, state, start=11)
    for side in (OLD, NEW):
        assert later.comparisons[0].sides[side].spoke_s == state.comparisons[0].sides[side].spoke_s


def test_quantiles_of_the_classes_are_right_to_their_width():
    draw = np.random.default_rng(5).lognormal(-1.0, 0.7, 4000)
    counts = comparison.begun(1).sides[0].nearness
    for value in draw:
        counts = comparison.counted(counts, float(value))
    for share in (0.5, 0.9, 0.99):
        assert comparison.quantile(counts, share) == pytest.approx(np.quantile(draw, share), rel=0.06)
