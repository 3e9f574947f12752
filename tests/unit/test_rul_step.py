"""Kind detect.rul: one cycle, what outlasts pauses and restarts, and what it says where it has no estimate."""

from dataclasses import replace

import numpy as np
import pytest
import rul_models

from agent.cli.predicting import frame
from agent.core import quality, wire
from agent.core.nouns import Command, Names
from agent.detect import rul, rul_features
from agent.detect.rul_features import Regimes

PARAMS = rul.load(rul_models.content())
ROWS = np.random.default_rng(0).normal(size=(40, 3))


def played(params, rows, state=None, dt_s=1.0):
    state, given, names = state or rul.init(params), [], Names(params.tags)
    for row in rows:
        state, values = rul.step(params, state, frame(names, np.asarray(row, float), dt_s), {})
        given.append(values)
    return state, given


def replaced(what):
    return Command("1", "maintenance", "rig", "ann", {"step": "end", "replaced": what})


def test_row_by_row_it_computes_the_features_of_training():
    _, given = played(PARAMS, ROWS)
    feature = rul_features.of_run(ROWS, rul_models.WINDOW, np.arange(40.0))
    life, _ = rul.estimated(PARAMS, feature)
    seconds = np.array([v.value[2] for v in given]) * 3600.0
    assert np.isnan(seconds[:2]).all()
    np.testing.assert_allclose(seconds[2:], life[2:], rtol=1e-5)


def test_the_band_is_in_hours_and_in_words():
    _, given = played(PARAMS, ROWS)
    p5, p50, p95, not_before = given[-1].value[1:]
    assert p5 < p50 < p95
    assert not_before == p5
    assert given[-1].texts[0].endswith(f"to {p95 * 3600:.3g})")


def test_before_enough_rows_there_is_no_estimate():
    _, given = played(PARAMS, ROWS[:2])
    assert given[-1].texts[0] == "no estimate: 2 of 3 rows seen yet"
    assert quality.bad_mask(given[-1].status[1:]).all()


def test_above_the_cap_it_says_more_than():
    params = replace(
        PARAMS, about=rul_models.about(band=np.array([[0.0, 100.0], [90.0, 90.0], [100.0, 100.0], [100.0, 100.0]]))
    )
    _, given = played(params, ROWS)
    assert given[-1].texts[0] == "more than 100 s (90 %: 90 to more than 100)"
    limited = (given[-1].status[1:4] & quality.LIMITED_HIGH) == quality.LIMITED_HIGH
    assert limited.tolist() == [False, True, True]


def test_outside_its_training_it_says_so():
    params = rul.load(rul_models.content(limit=3.0))
    _, given = played(params, [*ROWS[:10], *np.full((10, 3), 50.0)])
    assert np.isfinite(given[9].value[1:]).all()
    assert "times as far as what it was trained on" in given[-1].texts[0]
    assert np.isnan(given[-1].value[1:]).all()


def test_at_a_strange_operating_point_it_says_so():
    regimes = Regimes(
        np.array([2]), np.array([[0.0], [10.0]]), np.array([10.0]), np.array([0, 1]), np.zeros((2, 2)), np.ones((2, 2))
    )
    params = rul.load(rul_models.content(rul_models.about(regimes=regimes)))
    told = [played(params, np.column_stack([ROWS[:10, :2], np.full(10, s)]))[1][-1].texts[0] for s in (0.1, 10.0, 5.0)]
    assert told[2] == "no estimate: an operating point that it was not trained for"
    assert not any(text.startswith("no estimate") for text in told[:2])


def test_an_absent_input_ends_the_window_but_not_the_unit():
    gone = np.full((4, 3), np.nan)
    state, given = played(PARAMS, [*ROWS[:30], *gone])
    assert given[-1].texts[0] == "no estimate: an input is absent"
    state, given = played(PARAMS, ROWS[30:33], state)
    assert state.age == pytest.approx(36.0)
    assert np.isfinite(given[-1].value[1:]).all()


def test_a_pause_ends_the_window_but_not_the_unit():
    state, _ = played(PARAMS, ROWS[:30])
    again = rul.resume(PARAMS, state)
    assert (again.age, again.begun, again.window.filled) == (29.0, rul_features.BEGIN_ROWS, 0)


def test_a_restart_changes_nothing():
    state, _ = played(PARAMS, ROWS[:30])
    thawed = wire.decode(rul.State, wire.encode(state))
    one, other = (played(PARAMS, ROWS[30:], s)[1][-1] for s in (state, thawed))
    assert one.value.tobytes() == other.value.tobytes()


def test_a_replaced_machine_begins_anew():
    state, _ = played(PARAMS, ROWS)
    state = rul.obey(PARAMS, state, replaced("machine"))
    assert (state.age, state.begun, state.window.filled) == (0.0, 0, 0)
    with pytest.raises(ValueError, match="expected maintenance with replaced=machine"):
        rul.obey(PARAMS, state, replaced("bearing"))


def test_cycles_are_counted_by_a_tag_not_by_the_clock():
    params = rul.load(rul_models.content(rul_models.about(time_unit="cycles", counter="line/cycles")))
    slow = [np.append(row, n) for n, row in enumerate(np.repeat(ROWS, 3, axis=0), 1)]
    each = [np.append(row, 1 + n // 3) for n, row in enumerate(np.repeat(ROWS, 3, axis=0))]
    assert played(params, slow)[0].age == 119.0
    state, given = played(params, each)
    assert state.age == 39.0
    assert rul.points(params)[2].unit == "1"
    assert np.isfinite(given[-1].value[1:]).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"time_unit": "weeks"}, "time_unit"),
        ({"band": np.zeros((3, 4))}, "band"),
        ({"least": 9}, "least"),
        ({"counter": "line/cycles"}, "counter"),
        ({"cap": -1.0}, "cap"),
        ({"units": ("m",)}, "units"),
    ],
)
def test_metadata_that_does_not_fit_is_refused_by_name(change, said):
    props = rul_models.about(**change).props()
    with pytest.raises(ValueError, match=said):
        rul.rul_file.parse(props)


def test_a_graph_that_does_not_fit_its_metadata_is_refused():
    said = rul_models.about()
    other = rul_models.about(from_new=False)
    content = rul_models.content(other).replace(b"edgetwin.from_new\x12\x05false", b"edgetwin.from_new\x12\x05true ")
    assert said.from_new
    with pytest.raises(ValueError, match=r"expected one tensor\(float\) \[N, 13\]"):
        rul.load(content)
