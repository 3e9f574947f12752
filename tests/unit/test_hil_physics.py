"""The rig's physics: mass and energy, faults in the truth, seeds."""

import math

import pytest

from hil.faults import Faults
from hil.physics import Loads, outflow_m3_s, step
from hil.pump import head_m, motor_current_a, shaft_torque_nm
from hil.recipes import FIRST, base_opening
from hil.rig import STEP_S, Rig
from hil.simulation import Choices, Simulation
from hil.steady import speed_for_flow, warm_state
from hil.valve import Valve, valve_area_m2

RIG = Rig()


def loads(**change):
    opening = base_opening(RIG, FIRST)
    healthy = {
        "speed_demand": 0.69,
        "valve_demand": opening,
        "leak_m2": 0.0,
        "wear": 0.0,
        "stiction": RIG.valve_stiction,
        "ambient_c": 22.0,
    }
    return Loads(**{**healthy, **change})


def volume_m3(state):
    tanks = RIG.tank_area_m2 * (state.upper_m + state.lower_m)
    return tanks + RIG.sump_area_m2 * state.sump_m + STEP_S * math.fsum(state.in_riser)


def warm():
    return warm_state(RIG, FIRST.lower_m, base_opening(RIG, FIRST), 22.0)


def test_water_is_neither_made_nor_lost_without_leak_and_make_up():
    state = warm()
    state.sump_m = 0.36  # above the float, below the weir: closed circuit
    before = volume_m3(state)
    for k in range(3000):
        step(RIG, state, loads(speed_demand=0.69 if k < 2000 else 0.0))
    assert state.flow_m3_s == 0.0
    assert volume_m3(state) == pytest.approx(before, abs=1e-6)


def test_a_leak_takes_what_torricelli_says():
    state = warm()
    state.sump_m = 0.36
    before, lost = volume_m3(state), 0.0
    for _ in range(1500):
        lost += STEP_S * outflow_m3_s(8e-6, state.lower_m)
        step(RIG, state, loads(leak_m2=8e-6))
    assert before - volume_m3(state) == pytest.approx(lost, rel=0.01)


def test_the_default_leak_disturbs_the_level_by_one_to_two_mm_a_second():
    area = 1e-6 * Faults().put("leak")
    rate_mm_s = 1e3 * outflow_m3_s(area, FIRST.lower_m) / RIG.tank_area_m2
    assert 1.0 <= rate_mm_s <= 2.0


def test_the_rig_settles_where_the_static_curves_meet():
    state = warm()
    flow = outflow_m3_s(RIG.lower_orifice_m2, FIRST.lower_m)
    for _ in range(25000):
        step(RIG, state, loads(speed_demand=speed_for_flow(RIG, flow, state.sump_m)))
    # The motor's slip makes the rotor slower than the drive.
    assert state.flow_m3_s == pytest.approx(flow, rel=0.05)
    assert outflow_m3_s(valve_area_m2(RIG, state.valve.stem), state.upper_m) == pytest.approx(state.flow_m3_s, rel=0.01)
    assert state.lower_m == pytest.approx(FIRST.lower_m, rel=0.10)


def test_levels_stay_below_the_rim_with_pump_and_valve_wide_open():
    state = warm()
    for _ in range(6000):
        step(RIG, state, loads(speed_demand=1.0, valve_demand=0.3))
    assert RIG.weir_level_m < state.upper_m < RIG.tank_height_m


def test_the_pump_curve_falls_with_flow_and_with_wear():
    flows = [k * 5e-5 for k in range(9)]
    healthy = [head_m(RIG, 0.7, q, 0.0) for q in flows]
    assert healthy == sorted(healthy, reverse=True)
    assert healthy[0] == pytest.approx(RIG.head_h0_m * 0.49)
    assert all(head_m(RIG, 0.7, q, 0.15) < h for q, h in zip(flows, healthy, strict=True))


def test_torque_and_current_are_finite_at_every_flow():
    for speed in (0.02, 0.3, 0.7, 1.0):
        for flow in (0.0, 1e-6, 3e-4, 2e-3):
            torque = shaft_torque_nm(RIG, speed, flow, 0.3)
            assert 0.0 < torque < 1.0
            assert RIG.magnetising_a < motor_current_a(RIG, speed, torque) < 5.0


