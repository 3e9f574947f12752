"""The rig's differential equations and one step of time: classic fourth-order Runge-Kutta over 20 ms."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import sqrt

from hil.pump import head_m, motor_current_a, rotor_speed, shaft_torque_nm
from hil.rig import GRAVITY_M_S2, STEP_S, Rig
from hil.valve import Valve, valve_area_m2

# riser flow m3/s, upper m, lower m, sump m, winding degC, case degC
Continuous = tuple[float, float, float, float, float, float]

REFERENCE_LEVEL_M = 0.25  # where rigs of any outflow exponent agree with Torricelli
REFERENCE_M_S = sqrt(2.0 * GRAVITY_M_S2 * REFERENCE_LEVEL_M)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is held constant over one step."""

    rotor: float
    inflow_m3_s: float
    opening_m2: float
    leak_m2: float
    wear: float
    current_a: float
    ambient_c: float


@dataclass(frozen=True, slots=True)
class Loads:
    """What acts on the rig from outside: PLC outputs, faults, weather."""

    speed_demand: float
    valve_demand: float
    leak_m2: float
    wear: float
    stiction: float
    ambient_c: float


@dataclass(slots=True)
class RigState:
    """The whole physical state. Flows in m3/s, levels in m, temperatures in degC, speed 0..1."""

    flow_m3_s: float
    upper_m: float
    lower_m: float
    sump_m: float
    winding_c: float
    case_c: float
    speed: float
    valve: Valve
    in_riser: deque[float] = field(default_factory=deque)
    torque_nm: float = 0.0
    current_a: float = 0.0
    pumped_m3: float = 0.0


def outflow_m3_s(area_m2: float, level_m: float) -> float:
    """Torricelli: q = a sqrt(2 g h)."""
    return area_m2 * sqrt(2.0 * GRAVITY_M_S2 * level_m) if level_m > 0.0 else 0.0


def outflow_of(rig: Rig, area_m2: float, level_m: float) -> float:
    """Through orifice or valve of this rig, whose exponent may be another than Torricelli's."""
    return area_m2 * fall_m_s(rig, level_m) if level_m > 0.0 else 0.0


def fall_m_s(rig: Rig, level_m: float) -> float:
    """Velocity of the jet under a level: v = v_ref (h / h_ref)^n; n = 0.5 is Torricelli's sqrt(2 g h)."""
    if rig.outflow_exponent == 0.5:
        return sqrt(2.0 * GRAVITY_M_S2 * level_m)
    return float(REFERENCE_M_S * (level_m / REFERENCE_LEVEL_M) ** rig.outflow_exponent)


def level_m(rig: Rig, fall: float) -> float:
    """The level at which the jet has this velocity in m/s."""
    if rig.outflow_exponent == 0.5:
        return fall**2 / (2.0 * GRAVITY_M_S2)
    return float(REFERENCE_LEVEL_M * (fall / REFERENCE_M_S) ** (1.0 / rig.outflow_exponent))


def weir_m3_s(rig: Rig, level_m: float) -> float:
    """Overflow of a tank: q = c (h - h_weir)^1.5."""
    over_m = level_m - rig.weir_level_m
    return rig.weir_m1_5_s * over_m * sqrt(over_m) if over_m > 0.0 else 0.0


