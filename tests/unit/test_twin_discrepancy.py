"""What a twin misses: nothing new where the machine is, far away as much as on held-out rows, for both arms alike."""

import numpy as np
import pytest
from whatif_rig import SPEED, belief, domain, plant

from agent.twin.trial import discrepancy, whatif
from agent.twin.trial.whatif import Change, Question, Start

SPREAD = np.array([0.02, 0.01, 5.0])
NOW = np.array([60.0, 0.3, 0.2])


def misses(*away, particles=4000, seed=1):
    """e(z) - e(z_0) f8[len(away),N,3], the speed so many standard deviations away."""
    drawn = discrepancy.drawn(plant(), SPREAD, NOW, particles, seed)
    at = NOW + np.outer(np.array(away) * 10.0, [1.0, 0.0, 0.0])
    return discrepancy.missed(drawn, np.repeat(at[:, None, :], particles, axis=1))


def test_where_the_machine_is_nothing_is_new():
    assert np.abs(misses(0.0)).max() < 1e-12


def test_its_spread_grows_with_the_distance_as_the_kernel_says():
    """Var(e(z) - e(z_0)) = 2 s^2 (1 - exp(-d^2 / 2)), as a mean over the random features."""
    near, far = np.mean([misses(0.5, 4.0, particles=500, seed=seed).var(axis=1) for seed in range(40)], axis=0)
    for found, d in ((near, 0.5), (far, 4.0)):
        np.testing.assert_allclose(found[:2], 2.0 * SPREAD[:2] ** 2 * (1.0 - np.exp(-0.5 * d**2)), rtol=0.15)


def test_it_has_no_preference():
    assert np.abs(misses(2.0).mean(axis=1) / SPREAD).max() < 4.0 * np.sqrt(2.0 / 4000)


def test_the_band_of_a_difference_holds_it():
    question = Question((Change(SPEED, 75.0, 10.0),), 200.0)
    start = Start(belief(1e-6), NOW[:1], {})
    exact = whatif.run(plant(Q=1e-9), start, question, domain())
    doubted = whatif.run(plant(Q=1e-9), start, question, domain(), spread=SPREAD)
    width = [np.ptp(o.difference[-1, 1], axis=-1) for o in (exact, doubted)]
    assert width[0] < 1e-9
    # 1.5 sd of speed and of level: nearly as far as it goes, 2 x 1.645 x sqrt(2) s
    assert 2.0 * SPREAD[0] < width[1] < 6.0 * SPREAD[0]
    assert np.ptp(doubted.band[0, -1, 1]) == pytest.approx(0.0, abs=1e-3)  # the baseline stays where it is
