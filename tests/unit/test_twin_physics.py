"""The physics kind: components composed into one ODE."""

from __future__ import annotations

import numpy as np
from physics_rig import FILLING

from agent.twin.kinds import physics


def test_a_worn_pump_fills_less() -> None:
    x = np.array([[0.3, 0.0], [0.3, 0.2]])
    for _ in range(600):
        x = physics.advance(FILLING, x, np.array([70.0]), 10.0)
    level, flow = physics.outputs(FILLING, x, np.array([70.0])).T
    assert level[1] < level[0] < 2.0
    assert flow[1] < flow[0]
    # At rest the pump brings what the hole lets out: A sqrt(2 g h).
    np.testing.assert_allclose(flow / 3600.0, 1e-4 * np.sqrt(2 * 9.80665 * level), rtol=1e-3)


def test_the_parameters_are_without_fault() -> None:
    assert not [p for p in physics.check(FILLING, (), ()) if "channels" not in p]
