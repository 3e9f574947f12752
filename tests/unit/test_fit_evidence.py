"""Bands and alerts are counted on rows that nothing was set from."""

from types import SimpleNamespace

import numpy as np
import pytest

from agent.fit.judging import evidence, limits
from agent.fit.judging.assembly import HeldOut
from agent.fit.judging.tracked import Track

DAY = 86_400


def stretch(plant, residual, sd=1.0):
    """A stretch of one output, its residual given; the first ten rows have not settled."""
    n = len(residual)
    settled = np.arange(n) >= 10
    none = np.zeros((n, 0))
    column = np.asarray(residual, float)[:, None]
    held = HeldOut(plant, none, column, none, settled)
    return held, Track(column / sd, np.zeros((n, 1)), column, none, none, np.ones(n))


def parts(*residuals, seeds=True):
    plants = [SimpleNamespace() for _ in residuals]
    both = [stretch(plant, r) for plant, r in zip(plants, residuals, strict=True)]
    return [h for h, _ in both], [t for _, t in both]


def noise(seed, n=3000, sd=1.0):
    return sd * np.random.default_rng(seed).standard_normal(n)


@pytest.fixture(scope="module")
def found():
    return limits.learned([noise(9)[:, None]], [np.ones(3000)], 1.0)


def test_a_band_is_that_of_the_other_stretches(found):
    """A stretch three times as noisy as the others is seldom inside their bands; they are always inside its."""
    held, tracks = parts(noise(1), noise(2), noise(3, sd=3.0))
    got = evidence.gathered(held, tracks, found, 1.0, 1.0)
    inside = got.inside[:, 0].reshape(3, 3000)
    assert np.isnan(inside[:, :10]).all()
    assert got.rows == 3 * 2990
    quiet, loud = np.nanmean(inside[:2]), np.nanmean(inside[2])
    assert quiet > 0.98
    assert loud == pytest.approx(0.416, abs=0.03)  # P(|3 z| < 1.645)


def test_what_would_have_alerted_is_counted_once_until_it_is_back(found):
    burst = noise(1)
    burst[1000:1100] += 6.0
    burst[2000:2100] -= 6.0
    held, tracks = parts(noise(2), burst)
    quiet = evidence.gathered(*parts(noise(2), noise(1)), found, 1.0, 1.0)
    assert quiet.alerts == 0
    assert evidence.gathered(held, tracks, found, 1.0, 1.0).alerts in (2, 3, 4)  # deviation twice, CUSUM perhaps


def test_limits_are_learned_again_where_the_count_can_prove_something(found, monkeypatch):
    learned = []
    monkeypatch.setattr(limits, "learned", lambda z, share, period_s: learned.append(len(z)) or found)
    held, tracks = parts(noise(1), noise(2), noise(3))
    assert evidence.gathered(held, tracks, found, 1.0, 1.0).alerts == 0
    assert learned == []
    evidence.gathered(held, tracks, found, 40.0, 1.0)  # four days of rows of 40 s
    assert learned == [2, 2, 2]


def test_one_plant_alone_is_judged_by_its_own_bands(found):
    plant = SimpleNamespace()
    both = [stretch(plant, noise(seed)) for seed in (1, 2)]
    got = evidence.gathered([h for h, _ in both], [t for _, t in both], found, 1.0, 1.0)
    assert np.nanmean(got.inside) == pytest.approx(0.9, abs=0.02)
