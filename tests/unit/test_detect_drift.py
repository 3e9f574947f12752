"""When a detector says that it no longer knows its machine, and when it does not."""

from dataclasses import replace

import detect_models as models
import numpy as np
import pytest

from agent.core import wire
from agent.core.nouns import Role
from agent.detect import drift, onnx
from agent.detect.drift import Level

SHARES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
HOUR = 60  # rows of a minute
TAGS = ("pump/flow", "tank/level", "valve/position")


def healthy(rows, seed):
    """Wandering (a quarter of an hour is remembered), noisy, and one tag that mostly stands at 50."""
    draw = np.random.default_rng(seed)
    slow, fast = np.empty(rows), draw.normal(size=(rows, 2))
    held = 0.0
    for k, step in enumerate(draw.normal(size=rows)):
        held = slow[k] = 0.94 * held + 0.34 * step
    valve = np.where(draw.random(rows) < 0.7, 50.0, 50.0 + np.round(draw.normal(size=rows), 1))
    return np.column_stack([slow + fast[:, 0], 3.0 - slow + fast[:, 1], valve])


def made(rows=24 * HOUR, **changes):
    value = healthy(rows, 1)
    score = np.abs(value[:, 0]) / 10
    given = {
        "quantiles": SHARES,
        "inputs": np.quantile(value, SHARES, axis=0).T.tolist(),
        "score": np.quantile(score, SHARES).tolist(),
        "alarms_per_day": 1.0,
        "quarters": [*drift.quarters(score[:, None], SHARES), *drift.quarters(value, SHARES)],
        **changes,
    }
    found = drift.reference(TAGS, given, period_s=60.0, rows=rows, apart=30)
    assert found is not None
    return found


def folded(reference, value, score=None, over=None, state=None):
    state = drift.begin(reference) if state is None else state
    score = np.abs(value[:, 0]) / 10 if score is None else score
    over = np.zeros(len(value), bool) if over is None else over
    levels = []
    for row, s, o in zip(value.astype(np.float32), score, over, strict=True):
        state = drift.fold(reference, state, row, float(s), bool(o))
        levels.append(state.seen.level)
    return state, np.array(levels)


@pytest.fixture(scope="module")
def reference():
    return made()


def test_a_healthy_machine_is_never_told_to_be_fitted_anew(reference):
    """Over six times the length of the recording, with a wander in it."""
    state, levels = folded(reference, healthy(6 * 24 * HOUR, 2))
    assert Level.RETRAIN not in levels
    assert levels[-1] == Level.OK
    assert state.seen.words == "as it was when the model was fitted"
    assert set(levels[: 23 * HOUR]) == {Level.UNKNOWN}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v + np.array([3.0, 0, 0]), "pump/flow is higher than it was"),
        (lambda v: v - [0, 4.0, 0], "tank/level is lower than it was"),
        (lambda v: v + np.array([0, 0, 1.5]), "valve/position is higher"),
        (lambda v: (v - [0, 3, 0]) * [1, 4, 1] + [0, 3, 0], "tank/level spreads wider than it did"),
        (lambda v: (v - [0, 3, 0]) * [1, 0.05, 1] + [0, 3, 0], "tank/level moves less than it did"),
    ],
)
def test_what_lasts_is_said_with_the_tag_that_moved_most(reference, change, words):
    state, _ = folded(reference, healthy(24 * HOUR, 3))
    score = np.abs(healthy(72 * HOUR, 4)[:, 0]) / 10
    state, levels = folded(reference, change(healthy(72 * HOUR, 4)), score=score, state=state)
    assert levels[-1] == Level.RETRAIN
    assert state.seen.words.startswith(f"retrain, if the machine is well: {words}")
    assert Level.RETRAIN not in levels[: 48 * HOUR]  # not before it has lasted


def test_a_short_departure_is_told_and_passes(reference):
    state, _ = folded(reference, healthy(24 * HOUR, 3))
    state, levels = folded(
        reference, healthy(12 * HOUR, 4) + np.array([4.0, 0, 0]), score=np.full(12 * HOUR, 0.08), state=state
    )
    assert set(levels) == {Level.OK}
    assert "pump/flow is higher" in state.seen.words
    assert "to be fitted anew after 2.0 days" in state.seen.words
    state, levels = folded(reference, healthy(96 * HOUR, 5), state=state)
    assert set(levels) == {Level.OK}


def test_alarms_are_held_against_the_promised_rate(reference):
    rows = 72 * HOUR

    def run(each):
        over = np.zeros(rows, bool)
        over[100::each] = True
        return folded(reference, healthy(rows, 6), over=over)

    state, levels = run(24 * HOUR)  # one a day, as promised
    assert state.alarms == 3
    assert Level.RETRAIN not in levels
    state, levels = run(2 * HOUR)
    assert state.alarms == 36
    assert "more alarms than promised (36 in 3 days, 3 expected)" in state.seen.words
    assert levels[-1] == Level.RETRAIN


def test_one_long_alarm_is_one(reference):
    over = np.zeros(5 * HOUR, bool)
    over[50:80] = over[90:120] = over[200:210] = True  # less than a window apart is one
    state, _ = folded(reference, healthy(5 * HOUR, 6), over=over)
    assert state.alarms == 2


def test_a_tag_that_stands_at_a_value_is_no_shift():
    value = healthy(24 * HOUR, 7)
    shares = np.array([0.05, 0.2, 0.25, 0.25, 0.2, 0.05])
    edges = np.quantile(value, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    assert (np.diff(edges[:, 2]) == 0).any()
    psi = drift.stability(sum(drift.binned(edges, shares, row) for row in value), shares)
    assert (psi < 0.1).all()


def test_a_state_survives_the_wire(reference):
    state, _ = folded(reference, healthy(2 * HOUR, 8))
    back = wire.decode(drift.State, wire.encode(state))
    one, two = (folded(reference, healthy(HOUR, 9), state=s)[0] for s in (state, back))
    assert wire.encode(one) == wire.encode(two)


def test_a_file_without_a_reference_says_nothing():
    params = onnx.load(models.content())
    assert params.reference is None
    assert [p for p in onnx.points(params) if p.role is Role.TRUST] == []


def with_reference():
    value = models.plant(3000, 1)
    given = {
        "quantiles": list(SHARES),
        "inputs": np.quantile(value, SHARES, axis=0).T.tolist(),
        "score": np.linspace(0.1, 0.9, 9).tolist(),
        "alarms_per_day": 1.0,
    }
    return onnx.load(models.content(reference=given))


def test_only_settled_rows_with_good_inputs_count_and_a_stop_forgets_nothing():
    params = with_reference()
    state = onnx.init(params)

    def run(rows, age_s):
        nonlocal state
        for row in rows:
            frame = replace(models.frame(row), mode_age_ns=age_s * models.SECOND)
            state, values = onnx.step(params, state, frame, {})
        return values

    run(models.plant(30, 2), 0)
    assert state.drift.rows == 0  # the mode has just begun
    values = run(models.plant(30, 3), 60)
    assert state.drift.rows == 30
    rows = models.plant(4, 4)
    rows[:2, 1] = np.nan
    run(rows, 60)
    assert state.drift.rows == 32  # the held rows did not count
    before = state.drift
    state = onnx.resume(params, state)
    assert state.drift is before
    assert state.window.filled == 0
    names = [p.id for p in onnx.points(params)]
    assert values.value[names.index("anomaly/check")] == Level.UNKNOWN
    assert values.texts[names.index("anomaly/check_reason")] == "counting healthy rows, 0 h of 2 h"
