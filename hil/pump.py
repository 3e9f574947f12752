"""Pump, motor and vibration: algebraic curves over speed and flow."""

from math import exp, sqrt

from hil.rig import GRAVITY_M_S2, WATER_DENSITY_KG_M3, Rig


def head_m(rig: Rig, speed: float, flow_m3_s: float, wear: float) -> float:
    """Pump head in metres at a relative speed 0..1; wear 0..1 takes that share of the shut-off head."""
    # H = (1 - wear) h0 w^2 - h1 w Q - h2 Q|Q|, Q with what worn rings let back inside the pump
    rise = (1.0 - wear) * rig.head_h0_m * speed * speed
    inner = flow_m3_s + rig.wear_recirculation * wear * speed * rig.best_flow_m3_s
    return rise - rig.head_h1_s_m2 * speed * inner - rig.head_h2_s2_m5 * inner * abs(inner)


def shaft_torque_nm(rig: Rig, speed: float, flow_m3_s: float, wear: float) -> float:
    """Shaft torque in N m."""
    if speed < 0.02:
        return 0.0
    # eta = eta_best x (2 - x), x = Q / (w Q_best); T = rho g H Q / (eta omega) + windage + drag w^2
    # Q / eta = w Q_best / (eta_best (2 - x)) has no singularity at Q = 0.
    x = min(flow_m3_s / (speed * rig.best_flow_m3_s), 1.6)
    flow_over_efficiency = speed * rig.best_flow_m3_s / (rig.best_efficiency * (1.0 - wear) * (2.0 - x))
    head = max(head_m(rig, speed, flow_m3_s, wear), 0.0)
    power_w = WATER_DENSITY_KG_M3 * GRAVITY_M_S2 * head * flow_over_efficiency
    return power_w / (speed * rig.rated_speed_rad_s) + rig.windage_nm + rig.drag_nm * speed * speed


def motor_current_a(rig: Rig, speed: float, torque_nm: float) -> float:
    """Motor current in ampere: the torque part and the magnetising part stand at right angles."""
    if speed < 0.02:
        return 0.0
    torque_part = rig.torque_current_a_nm * torque_nm
    return sqrt(rig.magnetising_a**2 + torque_part**2)


def rotor_speed(rig: Rig, drive_speed: float, torque_nm: float) -> float:
    """Relative rotor speed: the drive's speed less the slip of the induction motor."""
    return max(0.0, drive_speed - rig.rated_slip * torque_nm / rig.rated_torque_nm)


def vibration_mm_s(rig: Rig, speed: float, flow_m3_s: float, wear: float, sump_level_m: float) -> float:
    """Bearing vibration, mm/s rms: imbalance, one resonance, worn impeller, cavitation."""
    if speed < 0.02:
        return 0.05
    imbalance = 0.4 + 1.8 * speed * speed
    resonance = 0.35 * exp(-(((speed - 0.78) / 0.04) ** 2))
    overload = max(0.0, flow_m3_s / (speed * rig.best_flow_m3_s) - 1.25)
    cavitation = 3.0 * overload + 25.0 * max(0.0, rig.pump_height_m + 0.02 - sump_level_m)
    return imbalance + resonance + cavitation + 6.0 * wear * speed
