"""What holds of the filter whatever comes: it stays sound, it is never locked out, it does not depend on luck."""

import numpy as np
import pytest
from filter_rig import PLANTS, any_plant, ordeal, soundness
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core import wire
from agent.twin.filtering import Filter, Sample, begin, revise, step

SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))


def through(plant, samples):
    now = None
    for sample, late, how in samples:
        if now is None:
            now = begin(plant, sample)
        elif late:
            now = revise(plant, now, sample)
        else:
            now, _ = step(plant, now, sample, **how)
        yield now


@pytest.mark.parametrize("name", PLANTS)
@FEW
@given(seed=SEEDS)
def test_the_covariance_stays_positive_definite(name, seed):
    plant = any_plant(name, seed)
    for now in through(plant, ordeal(plant, seed, 120)):
        assert soundness(now.belief) > 0.0


@pytest.mark.parametrize("name", PLANTS)
@FEW
@given(seed=SEEDS, size=st.floats(-1, 1))
def test_after_a_jump_of_the_truth_the_filter_finds_back(name, seed, size):
    plant = any_plant(name, seed)
    # Nonlinear kinds: ten standard deviations of the prior, beyond which they saturate; linear ones: a hundred.
    size += plant.affine is not None
    rng = np.random.default_rng(seed)
    p, u = len(plant.outputs), np.array([c.mean for c in plant.inputs])
    x, sd = plant.prior[0], np.sqrt(np.diag(plant.prior[1]))

    def row(k):
        y = plant.observe(x, u)[:p] + np.sqrt(plant.noise) * rng.normal(size=p)
        return Sample(k * 10**9, u, y, np.ones(p))

    now, refused, sizes = begin(plant, row(0)), [], []
    for k in range(1, 400):
        x = plant.advance(x, u)
        if k == 100:
            x = plant.advance(x + sd * rng.normal(size=plant.n) * 10.0**size, u)
        now, said = step(plant, now, row(k))
        if k >= 350:
            refused.append(said.rejected)
            sizes.append(said.nu / said.sd)
    assert np.mean(refused) < 0.1
    assert np.sqrt(np.mean(np.square(sizes))) < 1.6


@FEW
@given(seed=SEEDS, cut=st.integers(5, 110))
def test_a_restart_changes_nothing(seed, cut):
    plant = any_plant("linear", seed)
    samples = list(ordeal(plant, seed, 120))
    *_, straight = through(plant, samples)
    *_, now = through(plant, samples[:cut])
    again = wire.decode(Filter, wire.encode(now))
    for sample, late, how in samples[cut:]:
        again = revise(plant, again, sample) if late else step(plant, again, sample, **how)[0]
    assert wire.encode(again) == wire.encode(straight)


@FEW
@given(seed=SEEDS)
def test_frozen_health_stands_still_and_the_rest_does_not(seed):
    plant = any_plant("tank", seed)
    now = begin(plant, next(iter(ordeal(plant, seed, 1)))[0], frozen=True)
    wear, sd = now.belief.x[1], np.sqrt(now.belief.P[1, 1])
    moved = set()
    for sample, late, how in ordeal(plant, seed, 100):
        if not late:
            now, _ = step(plant, now, sample, **{**how, "frozen": True})
            moved.add(float(now.belief.x[0]))
            assert now.belief.x[1] == wear
            assert np.sqrt(now.belief.P[1, 1]) == pytest.approx(sd, rel=1e-6)
    assert len(moved) > 20
