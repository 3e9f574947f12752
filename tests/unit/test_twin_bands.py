"""Bands of a twin learn on: they come to hold 90 %, whatever the fit believed, and never beyond their bounds."""

from types import SimpleNamespace

import numpy as np
import pytest

from agent.twin import accuracy


def covered(true_sd, rows=20000, told_sd=1.0):
    """Share of the second half inside, and the factor at the end."""
    draw, state, inside = np.random.default_rng(1), accuracy.begin(SimpleNamespace(outputs=("y",), n=1)), []
    for error in draw.normal(0.0, true_sd, rows):
        band = accuracy.BAND * told_sd * np.exp(state.width)
        inside.append(abs(error) <= band[0])
        state = accuracy.widened(state, np.array([float(inside[-1])]))
    return np.mean(inside[rows // 2 :]), float(np.exp(state.width[0]))


@pytest.mark.parametrize("true_sd", [0.5, 0.8, 1.0, 1.5, 2.5])
def test_bands_come_to_hold_90_percent(true_sd):
    share, factor = covered(true_sd)
    assert share == pytest.approx(0.9, abs=0.01)
    assert factor == pytest.approx(true_sd, rel=0.15)


def test_a_band_is_never_more_than_three_times_as_wide():
    _, factor = covered(50.0)
    assert factor == pytest.approx(3.0)


def test_nothing_is_learned_where_nothing_was_measured():
    state = accuracy.begin(SimpleNamespace(outputs=("y", "z"), n=1))
    after = accuracy.widened(state, np.array([np.nan, 0.0]))
    assert after.width[0] == 0.0
    assert after.width[1] > 0.0
