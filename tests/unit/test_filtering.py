"""The filter: against a plain Kalman filter, with parts missing, wild or odd in time."""

import numpy as np
import pytest
from filter_rig import as_points, random_linear, tank

from agent.core import wire
from agent.twin.filtering import Filter, Sample, begin, outputs, revise, step

SECOND = 10**9


def rows(plant, count, seed):
    """Samples a period apart, nothing missing: a simulated truth of the plant, and its states."""
    rng = np.random.default_rng(seed)
    p, period_ns = len(plant.outputs), round(plant.period_s * 1e9)
    x, P0 = plant.prior
    x = x + np.linalg.cholesky(P0) @ rng.normal(size=plant.n)
    u, Q = rng.normal(size=len(plant.inputs)), np.linalg.cholesky(plant.Q + 1e-15 * np.eye(plant.n))
    samples, states = [], []
    for k in range(count):
        if k:
            x = plant.advance(x, u) + Q @ rng.normal(size=plant.n)
        u = rng.normal(size=len(u)) if rng.random() < 0.2 else u
        y = plant.observe(x, u)[:p] + np.sqrt(plant.noise) * rng.normal(size=p)
        samples.append(Sample(k * period_ns, u, y, np.ones(p)))
        states.append(x)
    return samples, states


def plain_kalman(plant, samples):
    """The textbook, one period at a time: means and covariances after each sample."""
    m, p = plant.affine, len(plant.outputs)
    C, D, R = m.C[:p], m.D[:p], np.diag(plant.noise)
    x, P = plant.prior
    for k, s in enumerate(samples):
        if k:
            x, P = m.A @ x + m.B @ samples[k - 1].u + m.a, m.A @ P @ m.A.T + plant.Q
        K = P @ C.T @ np.linalg.inv(C @ P @ C.T + R)
        x, P = x + K @ (s.y - C @ x - D @ s.u - m.c[:p]), P - K @ C @ P
        yield x, P


def ran(plant, samples, **how):
    """The filter after each sample."""
    now = begin(plant, samples[0])
    yield now
    for s in samples[1:]:
        now, _ = step(plant, now, s, **how)
        yield now


@pytest.mark.parametrize("seed", range(12))
def test_with_nothing_missing_it_is_the_kalman_filter(seed):
    plant = random_linear(seed)
    samples, _ = rows(plant, 150, seed)
    # Without gate and bound: both are tested by themselves.
    free = [(f, s) for f, s in zip(ran(plant, samples, bounded=True), plain_kalman(plant, samples), strict=True)]
    for f, (x, P) in free:
        assert f.belief.x == pytest.approx(x, abs=1e-9 * max(1.0, np.max(np.abs(x))))
        assert pytest.approx(P, abs=1e-9 * max(1.0, np.max(P))) == f.belief.P


def test_absent_rows_are_left_out_and_the_rest_is_used():
    plant = random_linear(3, n=4, p=3)
    samples, _ = rows(plant, 60, 1)
    holes = [Sample(s.t_ns, s.u, np.where([True, False, True], s.y, np.nan), s.weight) for s in samples]
    *_, seen = ran(plant, holes)
    *_, blind = ran(plant, [Sample(s.t_ns, s.u, np.full(3, np.nan), s.weight) for s in samples])
    *_, full = ran(plant, samples)
    assert np.trace(full.belief.P) < np.trace(seen.belief.P) < np.trace(blind.belief.P)


def test_a_belief_survives_the_wire():
    plant = tank()
    samples, _ = rows(plant, 20, 1)
    *_, now = ran(plant, samples)
    again = wire.decode(Filter, wire.encode(now))
    assert wire.encode(again) == wire.encode(now)


def test_points_and_matrices_agree_on_a_linear_plant():
    one, other = random_linear(5, n=4), random_linear(5, n=4, kind=as_points)
    samples, _ = rows(one, 80, 2)
    for a, b in zip(ran(one, samples), ran(other, samples), strict=True):
        assert b.belief.x == pytest.approx(a.belief.x, abs=1e-7)
        assert pytest.approx(a.belief.P, abs=1e-7 * np.max(a.belief.P)) == b.belief.P


def test_virtual_outputs_come_from_the_corrected_belief():
    plant = tank()
    samples, states = rows(plant, 200, 4)
    *_, now = ran(plant, samples)
    value, sd = outputs(plant, now.belief, now.u)
    truth = plant.observe(states[-1], samples[-1].u)
    assert value.shape == sd.shape == (2,)
    assert np.all(np.abs(value - truth) < 5 * sd + 1e-6)


@pytest.mark.parametrize("plant", [random_linear(7, n=3), tank()], ids=["linear", "tank"])
def test_late_samples_give_what_they_would_have_given_in_their_turn(plant):
    rng = np.random.default_rng(1)
    samples, _ = rows(plant, 60, 1)
    at = np.sort(rng.choice(60 * SECOND, 60, replace=False))
    samples = [Sample(int(t), s.u, s.y, s.weight) for t, s in zip(at, samples, strict=True)]
    *_, in_order = ran(plant, samples)
    now, held = begin(plant, samples[0]), []
    for s in samples[1:]:
        if len(held) < 5 and rng.random() < 0.3:
            held.append(s)
            continue
        now, _ = step(plant, now, s)
        while held and rng.random() < 0.7:
            now = revise(plant, now, held.pop(rng.integers(len(held))))
    for s in held:
        now = revise(plant, now, s)
    assert now.dropped == 0
    assert now.belief.x.tolist() == in_order.belief.x.tolist()
    assert now.belief.root.tolist() == in_order.belief.root.tolist()


def test_a_sensor_that_comes_late_is_merged_into_its_row():
    plant = random_linear(3, n=4, p=3)
    samples, _ = rows(plant, 30, 1)
    now = begin(plant, samples[0])
    for s in samples[1:]:
        now, _ = step(plant, now, Sample(s.t_ns, s.u, np.where([True, False, True], s.y, np.nan), s.weight))
    for s in samples[20:]:
        late = Sample(s.t_ns, np.full_like(s.u, np.nan), np.where([False, True, False], s.y, np.nan), s.weight)
        now = revise(plant, now, late)
    again = begin(plant, samples[0])
    for k, s in enumerate(samples[1:], 1):
        y = s.y if k >= 20 else np.where([True, False, True], s.y, np.nan)
        again, _ = step(plant, again, Sample(s.t_ns, s.u, y, s.weight))
    assert now.belief.x.tolist() == again.belief.x.tolist()


def test_a_sample_from_before_the_window_is_dropped_and_counted():
    plant = tank()
    samples, _ = rows(plant, 40, 1)
    *_, now = ran(plant, samples)
    later = revise(plant, now, samples[3])
    assert later.dropped == now.dropped + 1
    assert later.belief is now.belief
