"""Where the rig settles: the speed, valve opening and temperatures for a wanted pair of levels."""

from collections import deque
from math import log, sqrt

from hil.physics import RigState, fall_m_s, level_m, outflow_of
from hil.pump import motor_current_a, shaft_torque_nm
from hil.rig import Rig
from hil.valve import Valve

WARM_SUMP_M = 0.30


def speed_for_flow(rig: Rig, flow_m3_s: float, sump_m: float = WARM_SUMP_M) -> float:
    """Relative rotor speed at which the healthy pump lifts this flow to the upper tank."""
    # h0 w^2 - h1 Q w - (lift + (h2 + k) Q^2) = 0
    b = rig.head_h1_s_m2 * flow_m3_s
    c = rig.inlet_height_m - sump_m + (rig.head_h2_s2_m5 + rig.riser_friction_s2_m5) * flow_m3_s**2
    return (b + sqrt(b * b + 4.0 * rig.head_h0_m * c)) / (2.0 * rig.head_h0_m)


def opening_for(rig: Rig, flow_m3_s: float, upper_m: float) -> float:
    """Valve opening 0..1 that passes this flow at this level of the upper tank."""
    area_m2 = flow_m3_s / fall_m_s(rig, upper_m)
    return 1.0 + log(area_m2 / rig.valve_open_m2) / log(rig.valve_rangeability)


def warm_state(rig: Rig, lower_m: float, opening: float, ambient_c: float) -> RigState:
    """A rig that ran a long time at this lower level and valve opening and was switched off just now."""
    flow = outflow_of(rig, rig.lower_orifice_m2, lower_m)
    area = rig.valve_open_m2 * rig.valve_rangeability ** (opening - 1.0)
    upper = level_m(rig, flow / area)
    speed = speed_for_flow(rig, flow)
    current = motor_current_a(rig, speed, shaft_torque_nm(rig, speed, flow, 0.0))
    loss_w = rig.iron_loss_w + rig.copper_loss_ohm * current**2
    case = ambient_c + rig.case_to_ambient_k_w * loss_w
    return RigState(
        flow_m3_s=0.0,
        upper_m=upper + 0.075,  # what the restart is going to cost
        lower_m=lower_m,
        sump_m=WARM_SUMP_M,
        winding_c=case + rig.winding_to_case_k_w * loss_w,
        case_c=case,
        speed=0.0,
        valve=Valve(actuator=opening, stem=opening),
        in_riser=deque([0.0] * rig.riser_shift),
    )
