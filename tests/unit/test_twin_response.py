"""What kind of machine a twin describes, against matrices whose answers are known."""

import math

import numpy as np
import pytest
from whatif_rig import A, B, C, D, plant

from agent.twin import response
from agent.twin.kind import Health
from agent.twin.kinds.identified import Params, Tanh


def test_it_rests_where_the_matrices_say():
    at = response.operating(plant())
    assert at.settled
    np.testing.assert_allclose(at.y, [0.3, 0.2, 100.0], atol=1e-6)


def test_time_constants_are_those_of_the_eigenvalues():
    machine = plant(A=np.array([[0.9, 0.0], [0.0, 0.5]]))
    slow, fast = response.modes(machine, response.operating(machine))
    assert slow.time_s == pytest.approx(-1.0 / math.log(0.9))
    assert fast.time_s == pytest.approx(-1.0 / math.log(0.5))
    assert math.isinf(slow.period_s)


def test_a_pair_that_oscillates_is_one_with_its_period():
    size, angle = 0.95, 2.0 * math.pi / 30.0
    turn = size * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    (mode,) = response.modes(plant(A=turn), response.operating(plant(A=turn)))
    assert mode.period_s == pytest.approx(30.0)
    assert mode.time_s == pytest.approx(-1.0 / math.log(size))


def test_what_stands_is_said_to_stand():
    machine = plant(A=np.diag([1.0, 0.5]))
    assert math.isinf(response.modes(machine, response.operating(machine))[0].time_s)


def test_a_step_settles_at_the_static_gain():
    machine = plant()
    found = response.responses(machine, response.operating(machine))
    gain = C @ np.linalg.solve(np.eye(2) - A, B[:, 0]) + D[:, 0]
    np.testing.assert_allclose(found.up[0, -1], gain * [0.1, 0.1, 20.0], rtol=0.05)
    np.testing.assert_allclose(found.down, -found.up, atol=1e-9)


def test_the_jacobian_of_a_nonlinear_kind_is_that_of_its_equations():
    linear = plant()
    F, E = np.array([[0.3, 0.1, 0.2]]), np.array([[0.2], [0.1]])
    params = linear.params
    bent = Params(
        **{name: getattr(params, name) for name in Params.__slots__ if name != "tanh"},
        tanh=Tanh(F, np.zeros(1), E, np.zeros((3, 1))),
    )
    machine = type(linear)(**{**vars(linear), "params": bent})
    at = response.Operating(np.array([60.0]), np.zeros(2), np.zeros(3), True)
    np.testing.assert_allclose(response.jacobian(machine, at), A + E @ F[:, :2], atol=1e-6)


def test_the_interval_of_a_new_component():
    plain = Health("motor.friction", "motor", "N m", 2, 0.5, 1.0, 0.0, 2.0, 0.1, 1e-6)
    assert response.when_new(plain) == pytest.approx((0.5 - 0.196, 0.5 + 0.196), abs=1e-4)
    ratio = Health("pump.wear", "pump", "", 0, 2.0, 4.0, 0.1, 10.0, 0.1, 1e-6, relative=True)
    assert response.when_new(ratio) == pytest.approx((2.0 * math.exp(-0.196), 2.0 * math.exp(0.196)), rel=1e-4)