def test_a_worn_pump_needs_more_torque_for_its_head():
    healthy = shaft_torque_nm(RIG, 0.7, 2.7e-4, 0.0) / head_m(RIG, 0.7, 2.7e-4, 0.0)
    worn = shaft_torque_nm(RIG, 0.7, 2.7e-4, 0.2) / head_m(RIG, 0.7, 2.7e-4, 0.2)
    assert worn > healthy


def test_flow_reaches_the_tank_after_the_dead_time():
    state = warm()
    marks = []
    for k in range(200):
        arriving = state.in_riser[0]
        step(RIG, state, loads())
        marks.append((k * STEP_S, state.flow_m3_s, arriving))
    left = next(t for t, flow, _ in marks if flow > 1e-5)
    came = next(t for t, _, arriving in marks if arriving > 1e-5)
    assert came - left == pytest.approx(RIG.riser_dead_time_s, abs=2 * STEP_S)


@pytest.mark.parametrize("stiction", [0.003, 0.03])
def test_the_stem_stays_within_the_stuck_band(stiction):
    valve = Valve(0.5, 0.5)
    gaps = []
    for k in range(2000):
        valve.step(RIG, 0.5 + 0.08 * math.sin(k * STEP_S / 2.0), stiction, STEP_S)
        gaps.append(abs(valve.actuator - valve.stem))
    assert 0.8 * stiction < max(gaps) <= stiction + 1e-9


def test_a_stuck_stem_ignores_small_moves():
    valve = Valve(0.5, 0.5)
    for _ in range(500):
        valve.step(RIG, 0.52, 0.03, STEP_S)
    assert valve.stem == 0.5
    assert valve.actuator == pytest.approx(0.52, abs=1e-3)


def run(simulation, seconds):
    for _ in range(round(10 * seconds)):
        simulation.scan()
    return simulation


def test_the_same_seed_gives_the_same_plant_and_another_seed_another():
    images = [run(Simulation(Choices(seed=seed)), 20).image() for seed in (7, 7, 8)]
    assert images[0] == images[1]
    assert images[0] != images[2]


def test_a_fault_changes_no_random_number():
    healthy, faulty = Simulation(Choices(seed=5)), Simulation(Choices(seed=5))
    faulty.faults.put("drift", 0.5)
    run(healthy, 10)
    run(faulty, 10)
    difference = faulty.sampled["upper/level"] - healthy.sampled["upper/level"]
    assert difference == pytest.approx(0.005, abs=3e-4)
    assert faulty.sampled["lower/level"] == healthy.sampled["lower/level"]


@pytest.mark.parametrize(
    ("fault", "key", "sign"),
    [("leak", "leak_flow_m3h", 1), ("wear", "pump_health", -1), ("drift", "drift_m", 1)],
)
def test_each_fault_shows_in_the_truth_and_repair_takes_it_away(fault, key, sign):
    plant = run(Simulation(), 8)
    before = plant.truth()[key]
    plant.faults.put(fault)
    assert sign * (run(plant, 5).truth()[key] - before) > 0.0
    plant.faults.repair()
    assert plant.truth()[key] == before
    assert plant.truth()["faults"] == {}


def test_stiction_makes_the_stem_differ_from_the_transmitter():
    plant = run(Simulation(), 8)
    plant.faults.put("friction")
    largest = 0.0
    for _ in range(900):
        plant.scan()
        largest = max(largest, abs(plant.state.valve.actuator - plant.state.valve.stem))
    assert 0.01 < largest <= 0.03 + 1e-9


def test_a_fault_grows_over_its_onset():
    faults = Faults()
    faults.put("leak", 10.0, onset_s=20.0)
    sizes = []
    for _ in range(250):
        faults.step(0.1)
        sizes.append(faults.size("leak"))
    assert sizes[99] == pytest.approx(5.0)
    assert sizes[-1] == pytest.approx(10.0)
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(("name", "size"), [("leak", -1.0), ("wear", 1.5), ("rust", 1.0), ("leak", math.nan)])
def test_a_fault_that_cannot_be_is_refused(name, size):
    with pytest.raises(ValueError, match=name):
        Faults().put(name, size)
