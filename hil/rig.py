"""The dimensions of the laboratory rig: tanks, pipe, pump, motor and valve, in SI units. No two rigs are the same."""

from dataclasses import dataclass, fields, replace
from random import Random

GRAVITY_M_S2 = 9.81
WATER_DENSITY_KG_M3 = 998.0
M3H_PER_M3S = 3600.0
PA_PER_BAR = 1e5


@dataclass(frozen=True, slots=True)
class Rig:
    """Dimensions of one rig. Effective areas contain the discharge coefficient."""

    tank_area_m2: float = 0.012
    tank_height_m: float = 0.60
    weir_level_m: float = 0.56
    weir_m1_5_s: float = 0.18  # overflow = weir * (level - weir_level)^1.5

    lower_orifice_m2: float = 1.237e-4
    outflow_exponent: float = 0.5  # of the level, through orifice and valve; Torricelli: 0.5
    valve_open_m2: float = 6.0e-4
    valve_rangeability: float = 30.0
    valve_lag_s: float = 0.8
    valve_rate_per_s: float = 0.25
    valve_stiction: float = 0.003  # of travel, healthy

    sump_area_m2: float = 0.12
    sump_float_m: float = 0.295  # the make-up valve opens below
    sump_makeup_m2_s: float = 4e-3
    sump_weir_m: float = 0.45

    inlet_height_m: float = 1.30  # above the sump floor
    pump_height_m: float = 0.10
    riser_inertance_s2_m2: float = 1300.0  # L / (g A): head over flow acceleration
    riser_friction_s2_m5: float = 5.6e6
    riser_dead_time_s: float = 1.4

    # H = h0 w^2 - h1 w Q - h2 Q|Q|
    head_h0_m: float = 4.0
    head_h1_s_m2: float = 440.0
    head_h2_s2_m5: float = 4.4e6
    best_flow_m3_s: float = 4.6e-4  # best efficiency point at full speed
    best_efficiency: float = 0.40
    wear_recirculation: float = 0.0  # worn rings let this share of the best flow back, times wear
    rated_speed_rad_s: float = 303.7
    windage_nm: float = 0.010
    drag_nm: float = 0.030

    drive_rate_per_s: float = 0.5
    rated_torque_nm: float = 0.20
    rated_slip: float = 0.03
    magnetising_a: float = 0.30
    torque_current_a_nm: float = 4.5

    iron_loss_w: float = 5.0
    copper_loss_ohm: float = 34.0  # three phases together
    winding_capacity_j_k: float = 34.0
    case_capacity_j_k: float = 620.0
    winding_to_case_k_w: float = 1.2
    case_to_ambient_k_w: float = 1.0

    @property
    def riser_shift(self) -> int:
        """Steps of 20 ms in the riser's dead time."""
        return max(1, round(self.riser_dead_time_s / STEP_S))


STEP_S = 0.020
SCAN_S = 0.100

# Heights and the weir are the drawing's; what is made, mounted, silted up or worn in differs from rig to rig.
DRAWN = (
    "tank_height_m",
    "weir_level_m",
    "sump_float_m",
    "sump_weir_m",
    "inlet_height_m",
    "pump_height_m",
    "rated_speed_rad_s",
    "rated_torque_nm",
)


def varied(seed: int, share: float = 0.15) -> Rig:
    """The rig of a seed: each made dimension off by up to `share`, outflow and wear laws of its own."""
    draw, rig = Random(f"{seed}/rig"), Rig()
    made = [f.name for f in fields(Rig) if f.name not in (*DRAWN, "outflow_exponent", "wear_recirculation")]
    changed = {name: getattr(rig, name) * draw.uniform(1.0 - share, 1.0 + share) for name in made}
    changed["outflow_exponent"] = 0.5 * draw.uniform(1.0 - share, 1.0 + share)
    changed["wear_recirculation"] = draw.uniform(0.3, 0.7)
    return replace(rig, **changed)
