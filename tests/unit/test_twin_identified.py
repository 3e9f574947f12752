"""The identified kind: bounded whatever its numbers, parts of a period, matrices where it is linear, its file."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.twin import jsontree, simulate
from agent.twin.kind import Channel
from agent.twin.kinds import identified
from agent.twin.kinds.identified import Params, Tanh
from agent.twin.plant import Plant


def params(seed, n=3, m=2, p=2, units=4, radius=0.98):
    """Random parameters with a stable A; units 0: linear."""
    draw = np.random.default_rng(seed)
    A = draw.standard_normal((n, n))
    A *= radius / np.max(np.abs(np.linalg.eigvals(A)))
    tanh = Tanh(
        F=3 * draw.standard_normal((units, n + m)),
        h=draw.standard_normal(units),
        E=draw.standard_normal((n, units)),
        K=draw.standard_normal((p, units)),
    )
    return Params(
        period_s=2.0,
        u_mean=draw.standard_normal(m),
        u_scale=np.exp(draw.standard_normal(m)),
        y_mean=draw.standard_normal(p),
        y_scale=np.exp(draw.standard_normal(p)),
        A=A,
        B=draw.standard_normal((n, m)),
        a=draw.standard_normal(n),
        C=draw.standard_normal((p, n)),
        D=draw.standard_normal((p, m)),
        c=draw.standard_normal(p),
        tanh=tanh if units else None,
        Q=0.01 * np.eye(n),
        x0=np.zeros(n),
        P0=np.eye(n),
    )


def channels(kind, mean, scale):
    return tuple(
        Channel(f"{kind}{i}", "", float(a), float(s), float(a - s), float(a + s))
        for i, (a, s) in enumerate(zip(mean, scale, strict=True))
    )


def plant(made):
    inputs, outputs = channels("u", made.u_mean, made.u_scale), channels("y", made.y_mean, made.y_scale)
    noise = np.full(len(outputs), 1e-4)
    return Plant(identified, made, inputs, outputs, (), made.period_s, noise, np.zeros(len(outputs)))


@given(seed=st.integers(0, 10**6), size=st.floats(0.0, 1e6), units=st.sampled_from([0, 1, 5]))
@settings(max_examples=60, deadline=None)
def test_bounded_inputs_give_bounded_states_whatever_the_parameters(seed, size, units):
    made = params(seed, units=units, radius=0.95)
    draw = np.random.default_rng(seed + 1)
    v = size * draw.uniform(-1, 1, (400, 2))
    x = size * draw.uniform(-1, 1, 3)
    E = 0.0 if made.tanh is None else np.abs(made.tanh.E).sum(axis=1)
    most = size * np.abs(made.B).sum(axis=1) + np.abs(made.a) + E
    # |x_k| <= |A^k x_0| + sum_j |A^j| most
    power, bound, start = np.eye(3), np.zeros(3), x
    for row in v:
        bound = bound + np.abs(power) @ most
        power = power @ made.A
        x = identified.advance(made, x, row * made.u_scale + made.u_mean, made.period_s)
        assert np.all(np.abs(x) <= (bound + np.abs(power @ start)) * (1 + 1e-9) + 1e-9)


def test_an_unstable_matrix_and_wrong_shapes_are_named():
    made = params(1)
    parts = channels("u", made.u_mean, made.u_scale), channels("y", made.y_mean, made.y_scale)
    assert identified.check(made, *parts) == []
    assert "spectral radius is 1.02" in identified.check(replace(made, A=made.A * 1.02 / 0.98), *parts)[0]
    assert "model.B of shape (3, 2)" in identified.check(replace(made, B=made.B[:, :1]), *parts)[0]
    assert "model.tanh.F of shape" in identified.check(replace(made, tanh=replace(made.tanh, h=np.ones(3))), *parts)[0]
    assert "u_mean" in identified.check(replace(made, u_mean=made.u_mean + 1), *parts)[0]
    assert "P0 positive definite" in identified.check(replace(made, P0=np.zeros((3, 3))), *parts)[0]


def test_particles_are_advanced_as_each_alone_and_many_periods_as_one_by_one():
    made = params(2)
    draw = np.random.default_rng(3)
    x, u = draw.standard_normal((7, 3)), draw.standard_normal((7, 2))
    together = identified.advance(made, x, u, 6.0)
    alone = [identified.advance(made, identified.advance(made, a, b, 2.0), b, 4.0) for a, b in zip(x, u, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    whole = identified.advance(made, x, u, 2.0)
    np.testing.assert_allclose(identified.advance(made, x, u, 0.5), x + 0.25 * (whole - x), rtol=1e-12)
    np.testing.assert_array_equal(identified.advance(made, x, u, 0.0), x)


@pytest.mark.parametrize("dt_s", [2.0, 0.7, 11.0])
def test_the_matrices_of_a_linear_one_say_what_its_functions_say(dt_s):
    made = params(4, units=0)
    draw = np.random.default_rng(5)
    x, u = draw.standard_normal(3), draw.standard_normal(2)
    m = identified.affine(made, dt_s)
    np.testing.assert_allclose(m.A @ x + m.B @ u + m.a, identified.advance(made, x, u, dt_s), atol=1e-12)
    np.testing.assert_allclose(m.C @ x + m.D @ u + m.c, identified.outputs(made, x, u), atol=1e-12)
    assert identified.affine(params(4), dt_s) is None


def test_noise_of_many_periods_is_that_of_one_after_the_other():
    made = params(6, units=0)
    Q, want = made.Q, np.zeros((3, 3))
    for _ in range(5):
        want = made.A @ want @ made.A.T + Q
    np.testing.assert_allclose(identified.process_noise(made, 10.0), want, rtol=1e-12)
    np.testing.assert_allclose(identified.process_noise(made, 11.0), want + 0.5 * Q, rtol=1e-12)


@pytest.mark.parametrize("units", [0, 3])
def test_the_file_gives_back_what_was_written(units):
    made = params(7, units=units)
    back = jsontree.read(Params, jsontree.tree(made))
    assert (back.tanh is None) == (units == 0)
    np.testing.assert_allclose(back.A, made.A, rtol=1e-8)
    if units:
        np.testing.assert_allclose(back.tanh.F, made.tanh.F, rtol=1e-8)


@pytest.mark.parametrize("units", [0, 3])
def test_a_free_run_finds_its_start_in_a_few_rows_with_gaps(units):
    made = params(8, n=3, m=1, p=2, units=units, radius=0.9)
    rig = plant(replace(made, Q=1e-10 * np.eye(3), P0=4.0 * np.eye(3)))
    draw = np.random.default_rng(9)
    u = draw.standard_normal((60, 1))
    truth = simulate.run(rig, draw.standard_normal(3), u)
    y = truth.copy()
    y[1, 0] = np.nan
    y[30:] = np.nan
    np.testing.assert_allclose(simulate.free_run(rig, u, y, 5), truth, atol=0.05)
    u[20] = np.nan
    assert np.isfinite(simulate.free_run(rig, u, y, 5)).all()


def test_without_any_measurement_a_free_run_starts_from_the_prior():
    rig = plant(params(10, units=2))
    u = np.zeros((20, 2))
    none = np.full((20, 2), np.nan)
    np.testing.assert_allclose(simulate.free_run(rig, u, none, 5), simulate.run(rig, rig.prior[0], u), atol=1e-6)
    np.testing.assert_allclose(simulate.free_run(rig, u, none, 0), simulate.run(rig, rig.prior[0], u), atol=1e-6)
