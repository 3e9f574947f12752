"""The physics kind: components composed into one ODE."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from physics_rig import BATTERY, FILLING, TWO_TANKS, channels

from agent.core.nouns import F8
from agent.twin import jsontree
from agent.twin.kinds import physics
from agent.twin.kinds.physics import hydraulics, running
from agent.twin.kinds.physics.params import Component, Drive, Line, Params, Wear
from agent.twin.kinds.physics.plan import compiled

MACHINES = [FILLING, TWO_TANKS, BATTERY]


def held(params: Params, x: F8, u: F8, dt_s: float, rows: int) -> F8:
    for _ in range(rows):
        x = physics.advance(params, x, u, dt_s)
    return x


@pytest.mark.parametrize("params", MACHINES)
def test_the_parameters_are_without_fault_and_pass_through_json(params: Params) -> None:
    inputs, outputs = channels(params)
    assert physics.check(params, inputs, outputs) == []
    again = jsontree.read(Params, jsontree.tree(params), "model")
    x, u = physics.prior(params)[0], np.array([c.mean for c in inputs])
    np.testing.assert_allclose(physics.advance(again, x, u, 1.0), physics.advance(params, x, u, 1.0), rtol=1e-7)
    assert jsontree.tree(again) == jsontree.tree(params)


def test_a_worn_pump_fills_less_and_comes_to_rest_where_in_equals_out() -> None:
    u = np.array([70.0])
    x = held(FILLING, np.array([[0.3, 0.0], [0.3, 0.2]]), u, 10.0, 600)
    level, flow = physics.outputs(FILLING, x, u).T
    assert level[1] < level[0]
    assert flow[1] < flow[0]
    # A sqrt(2 g h)
    np.testing.assert_allclose(flow / 3600.0, 1e-4 * np.sqrt(2 * hydraulics.G * level), rtol=1e-6)


@given(st.lists(st.tuples(st.floats(0, 120), st.floats(0, 100)), min_size=1, max_size=30), st.floats(0.05, 0.6))
@settings(deadline=None, max_examples=60)
def test_water_is_neither_made_nor_lost(drives: list[tuple[float, float]], level: float) -> None:
    # What both tanks hold, and what went in and out of them, by the trapezoid over steps far finer than any change.
    x = np.array([level, level, 0.0, 0.0])
    held_m3 = [0.05 * x[0] + 0.04 * x[1]]
    net = []
    for speed, opening in drives:
        u = np.array([speed, opening])
        for _ in range(10):
            before = _net(x, u)
            x = physics.advance(TWO_TANKS, x, u, 0.1)
            net.append(0.05 * (before + _net(x, u)))
    held_m3.append(0.05 * x[0] + 0.04 * x[1])
    assert held_m3[1] - held_m3[0] == pytest.approx(sum(net), abs=2e-5)


def _net(x: F8, u: F8) -> float:
    """m3/s into the two tanks together: pump in; outlet, leak and lower weir out."""
    _, _, pumped, _, out, leak, over = physics.outputs(TWO_TANKS, x, u)
    return float(pumped - out - leak - over)


@given(st.floats(0.0, 120.0), st.floats(0.0, 100.0), st.floats(0.01, 0.9), st.floats(0.01, 0.9))
def test_heads_along_the_riser_add_up(speed: float, opening: float, upper: float, lower: float) -> None:
    x, u = np.array([upper, lower, 0.0, 0.0]), np.array([speed, opening])
    _, _, flow, head, *_ = physics.outputs(TWO_TANKS, x, u)
    # The pump's head is what the rise and the pipe take: level of the sump + H - rise - loss = 0 while water flows.
    left = 0.3 + head - 1.2 - 0.4 * (flow * 3600.0) ** 2
    assert flow >= 0.0
    assert left == pytest.approx(0.0, abs=1e-6) if flow > 1e-7 else left <= 1e-6


@given(st.floats(0.0, 1.2), st.floats(0.0, 0.3))
def test_a_pump_makes_more_shaft_power_than_water_power(speed: float, wear: float) -> None:
    params = replace(TWO_TANKS, outputs=(*TWO_TANKS.outputs[2:4], replace(TWO_TANKS.outputs[0], signal="pump.power")))
    flow, head, power = physics.outputs(params, np.array([0.3, 0.3, wear, 0.0]), np.array([100.0 * speed, 50.0]))
    assert power >= hydraulics.WATER * hydraulics.G * flow * head - 1e-9


def test_no_state_leaves_its_bounds_and_nothing_is_nan() -> None:
    x = np.array([[0.0, 0.0, 0.9, -2e-4], [1e3, 1e3, -0.1, 2e-4], [np.nan, 0.5, np.nan, 0.0]])
    for row in ([0.0, 100.0], [1e300, -1e300], [np.nan, np.nan], [np.inf, -np.inf]):
        after = held(TWO_TANKS, x, np.array(row), 1.0, 50)
        assert np.isfinite(after[:, :2]).all()
        assert (after[:, :2] >= 0.0).all()
        assert np.isfinite(physics.outputs(TWO_TANKS, after[:2], np.array(row))).all()


def test_a_battery_never_holds_less_than_nothing() -> None:
    x = held(BATTERY, physics.prior(BATTERY)[0], np.array([50.0]), 1.0, 600)
    assert np.isfinite(x).all()
    assert x[1] == 0.0


def test_runge_kutta_is_of_fourth_order_and_euler_of_first() -> None:
    u, x = np.array([2.0]), physics.prior(BATTERY)[0]

    def error(scheme: str, step_s: float) -> float:
        fine = physics.advance(replace(BATTERY, substep_s=0.005), x, u, 4.0)
        return float(
            np.abs(physics.advance(replace(BATTERY, scheme=scheme, substep_s=step_s), x, u, 4.0) - fine)[1:].max()
        )

    assert error("rk4", 0.2) / error("rk4", 0.1) == pytest.approx(16.0, rel=0.25)
    assert error("euler", 0.02) / error("euler", 0.01) == pytest.approx(2.0, rel=0.25)


def test_particles_go_each_their_own_way() -> None:
    rng = np.random.default_rng(0)
    x = physics.prior(TWO_TANKS)[0] + rng.normal(size=(3, 5, 4)) * [0.05, 0.05, 0.05, 1e-5]
    u = rng.uniform(20, 90, (5, 2))
    both = physics.advance(TWO_TANKS, x, u, 2.0)
    assert both.shape == (3, 5, 4)
    for i, j in np.ndindex(3, 5):
        np.testing.assert_allclose(both[i, j], physics.advance(TWO_TANKS, x[i, j], u[j], 2.0), rtol=1e-12)


def test_a_trajectory_is_the_steps_one_after_the_other() -> None:
    u = np.random.default_rng(1).uniform(30, 80, (20, 2))
    x = np.broadcast_to(physics.prior(TWO_TANKS)[0], (3, 4)) + np.linspace(0, 0.05, 3)[:, None]
    seen, end = running.trajectory(TWO_TANKS, x, u, 1.0)
    for k, row in enumerate(u):
        np.testing.assert_allclose(seen[k], physics.outputs(TWO_TANKS, x, row), rtol=1e-12)
        x = physics.advance(TWO_TANKS, x, row, 1.0)
    np.testing.assert_allclose(end, x, rtol=1e-12)


def test_an_overflow_goes_where_its_line_leads() -> None:
    u = np.array([120.0, 5.0])
    x = held(TWO_TANKS, np.array([0.9, 0.1, 0.0, 0.0]), u, 1.0, 300)
    level, lower, pumped, *_ = physics.outputs(TWO_TANKS, x, u)
    assert level < 1.0
    assert pumped > 0.0
    assert lower > 0.1


def test_a_relative_health_parameter_is_a_logarithm() -> None:
    wear = Wear("hole.area", "hole.area", "hole", "m2", 1e-4, np.nan, 1e-6, 1e-2, 0.1, 1e-3, relative=True)
    params = replace(FILLING, health=(wear,))
    flows = [
        physics.advance(params, np.array([0.5, np.log(ratio)]), np.array([0.0]), 1.0)[0] - 0.5 for ratio in (1.0, 2.0)
    ]
    assert flows[1] / flows[0] == pytest.approx(2.0, rel=1e-2)
    assert physics.health(params)[0].value(np.array([0.5, np.log(2.0)])) == pytest.approx(2e-4)


def test_noise_grows_with_time_and_holds_the_walk_of_health() -> None:
    Q = physics.process_noise(FILLING, 4.0)
    np.testing.assert_allclose(Q, np.diag([4e-6, 4e-10]))


def test_an_algebraic_loop_is_named() -> None:
    params = Params(
        components=(
            Component("a", "sensor", {}, {"of": "b.value"}),
            Component("b", "sensor", {}, {"of": "a.value"}),
            Component("c", "lag", {"time": 1.0}, {"of": "a.value"}),
        ),
        lines=(),
        inputs=(),
        outputs=(),
        health=(),
        starts=(),
        estimates=(),
        scheme="rk4",
        substep_s=1.0,
    )
    params = replace(params, starts=(replace(FILLING.starts[0], state="c.value"),))
    with pytest.raises(ValueError, match=r"a\.value -> b\.value -> a\.value: an algebraic loop"):
        compiled(params)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"components": (*FILLING.components, Component("x", "tnak", {"area": 1.0}, {}))}, "did you mean tank"),
        ({"components": (*FILLING.components, Component("x", "tank", {}, {}))}, "a tank needs area"),
        ({"components": (*FILLING.components, Component("x", "tank", {"area": -1.0}, {}))}, "area is -1 m2, expected"),
        (
            {"components": (*FILLING.components, Component("x", "pipe", {"rated": 1e-3, "turbulent": 1.0}, {}))},
            "0 lines",
        ),
        ({"lines": (*FILLING.lines, Line("z", "upper", (), "uper"))}, "did you mean upper"),
        ({"inputs": (*FILLING.inputs, Drive("idle", 1.0, 0.0))}, "no component reads idle"),
        ({"health": (replace(FILLING.health[0], parameter="pump.waer"),)}, "did you mean pump.wear"),
        ({"health": (replace(FILLING.health[0], nominal=2.0),)}, "nominal 2"),
        ({"starts": ()}, "upper.level"),
        ({"scheme": "rk5"}, "rk5"),
    ],
)
def test_what_is_wrong_is_said(wrong: dict[str, object], said: str) -> None:
    params = replace(FILLING, **wrong)  # type: ignore[arg-type]
    assert any(said in text for text in physics.check(params, *channels(params)))
