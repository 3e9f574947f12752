"""What expressions are worth: numbers, quality, time; and that no number and no status breaks the program."""

import math
from graphlib import CycleError

import numpy as np
import pytest
from derived_world import Play, asset, batch, worked_out
from hypothesis import given, settings
from hypothesis import strategies as st
from test_expression import forests

from agent.core import evaluation, expression, formula, quality
from agent.core.memory import FRESH
from agent.core.nouns import Names, Tag

GOOD, LOST = quality.GOOD, quality.BAD_NO_COMMUNICATION
UNSURE, WORSE = quality.UNCERTAIN_SUB_NORMAL, quality.BAD_TIMEOUT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{m/a} * {m/b} / 1000", 0.012),
        ("{m/a} - {m/b} - 1", 0.0),
        ("-{m/a}^2", -16.0),
        ("2^-1^2 * {m/a}", 2.0),
        ("{m/a} > 3 and {m/b} <= 3", 1.0),
        ("not {m/a} == 4 or {m/b} != 3", 0.0),
        ("if({m/a} < {m/b}, 10, 20)", 20.0),
        ("min({m/a}, {m/b}, 7) + max({m/a}, 1)", 7.0),
        ("abs(-{m/a}) + sqrt({m/a}) + exp(0) + log(1)", 7.0),
        ("clamp({m/a}, 0, {m/b})", 3.0),
        ("{m/zones}[1] - {m/zones}[0]", 2.5),
    ],
)
def test_arithmetic_is_what_an_engineer_expects(text, expected):
    assert worked_out(text, (4.0, GOOD), (3.0, GOOD), zones=(1.0, 3.5)) == (expected, GOOD)


@pytest.mark.parametrize(
    "text",
    ["{m/a} / 0", "0 / ({m/a} - 1)", "sqrt(-{m/a})", "log(-{m/a})", "log({m/a} - 1)", "{m/a} * 1e308 * 1e308",
     "exp(1000 * {m/a})", "(-8 * {m/a})^0.5", "0^-{m/a}", "1 / (1 / 0 * {m/a})", "if({m/a} / 0, 1, 2)"],
)  # fmt: skip
def test_what_is_no_number_is_out_of_range_and_has_no_value(text):
    value, status = worked_out(text)
    assert math.isnan(value)
    assert status == quality.BAD_OUT_OF_RANGE


@pytest.mark.parametrize(
    ("text", "a", "b", "expected"),
    [
        ("{m/a} + {m/b}", UNSURE, GOOD, UNSURE),
        ("{m/a} + {m/b}", UNSURE, LOST, LOST),
        ("{m/a} + {m/b}", LOST, WORSE, LOST),  # two Bad ones: the larger code
        ("{m/a} + {m/b}", GOOD, quality.LIMITED_LOW, GOOD),  # the limit was the operand's
        ("if({m/b} > 5, {m/a}, 1)", LOST, GOOD, GOOD),  # the branch that is not taken counts for nothing
        ("if({m/b} > 5, 1, {m/a})", LOST, GOOD, LOST),
        ("if({m/b} > 5, 1, {m/a})", GOOD, LOST, LOST),
        ("{m/a} and {m/b} > 5", LOST, UNSURE, UNSURE),  # one that is 0 decides alone
        ("{m/a} and {m/b} < 5", LOST, UNSURE, LOST),
        ("{m/a} or {m/b} < 5", LOST, GOOD, GOOD),
        ("{m/a} or {m/b} > 5", LOST, GOOD, LOST),
    ],
)
def test_quality_is_the_worst_of_what_was_used(text, a, b, expected):
    value, status = worked_out(text, (1.0, a), (1.0, b))
    assert status == expected
    assert math.isnan(value) == quality.is_bad(expected)


def test_an_element_that_is_not_there_is_no_data():
    assert worked_out("{m/zones}[7]", zones=(1.0,))[1] == quality.BAD_NO_DATA
    assert worked_out("{m/zones}[0]", zones=(math.nan,))[1] == quality.BAD_NO_DATA


def test_a_range_holds_for_a_derived_tag_as_for_any_and_for_those_that_read_it():
    texts = {"d/x": "{m/a} * 10", "d/y": "{d/x} + 1", "d/z": "{m/a} * 10"}
    limits = {"d/x": {"eu_hi": 30.0, "beyond": "clamp"}, "d/z": {"eu_hi": 30.0}}
    play = Play(asset(texts, limits)).tick(1, batch((1, "m/a", 5.0)))
    assert play.of("d/x") == (30.0, "Good")
    assert int(play.shot.status[play.asset.names.at["d/x"]]) & quality.LIMITED_HIGH
    assert play.of("d/y") == (31.0, "Good")
    assert play.of("d/z") == (50.0, "UncertainEngineeringUnitsExceeded")


def test_derived_tags_follow_one_another_in_any_order_of_rows():
    texts = {"d/last": "{d/middle} + 1", "d/middle": "{d/first} * 2", "d/first": "{m/a} + {m/b}", "d/alias": "{d/last}"}
    play = Play(asset(texts)).tick(1, batch((1, "m/a", 1.0), (1, "m/b", 2.0)))
    assert [play.of(name)[0] for name in texts] == [7.0, 6.0, 3.0, 7.0]


def test_a_circle_is_refused():
    names = Names(("d/x", "d/y"))
    trees = {"d/x": expression.parse("{d/y} + 1"), "d/y": expression.parse("{d/x}")}
    with pytest.raises(CycleError):
        formula.compiled(tuple(Tag(f"rig/{n}", "") for n in names), names, trees)


def test_equal_parts_are_computed_once_and_the_like_of_all_tags_in_one_step():
    texts = {f"d/{n}": "{m/a} * {m/b} + " + str(n) for n in range(50)}
    program = asset(texts).derived
    assert [(step.op, len(step.out)) for level in program.levels for step in level.steps] == [("*", 1), ("+", 50)]


odd = st.floats(allow_nan=True, allow_infinity=True)
codes = st.one_of(st.sampled_from([GOOD, UNSURE, LOST]), st.integers(0, 2**32 - 1))


@settings(deadline=None)
@given(
    forests, st.lists(st.tuples(odd, codes), min_size=3, max_size=3), st.lists(odd, max_size=3), st.integers(1, 10**12)
)
def test_no_number_and_no_status_breaks_it(tree, given_, zones, now_ns):
    names = Names(("m/a", "m-1/b_2", "d/x"))
    program = formula.compiled(tuple(Tag(f"rig/{n}", "") for n in names), names, {"d/x": tree})
    value, status = np.array([v for v, _ in given_]), np.array([s for _, s in given_], np.uint32)
    columns = value, status, np.array([now_ns, 5, 0], np.int64)
    memories = (FRESH,) * len(program.recalls)
    for _ in range(3):
        streams = [[(now_ns, v) for v in zones]] * len(program.streams)
        slots, memories = evaluation.run(program, memories, columns, {0: np.array(zones)}, streams, now_ns)
        now_ns += 10**9
        result, code = float(slots.value[2]), int(slots.whole[2])
        assert math.isfinite(result) != quality.is_bad(code)
