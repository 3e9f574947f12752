"""The filter: against a plain Kalman filter, with parts missing, wild or odd in time."""

from dataclasses import replace

import numpy as np
import pytest
from filter_rig import as_points, random_linear, tank
from scipy.linalg import solve_discrete_are

from agent.core import wire
from agent.twin.filtering import Filter, Sample, begin, outputs, revise, step
from agent.twin.filtering.steady import riccati

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


@pytest.mark.parametrize("seed", range(6))
def test_the_doubling_finds_the_covariance_that_stays(seed):
    plant = random_linear(seed)
    A, C, Q = plant.affine.A, plant.affine.C[: len(plant.outputs)], plant.Q
    found = riccati(A, C, Q, plant.noise, np.sqrt(np.diag(plant.prior[1])))
    assert found == pytest.approx(solve_discrete_are(A.T, C.T, Q, np.diag(plant.noise)), rel=1e-8, abs=1e-10)


def test_a_covariance_without_a_limit_has_none():
    # A random walk that no sensor sees.
    assert riccati(np.eye(1), np.zeros((0, 1)), np.eye(1), np.zeros(0), np.ones(1)) is None


def test_each_set_of_sensors_settles_to_its_own_gain():
    plant = random_linear(3, n=3, p=2)
    samples, _ = rows(plant, 900, 1)
    gone = [replace(s, y=s.y * [1.0, np.nan]) if 300 <= k < 600 else s for k, s in enumerate(samples)]
    filters = list(ran(plant, gone, bounded=True))
    both, one, again = (filters[k] for k in (299, 599, 899))
    assert [f.now.settled for f in (both, one, again)] == [1, 1, 1]
    assert np.trace(one.belief.P) > np.trace(both.belief.P)
    assert again.belief.root is both.belief.root


def test_an_uncertain_value_counts_for_less():
    plant = random_linear(3, n=3, p=2)
    samples, _ = rows(plant, 40, 1)
    *_, good = ran(plant, samples)
    *_, doubted = ran(plant, [replace(s, weight=np.full(2, 25.0)) for s in samples])
    assert np.trace(doubted.belief.P) > 1.5 * np.trace(good.belief.P)


def test_a_wild_value_is_refused_and_a_third_one_in_a_row_believed():
    plant = random_linear(3, n=3, p=2)
    samples, _ = rows(plant, 60, 1)
    *_, now = ran(plant, samples[:50])
    before, seen = now.belief.x, []
    for s in samples[50:54]:
        now, said = step(plant, now, replace(s, y=s.y + np.array([1000.0, 0.0])))
        seen.append((said.rejected.tolist(), now.rejected.tolist()))
    assert seen[:3] == [([1, 0], [1, 0]), ([1, 0], [2, 0]), ([0, 0], [3, 0])]
    assert np.max(np.abs(now.belief.x - before)) > 1.0


def test_a_bounded_filter_takes_a_wild_value_for_one_of_four_deviations():
    plant = random_linear(3, n=3, p=1)
    samples, _ = rows(plant, 30, 1)
    *_, now = ran(plant, samples[:20])
    wild = [step(plant, now, replace(samples[20], y=np.array([y])), bounded=True)[0] for y in (1e4, 1e8, np.nan)]
    assert wild[0].belief.x.tolist() == wild[1].belief.x.tolist()
    assert np.max(np.abs(wild[0].belief.x - wild[2].belief.x)) > 0.0


def test_a_clock_that_stutters_is_kept_on_the_grid_and_one_that_is_off_is_followed():
    plant = tank()
    samples, _ = rows(plant, 4, 1)
    now, _ = step(plant, begin(plant, samples[0]), replace(samples[1], t_ns=SECOND + 30_000_000))
    assert now.t_ns == SECOND
    now, _ = step(plant, now, replace(samples[2], t_ns=2 * SECOND + 300_000_000))
    assert now.t_ns == 2 * SECOND + 300_000_000


def test_a_long_gap_is_one_leap_of_the_same_model():
    plant = random_linear(4, n=3, p=1)
    samples, _ = rows(plant, 2, 1)
    now = begin(plant, samples[0])
    far, _ = step(plant, now, Sample(37 * SECOND, samples[1].u, np.full(1, np.nan), np.ones(1)))
    for k in range(1, 38):
        now, _ = step(plant, now, Sample(k * SECOND, samples[0].u, np.full(1, np.nan), np.ones(1)))
    assert far.belief.x == pytest.approx(now.belief.x, rel=1e-9, abs=1e-12)
    assert pytest.approx(now.belief.P, rel=1e-9) == far.belief.P


def test_health_that_a_sample_tells_nothing_of_stands_still():
    plant = tank()
    samples, _ = rows(plant, 41, 1)
    *_, now = ran(plant, samples[:40])
    told, untold = (step(plant, now, samples[40], bounded=True, floor=floor)[0] for floor in (0.0, 0.999))
    assert told.belief.x[1] != now.belief.x[1]
    assert untold.belief.x[1] == pytest.approx(now.belief.x[1], abs=1e-12)
    assert untold.belief.x[0] != now.belief.x[0]
