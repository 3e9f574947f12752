"""Isolation: which fault, how much, how sure; and when it says that it cannot tell, or nothing at all."""

from dataclasses import replace

import isolation_rig as rig
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agent.core.wire import decode, encode
from agent.fit.judging import signatures as fitting
from agent.twin import jsontree
from agent.twin.departure import isolation
from agent.twin.departure.signature import Signatures


@pytest.fixture(scope="module")
def known():
    return rig.learned()[1]


def found(known, z, **options):
    state = isolation.begin(known)
    for row in z:
        state = isolation.fold(known, state, row)
    return isolation.finding(known, state, **options)


def test_each_sensor_input_and_health_parameter_has_a_signature(known):
    assert [f.name for f in known.faults] == [
        "upper/level sensor",
        "lower/level sensor",
        "pump/speed sensor or actuator",
        "valve/position sensor or actuator",
        "pump.wear",
        "lower.leak",
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("fault", "name", "size"),
    [
        ({"sensor": (0, 0.03)}, "upper/level sensor", 0.03),
        ({"sensor": (1, -0.03)}, "lower/level sensor", -0.03),
        ({"actuator": (1, 0.08)}, "valve/position sensor or actuator", 0.08),
    ],
)
def test_a_fault_is_named_with_its_size(known, fault, name, size, seed):
    suspect = found(known, rig.faulty(seed, **fault)).suspects[0]
    assert suspect.name == name
    assert suspect.probability > 0.7
    assert abs(suspect.size - size) < 3.0 * suspect.spread


@pytest.mark.parametrize("seed", range(4))
def test_pump_wear_and_a_wrong_speed_look_alike_and_that_is_what_it_says(known, seed):
    finding = found(known, rig.faulty(seed, health=(2, 0.1)))
    assert {s.name for s in finding.suspects} == {"pump.wear", "pump/speed sensor or actuator"}
    assert finding.text.startswith("cannot tell")
    assert not finding.sure
    wear = next(s for s in finding.suspects if s.name == "pump.wear")
    assert abs(wear.size - 0.1) < 3.0 * wear.spread


def test_a_leak_cannot_be_negative(known):
    leak = next(i for i, f in enumerate(known.faults) if f.name == "lower.leak")
    assert known.faults[leak].side == 1
    up, down = (found(known, rig.faulty(3, sensor=(1, s))) for s in (-0.03, 0.03))
    assert "lower/level sensor" in up.text
    assert "lower/level sensor" in down.text
    assert all(s.name != "lower.leak" for s in down.suspects)


def test_probabilities_are_ordered_and_reach_what_is_called_sure(known):
    suspects = found(known, rig.faulty(1, health=(2, 0.1))).suspects
    p = [s.probability for s in suspects]
    assert p == sorted(p, reverse=True)
    assert isolation.SURE <= sum(p) <= 1.0 + 1e-9


def test_silent_with_a_reason(known):
    healthy = rig.faulty(5)
    assert found(known, healthy, departed=False).reason == "no departure"
    assert "too little" in found(known, healthy).reason
    assert "fewer than" in found(known, healthy[:6]).reason
    assert "no signatures" in found(replace(known, faults=()), healthy).reason


def test_what_no_fault_explains_is_not_blamed_on_one(known):
    draw = np.random.default_rng(1)
    wild = rig.faulty(2) + np.repeat(draw.choice([-12.0, 12.0], (19, 2)), 8, axis=0)[:150]
    finding = found(known, wild)
    assert "no known fault" in finding.reason
    assert not finding.suspects


def test_a_large_fault_does_not_make_like_signatures_look_different(known):
    small, large = (found(known, rig.faulty(6, health=(2, s))) for s in (0.05, 0.3))
    assert len(small.suspects) == len(large.suspects) == 2


def test_absent_rows_and_pauses_cost_only_evidence(known):
    z = rig.faulty(0, sensor=(0, 0.03))
    z[70:80] = np.nan
    z[90:100, 1] = np.nan
    assert found(known, z).suspects[0].name == "upper/level sensor"
    state = isolation.fold(known, isolation.begin(known), z[0])
    state = isolation.fold(known, state, z[1], periods=3)
    assert np.isnan(state.rows[-3:-1]).all()
    assert np.isfinite(state.rows[[-4, -1]]).all()
    assert np.isnan(isolation.fold(known, state, z[2], trust=0.0).rows[-1]).all()


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.float64, (30, 2), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_nothing_that_comes_raises(known, z):
    finding = found(known, z)
    assert bool(finding.text) != bool(finding.reason)


def test_a_labelled_case_teaches_a_fault_that_no_model_knows():
    # Both levels read wrong by turns: no sensor, input or health parameter does that.
    def odd(seed):
        z = rig.faulty(seed)
        z[60:, 0] += 10.0
        z[60:, 1] -= 6.0
        return z

    cases = [fitting.Case("crossed cables", "cabinet", "share", 1.0, odd(s)[60:]) for s in (1, 2, 3)]
    known = rig.learned(cases)[1]
    finding = found(known, odd(9))
    assert finding.suspects[0].name == "crossed cables"
    assert finding.sure
    assert finding.suspects[0].size == pytest.approx(1.0, abs=3.0 * finding.suspects[0].spread)


def test_the_section_goes_through_a_file_and_the_state_over_the_wire(known):
    read = jsontree.read(Signatures, jsontree.tree(known))
    z = rig.faulty(2, sensor=(0, 0.03))
    assert found(read, z).text == found(known, z).text
    state = isolation.fold(known, isolation.begin(known), z[0])
    assert np.array_equal(decode(isolation.State, encode(state)).rows, state.rows, equal_nan=True)


def test_a_section_says_what_is_wrong_with_it(known):
    assert known.problems(2) == []
    assert "whitening of 3 outputs" in known.problems(3)[0]
    assert "rising" in replace(known, ages=(5, 5)).problems(2)[0]
    assert "once" in replace(known, faults=known.faults[:1] * 2).problems(2)[0]
