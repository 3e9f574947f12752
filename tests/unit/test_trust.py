"""Verdicts on residuals, and where their limits come from."""

import numpy as np
import pytest

from agent.core import wire
from agent.fit.judging import trusting
from agent.twin import jsontree
from agent.twin.departure import trust
from agent.twin.departure.trust import Level, Reference, State


def coloured(rows, seed, p=2, ar=0.9):
    """AR(1) residuals of variance one."""
    rng = np.random.default_rng(seed)
    z, e = np.zeros((rows, p)), rng.normal(size=(rows, p)) * np.sqrt(1 - ar**2)
    for k in range(1, rows):
        z[k] = ar * z[k - 1] + e[k]
    return z


@pytest.fixture(scope="module")
def reference():
    found = trusting.reference([coloured(12000, 1), coloured(9000, 2)], block=60)
    assert found is not None
    return found


def judged(reference, z):
    state = trust.begin(reference)
    for row in z:
        state = trust.fold(reference, state, row)
    return trust.verdict(reference, state)


CASES = {
    "healthy": (lambda z: z, Level.OK, -1, "as on healthy"),
    "noisier": (lambda z: z * [1.0, 2.0], Level.OVER_CONFIDENT, 1, "2 times as noisy"),
    "quieter": (lambda z: z * [0.5, 1.0], Level.UNDER_CONFIDENT, 0, "times less noisy"),
    "biased": (lambda z: z - [0.0, 2.0], Level.DRIFTED, 1, "too low"),
    "noisier and biased": (lambda z: z * 2.0 + [5.0, 0.0], Level.DRIFTED, 0, "too high"),
    "wandering": (
        lambda z: z + 2.0 * np.sin(np.arange(len(z)) / 150.0)[:, None] * [1.0, 0.0],
        Level.DRIFTED,
        0,
        "slow residuals",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_sort_of_residual_has_its_verdict(reference, case):
    change, level, output, words = CASES[case]
    said = judged(reference, change(coloured(3 * 36 * 60, 77)))
    assert (said.level, said.output) == (level, output)
    assert words in said.reason


def test_a_verdict_is_unknown_until_a_window_is_full(reference):
    z = coloured(36 * 60, 3)
    said = judged(reference, z[:-1])
    assert said.level == Level.UNKNOWN
    assert "1 rows" in said.reason
    assert judged(reference, z).level == Level.OK


def test_an_output_that_is_not_there_is_unknown_and_the_others_are_judged(reference):
    z = coloured(36 * 60, 4) * [1.0, 3.0]
    z[:, 0] = np.nan
    assert judged(reference, z).level == Level.OVER_CONFIDENT
    z[:, 1] = np.nan
    assert judged(reference, z).level == Level.UNKNOWN


def test_holes_change_no_verdict(reference):
    z = coloured(36 * 60, 5)
    z[np.random.default_rng(1).random(z.shape) < 0.2] = np.nan
    assert judged(reference, z).level == Level.OK


def test_one_wild_row_makes_no_verdict(reference):
    z = coloured(36 * 60, 6)
    z[1000] = 1e200
    z[1001] = -np.inf
    assert judged(reference, z).level == Level.OK


def test_white_noise_would_be_no_yardstick_but_healthy_rows_are(reference):
    # What a chi-square over white noise calls wrong: the same colour, the same verdict as on healthy rows.
    z = coloured(36 * 60, 8)
    assert abs(np.mean(z[1:] * z[:-1])) > 10 / np.sqrt(len(z))
    assert judged(reference, z).level == Level.OK


def test_too_few_rows_give_no_reference():
    assert trusting.reference([coloured(700, 1)]) is None
    short = trusting.reference([coloured(2000, 1), coloured(30, 2)])
    assert short is not None
    assert 10 <= short.block < 30


def test_an_output_that_healthy_rows_hardly_show_gives_no_reference():
    z = coloured(4000, 1)
    z[:2000, 1] = np.nan
    assert trusting.reference([z]) is None
    assert trusting.reference([np.full((2000, 1), np.nan)]) is None
    assert trusting.reference([]) is None


def test_the_reference_is_a_section_of_the_file_and_the_state_can_be_sent(reference):
    tree = jsontree.tree(reference)
    again = jsontree.read(Reference, tree, "twin.trust")
    assert jsontree.tree(again) == tree
    state = trust.begin(reference)
    for row in coloured(200, 9):
        state = trust.fold(reference, state, row)
    sent = wire.decode(State, wire.encode(state))
    assert wire.encode(trust.fold(reference, sent, np.ones(2))) == wire.encode(trust.fold(reference, state, np.ones(2)))