def derivative(rig: Rig, x: Continuous, u: Inputs) -> Continuous:
    """Time derivative of the continuous state."""
    flow, upper, lower, sump, winding, case = x
    # dQ/dt = (H_pump - lift - k Q|Q|) / I
    lift_m = rig.inlet_height_m - sump
    drive_m = head_m(rig, u.rotor, flow, u.wear) - lift_m - rig.riser_friction_s2_m5 * flow * abs(flow)
    d_flow = drive_m / rig.riser_inertance_s2_m2
    if flow <= 0.0 and d_flow < 0.0:  # check valve
        d_flow = 0.0
    # A dh/dt = in - out
    transfer = outflow_of(rig, u.opening_m2, upper) + weir_m3_s(rig, upper)
    back = outflow_of(rig, rig.lower_orifice_m2, lower) + weir_m3_s(rig, lower)
    leak = outflow_m3_s(u.leak_m2, lower)
    d_upper = (u.inflow_m3_s - transfer) / rig.tank_area_m2
    d_lower = (transfer - back - leak) / rig.tank_area_m2
    d_sump = (back + makeup_m3_s(rig, sump) - max(flow, 0.0)) / rig.sump_area_m2
    # C dT/dt = P - (T - T_next) / R
    loss_w = (rig.iron_loss_w if u.current_a > 0.0 else 0.0) + rig.copper_loss_ohm * u.current_a**2
    to_case_w = (winding - case) / rig.winding_to_case_k_w
    d_winding = (loss_w - to_case_w) / rig.winding_capacity_j_k
    d_case = (to_case_w - (case - u.ambient_c) / rig.case_to_ambient_k_w) / rig.case_capacity_j_k
    return d_flow, d_upper, d_lower, d_sump, d_winding, d_case


def makeup_m3_s(rig: Rig, sump_m: float) -> float:
    """Fresh water in (positive) through the float valve, or out over the sump's weir (negative)."""
    if sump_m < rig.sump_float_m:
        return rig.sump_makeup_m2_s * (rig.sump_float_m - sump_m)
    return rig.sump_makeup_m2_s * min(0.0, rig.sump_weir_m - sump_m)


def runge_kutta(f: Callable[[Continuous], Continuous], x: Continuous, dt_s: float) -> Continuous:
    """One classic fourth-order step."""
    half = 0.5 * dt_s
    k1 = f(x)
    k2 = f(_ahead(x, k1, half))
    k3 = f(_ahead(x, k2, half))
    k4 = f(_ahead(x, k3, dt_s))
    sixth = dt_s / 6.0
    a, b, c, d, e, g = (xi + sixth * (p + 2.0 * (q + r) + s) for xi, p, q, r, s in zip(x, k1, k2, k3, k4, strict=True))
    return a, b, c, d, e, g


def _ahead(x: Continuous, k: Continuous, dt_s: float) -> Continuous:
    return (
        x[0] + dt_s * k[0],
        x[1] + dt_s * k[1],
        x[2] + dt_s * k[2],
        x[3] + dt_s * k[3],
        x[4] + dt_s * k[4],
        x[5] + dt_s * k[5],
    )


def step(rig: Rig, state: RigState, loads: Loads) -> None:
    """Moves the whole rig on by 20 ms."""
    change = rig.drive_rate_per_s * STEP_S
    state.speed += min(max(loads.speed_demand - state.speed, -change), change)
    state.valve.step(rig, loads.valve_demand, loads.stiction, STEP_S)
    rotor = rotor_speed(rig, state.speed, state.torque_nm)
    state.torque_nm = shaft_torque_nm(rig, rotor, state.flow_m3_s, loads.wear)
    state.current_a = motor_current_a(rig, rotor, state.torque_nm)
    state.in_riser.append(state.flow_m3_s)
    u = Inputs(
        rotor=rotor,
        inflow_m3_s=state.in_riser.popleft(),
        opening_m2=valve_area_m2(rig, state.valve.stem),
        leak_m2=loads.leak_m2,
        wear=loads.wear,
        current_a=state.current_a,
        ambient_c=loads.ambient_c,
    )
    x = (state.flow_m3_s, state.upper_m, state.lower_m, state.sump_m, state.winding_c, state.case_c)
    flow, upper, lower, sump, winding, case = runge_kutta(lambda y: derivative(rig, y, u), x, STEP_S)
    state.pumped_m3 += 0.5 * (state.flow_m3_s + max(flow, 0.0)) * STEP_S
    state.flow_m3_s = max(flow, 0.0)
    state.upper_m, state.lower_m, state.sump_m = max(upper, 0.0), max(lower, 0.0), max(sump, 0.0)
    state.winding_c, state.case_c = winding, case
