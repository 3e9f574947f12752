"""The detector as the engine steps it."""

import detect_models as models
import numpy as np
import pytest

from agent.core import quality, wire
from agent.detect import onnx

NAN = float("nan")


@pytest.fixture(scope="module")
def params():
    return onnx.load(models.content())


def run(params, rows, state=None):
    state = onnx.init(params) if state is None else state
    given = []
    for row in rows:
        state, values = onnx.step(params, state, models.frame(row), {})
        given.append(values)
    return state, given


def test_waits_until_the_window_is_full_then_scores(params):
    _, given = run(params, models.plant(12, 4))
    for values in given[:7]:
        assert values.status.tolist() == [quality.BAD_WAITING_FOR_INITIAL_DATA, 0, *[0x80320000] * 3]
        assert np.isnan(values.value[[0, 2, 3, 4]]).all()
        assert values.value[1] == 1.0
    for values in given[7:]:
        assert (values.status == quality.GOOD).all()
        assert 0.0 <= values.value[0] < 1.0


def test_values_are_in_the_order_of_points(params):
    _, given = run(params, models.plant(9, 4))
    assert len(given[-1].value) == len(given[-1].status) == len(onnx.points(params))


def test_persistence_is_k_of_n(params):
    rows = models.plant(40, 4)
    raw, parts = onnx.score(params, np.lib.stride_tricks.sliding_window_view(rows, 8, axis=0).transpose(0, 2, 1))
    _, given = run(params, rows)
    for i in range(2, len(raw)):
        second = np.sort(raw[i - 2 : i + 1])[1]
        values = given[i + 7].value
        assert values[0] == second
        assert values[2:].tolist() == parts[i - 2 : i + 1][raw[i - 2 : i + 1] == second][0].tolist()


def test_one_tag_that_departs_alarms_and_is_blamed(params):
    for tag in range(3):
        rows = models.plant(60, 5)
        rows[30:, tag] += 4.0
        _, given = run(params, rows)
        score = np.array([v.value[0] for v in given])
        assert np.nanmax(score[:30]) < 1.0 < score[45]
        assert given[45].value[2:].argmax() == tag
        assert given[45].value[2:].max() <= score[45] * 1.001


def test_missing_input_is_held_and_marked_then_absent(params):
    rows = models.plant(30, 6)
    rows[20:26, 1] = NAN
    _, given = run(params, rows)
    status = [int(v.status[0]) for v in given]
    assert status[20:22] == [quality.UNCERTAIN_LAST_USABLE_VALUE] * 2
    assert status[22:26] == [quality.BAD_DATA_UNAVAILABLE] * 4
    assert status[26:30] == [quality.BAD_WAITING_FOR_INITIAL_DATA] * 4
    assert np.isnan(given[23].value[0])


def test_the_result_stands_between_two_rows(params):
    state, given = run(params, models.plant(12, 7))
    after, values = onnx.step(params, state, models.frame([1e9, 1e9, 1e9], dt_s=0.2), {})
    assert values.value.tolist() == given[-1].value.tolist()
    assert after.window.elapsed_ns == 200_000_000


def test_an_absurd_value_is_an_anomaly_and_not_a_failure(params):
    state, _ = run(params, models.plant(12, 7))
    for row in ([1e300, 50, 50], [50, -1e300, 1e300], [50, 50, 50]):
        state, values = onnx.step(params, state, models.frame(row), {})
        assert np.isfinite(values.value).all()
    assert values.value[0] > 1.0


def test_a_nan_storm_never_raises(params):
    draw = np.random.default_rng(8)
    state = onnx.init(params)
    for _ in range(300):
        row = np.where(draw.random(3) < 0.3, draw.choice([NAN, np.inf, -np.inf, 1e308]), draw.normal(size=3))
        state, values = onnx.step(params, state, models.frame(row, dt_s=draw.choice([0.1, 1.0, 5.0])), {})
        bad = quality.bad_mask(values.status)
        assert np.isnan(values.value[bad]).all()
        assert np.isfinite(values.value[~bad]).all()


def test_same_frames_same_bits_also_from_another_load():
    rows = models.plant(50, 9)
    rows[25:, 0] += 2.0
    content = models.content()
    first = run(onnx.load(content), rows)[1]
    again = run(onnx.load(content), rows)[1]
    assert [v.value.tobytes() for v in first] == [v.value.tobytes() for v in again]


def test_state_survives_the_wire_exactly(params):
    rows = models.plant(60, 10)
    rows[20:23, 2] = NAN
    for stop in (0, 3, 15, 22, 24, 40):
        state, _ = run(params, rows[:stop])
        back = wire.decode(onnx.State, wire.encode(state))
        assert wire.encode(back) == wire.encode(state)
        one, two = run(params, rows[stop:], state)[1], run(params, rows[stop:], back)[1]
        assert [v.value.tobytes() for v in one] == [v.value.tobytes() for v in two]
        assert [v.status.tobytes() for v in one] == [v.status.tobytes() for v in two]


def test_an_input_may_be_what_a_model_before_it_gives():
    tags = ("pump/speed", "pump/flow.residual", "tank/level")
    mixed, plain = onnx.load(models.content(tags=tags)), onnx.load(models.content())
    one, two = onnx.init(mixed), onnx.init(plain)
    for row in models.plant(30, 4):
        other = np.array([row[0], NAN, row[2]])
        one, given = onnx.step(mixed, one, models.frame(other), {"pump/flow.residual": (row[1], quality.GOOD)})
        two, alone = onnx.step(plain, two, models.frame(row), {})
        assert given.value.tobytes() == alone.value.tobytes()
    for status in (quality.BAD_DATA_UNAVAILABLE, quality.UNCERTAIN_INITIAL_VALUE):
        held, given = onnx.step(mixed, one, models.frame(row), {"pump/flow.residual": (0.0, status)})
        assert given.status[0] == quality.UNCERTAIN_LAST_USABLE_VALUE
    for _ in range(4):
        held, given = onnx.step(mixed, held, models.frame(row), {})
    assert given.status[0] == quality.BAD_DATA_UNAVAILABLE
