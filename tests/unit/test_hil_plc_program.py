"""The PLC program: states, level control, interlocks, recipes."""

import statistics
from dataclasses import replace

import pytest

from hil.interlocks import Interlocks, Switches
from hil.plc_program import DEMANDS, SETPOINT_HI_M, SETPOINT_LO_M, State
from hil.recipes import orders, schedule
from hil.rig import Rig
from hil.simulation import Choices, Simulation

CLEAR = Switches(high_high=False, sump_low=False, hot=False)


def settled(seconds=0.0, **choices):
    plant = Simulation(Choices(**choices))
    for _ in range(round(10 * seconds)):
        plant.scan()
    return plant


def test_the_demo_start_is_off_then_starting_then_running_within_five_seconds():
    plant = settled()
    states = [State.OFF]
    for _ in range(50):
        plant.scan()
        states.append(plant.program.state)
    assert list(dict.fromkeys(states)) == [State.OFF, State.STARTING, State.RUNNING]


def test_the_start_is_warm():
    plant = settled(6)
    assert plant.state.lower_m == pytest.approx(0.25, abs=0.02)
    assert plant.state.upper_m == pytest.approx(0.30, abs=0.04)


def test_level_control_holds_the_set_point():
    plant = settled()
    plant._order_s = 1e9  # one order for ever
    for _ in range(2400):
        plant.scan()
    errors = []
    for _ in range(600):
        plant.scan()
        errors.append(plant.program.setpoint_m - plant.state.lower_m)
    assert abs(statistics.mean(errors)) < 0.002
    assert max(map(abs, errors)) < 0.004


def test_level_control_goes_to_an_operators_set_point_and_clamps_it():
    plant = settled(5)
    plant._order_s = 1e9
    assert plant.program.write_setpoint(0.28) == 0.28
    for _ in range(3000):
        plant.scan()
    assert plant.state.lower_m == pytest.approx(0.28, abs=0.004)
    assert plant.program.write_setpoint(9.0) == SETPOINT_HI_M
    assert plant.program.write_setpoint(-1.0) == SETPOINT_LO_M


@pytest.mark.parametrize("seed", [1, 2])
def test_normal_operation_neither_trips_nor_overflows(seed):
    plant = settled(seed=seed)
    for _ in range(9000):
        plant.scan()
        assert max(plant.state.upper_m, plant.state.lower_m) < 0.53
    assert plant.program.state is State.RUNNING


@pytest.mark.parametrize("demand", ["off", "idle", "clean", "maintain"])
def test_the_line_goes_to_each_state_and_back(demand):
    plant = settled(6)
    plant.program.demand = DEMANDS[demand]
    seen = []
    for _ in range(150):
        plant.scan()
        seen.append(plant.program.state)
    assert list(dict.fromkeys(seen)) == [State.STOPPING, DEMANDS[demand]]
    plant.program.demand = State.RUNNING
    for _ in range(1000):
        plant.scan()
    assert plant.program.state is State.RUNNING
    assert plant.program.interlocks.ok


def test_the_upper_tank_is_kept_from_running_over_when_too_much_is_asked():
    plant = settled()
    plant._order_s = 1e9
    plant.program.order = replace(plant.program.order, opening=0.46)
    plant.program.write_setpoint(SETPOINT_HI_M)
    highest = 0.0
    for _ in range(3000):
        plant.scan()
        highest = max(highest, plant.state.upper_m)
    assert plant.program.state is State.RUNNING
    assert 0.46 < highest < 0.53


def test_a_pump_without_head_trips_on_dry_run_and_stays_tripped_until_reset():
    plant = settled(12)
    plant.faults.put("wear", 0.9)
    for _ in range(150):
        plant.scan()
    assert plant.program.state is State.FAULT
    assert plant.program.interlocks.tripped == "dry run"
    assert plant.image()["interlock/ok"] is False
    plant.faults.repair()
    for _ in range(50):
        plant.scan()
    assert plant.program.state is State.FAULT
    assert plant.state.speed == 0.0
    plant.program.reset()
    for _ in range(100):
        plant.scan()
    assert plant.program.state in (State.STARTING, State.RUNNING)


@pytest.mark.parametrize(
    ("switches", "name"),
    [
        (Switches(True, False, False), "high-high level"),
        (Switches(False, True, False), "sump low"),
        (Switches(False, False, True), "winding hot"),
    ],
)
def test_each_switch_trips_after_its_time_and_not_before(switches, name):
    interlocks = Interlocks()
    trips = [interlocks.scan(switches, 1.0, 0.7) for _ in range(15)]
    assert not trips[0]
    assert trips[-1]
    assert interlocks.tripped == name
    assert not interlocks.reset()  # the cause still stands
    interlocks.scan(CLEAR, 1.0, 0.0)
    assert interlocks.reset()


def test_a_short_touch_of_a_switch_does_not_trip():
    interlocks = Interlocks()
    for _ in range(20):
        assert not interlocks.scan(Switches(True, False, False), 1.0, 0.7)
        assert not interlocks.scan(CLEAR, 1.0, 0.7)


def test_recipes_change_each_one_to_two_minutes_and_never_repeat():
    stream = orders(Rig(), "3")
    lengths, products, moves = {}, [], []
    for _ in range(200):
        hold_s, order = next(stream)
        if not products or products[-1] != order.product:
            products.append(order.product)
            lengths[len(products)] = 0.0
        lengths[len(products)] += hold_s
        moves.append(order.move_m)
    assert all(60.0 <= s <= 120.0 for s in list(lengths.values())[:-1])
    assert len(set(products)) >= 4
    assert len(set(moves)) > 100


def test_the_schedule_has_stops_of_each_kind_between_long_runs():
    stream = schedule("1")
    parts = [next(stream) for _ in range(60)]
    assert {what for _, what in parts} == {"run", "idle", "off", "clean", "maintain"}
    assert all(what == "run" for _, what in parts[::2])


def test_the_volume_counter_rolls_over_at_32_bits():
    plant = settled(0, volume_l=2**32 - 1)
    assert plant.image()["pump/volume"] == 2**32 - 1
    for _ in range(120):
        plant.scan()
    assert 0 <= plant.image()["pump/volume"] <= 3
