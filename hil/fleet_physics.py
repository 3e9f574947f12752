"""The equations of `physics`, `pump` and `valve` for many rigs side by side: each array is f8[N], one entry a rig."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hil.physics import REFERENCE_LEVEL_M, REFERENCE_M_S, RigState
from hil.rig import GRAVITY_M_S2, STEP_S, WATER_DENSITY_KG_M3, Rig

F8 = npt.NDArray[np.float64]


class Rigs:
    """The dimensions of N rigs, by the names of `Rig`: each f8[N]."""

    def __init__(self, rigs: list[Rig]) -> None:
        values = {f.name: np.array([getattr(r, f.name) for r in rigs], np.float64) for f in fields(Rig)}
        self.__dict__.update(values)
        self.riser_shift = np.array([r.riser_shift for r in rigs])

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> F8: ...


@dataclass(slots=True)
class Loads:
    """As `physics.Loads`, f8[N] each."""

    speed_demand: F8
    valve_demand: F8
    leak_m2: F8
    wear: F8
    stiction: F8
    ambient_c: F8


class RigStates:
    """As `physics.RigState`. x f8[6,N]: riser flow m3/s, upper m, lower m, sump m, winding degC, case degC."""

    def __init__(self, rigs: Rigs, states: list[RigState]) -> None:
        names = ("flow_m3_s", "upper_m", "lower_m", "sump_m", "winding_c", "case_c")
        self.x = np.array([[getattr(s, name) for s in states] for name in names])
        self.speed = np.array([s.speed for s in states])
        self.actuator = np.array([s.valve.actuator for s in states])
        self.stem = np.array([s.valve.stem for s in states])
        self.sliding = np.array([s.valve.sliding for s in states])
        self.torque_nm, self.current_a = np.zeros(len(states)), np.zeros(len(states))
        self._riser = np.zeros((int(rigs.riser_shift.max()) + 1, len(states)))
        self._steps = 0
        self._plant = np.arange(len(states))

    def through_riser(self, shift: npt.NDArray[np.int64]) -> F8:
        """What arrives at the upper tank now of what left the pump `shift` steps ago."""
        length = len(self._riser)
        self._riser[self._steps % length] = self.x[0]
        arriving = self._riser[(self._steps - shift) % length, self._plant]
        self._steps += 1
        return np.asarray(arriving, np.float64)


@dataclass(slots=True)
class Held:
    """As `physics.Inputs`, with what depends on them alone worked out once a step."""

    inflow_m3_s: F8
    outflow_k: F8
    leak_k: F8
    rise_m: F8
    head_h1_w: F8
    recirculated: F8
    loss_w: F8
    ambient_c: F8


def step(rigs: Rigs, s: RigStates, loads: Loads) -> None:
    """Moves all rigs on by 20 ms."""
    change = rigs.drive_rate_per_s * STEP_S
    s.speed += np.minimum(np.maximum(loads.speed_demand - s.speed, -change), change)
    _move_valves(rigs, s, loads)
    rotor = np.maximum(0.0, s.speed - rigs.rated_slip * s.torque_nm / rigs.rated_torque_nm)
    turning = rotor >= 0.02
    s.torque_nm = np.where(turning, shaft_torque_nm(rigs, np.maximum(rotor, 0.02), s.x[0], loads.wear), 0.0)
    current = np.sqrt(rigs.magnetising_a**2 + (rigs.torque_current_a_nm * s.torque_nm) ** 2)
    s.current_a = np.where(turning, current, 0.0)
    held = _held(rigs, s, loads, rotor)
    s.x = np.maximum(_runge_kutta(rigs, s.x, held), _FLOOR)


_FLOOR = np.array([[0.0], [0.0], [0.0], [0.0], [-np.inf], [-np.inf]])


def _held(rigs: Rigs, s: RigStates, loads: Loads, rotor: F8) -> Held:
    fall = REFERENCE_M_S * REFERENCE_LEVEL_M**-rigs.outflow_exponent
    return Held(
        inflow_m3_s=s.through_riser(rigs.riser_shift),
        outflow_k=np.stack([valve_area_m2(rigs, s.stem), rigs.lower_orifice_m2]) * fall,
        leak_k=loads.leak_m2 * np.sqrt(2.0 * GRAVITY_M_S2),
        rise_m=(1.0 - loads.wear) * rigs.head_h0_m * rotor * rotor,
        head_h1_w=rigs.head_h1_s_m2 * rotor,
        recirculated=rigs.wear_recirculation * loads.wear * rotor * rigs.best_flow_m3_s,
        loss_w=np.where(s.current_a > 0.0, rigs.iron_loss_w, 0.0) + rigs.copper_loss_ohm * s.current_a**2,
        ambient_c=loads.ambient_c,
    )


def _derivative(rigs: Rigs, x: F8, u: Held) -> F8:
    """See `physics.derivative`."""
    flow, _, _, sump, winding, case = x
    inner = flow + u.recirculated
    head_m = u.rise_m - u.head_h1_w * inner - rigs.head_h2_s2_m5 * inner * np.abs(inner)
    d = np.empty_like(x)
    drive_m = head_m - (rigs.inlet_height_m - sump) - rigs.riser_friction_s2_m5 * flow * np.abs(flow)
    d[0] = drive_m / rigs.riser_inertance_s2_m2
    d[0][(flow <= 0.0) & (d[0] < 0.0)] = 0.0
    levels = np.maximum(x[1:3], 0.0)
    out = u.outflow_k * levels**rigs.outflow_exponent
    over = levels - rigs.weir_level_m
    if over.max() > 0.0:
        out += rigs.weir_m1_5_s * np.maximum(over, 0.0) ** 1.5
    transfer, back = out
    d[1] = (u.inflow_m3_s - transfer) / rigs.tank_area_m2
    d[2] = (transfer - back - u.leak_k * np.sqrt(levels[1])) / rigs.tank_area_m2
    makeup = np.where(sump < rigs.sump_float_m, rigs.sump_float_m - sump, np.minimum(0.0, rigs.sump_weir_m - sump))
    d[3] = (back + rigs.sump_makeup_m2_s * makeup - np.maximum(flow, 0.0)) / rigs.sump_area_m2
    to_case_w = (winding - case) / rigs.winding_to_case_k_w
    d[4] = (u.loss_w - to_case_w) / rigs.winding_capacity_j_k
    d[5] = (to_case_w - (case - u.ambient_c) / rigs.case_to_ambient_k_w) / rigs.case_capacity_j_k
    return d


def _runge_kutta(rigs: Rigs, x: F8, u: Held) -> F8:
    half = 0.5 * STEP_S
    k1 = _derivative(rigs, x, u)
    k2 = _derivative(rigs, x + half * k1, u)
    k3 = _derivative(rigs, x + half * k2, u)
    k4 = _derivative(rigs, x + STEP_S * k3, u)
    return np.asarray(x + STEP_S / 6.0 * (k1 + 2.0 * (k2 + k3) + k4), np.float64)


def _move_valves(rigs: Rigs, s: RigStates, loads: Loads) -> None:
    """See `valve.Valve.step`."""
    limit = rigs.valve_rate_per_s
    rate = (loads.valve_demand - s.actuator) / rigs.valve_lag_s
    s.actuator += STEP_S * np.minimum(np.maximum(rate, -limit), limit)
    force = s.actuator - s.stem
    s.sliding = np.abs(force) > np.where(s.sliding, 0.2 * loads.stiction, loads.stiction)
    s.stem = np.where(s.sliding, s.actuator - np.copysign(0.2 * loads.stiction, force), s.stem)


def valve_area_m2(rigs: Rigs, stem: F8) -> F8:
    """See `valve.valve_area_m2`."""
    open_m2 = rigs.valve_open_m2 * rigs.valve_rangeability ** (stem - 1.0)
    return np.asarray(np.where(stem < 0.01, 0.0, open_m2), np.float64)


def shaft_torque_nm(rigs: Rigs, speed: F8, flow_m3_s: F8, wear: F8) -> F8:
    """See `pump.shaft_torque_nm`; speed at least 0.02."""
    x = np.minimum(flow_m3_s / (speed * rigs.best_flow_m3_s), 1.6)
    flow_over_efficiency = speed * rigs.best_flow_m3_s / (rigs.best_efficiency * (1.0 - wear) * (2.0 - x))
    inner = flow_m3_s + rigs.wear_recirculation * wear * speed * rigs.best_flow_m3_s
    head = (1.0 - wear) * rigs.head_h0_m * speed * speed - rigs.head_h1_s_m2 * speed * inner
    head = np.maximum(head - rigs.head_h2_s2_m5 * inner * np.abs(inner), 0.0)
    power_w = WATER_DENSITY_KG_M3 * GRAVITY_M_S2 * head * flow_over_efficiency
    torque = power_w / (speed * rigs.rated_speed_rad_s) + rigs.windage_nm + rigs.drag_nm * speed * speed
    return np.asarray(torque, np.float64)


def vibration_mm_s(rigs: Rigs, speed: F8, flow_m3_s: F8, wear: F8, sump_m: F8) -> F8:
    """See `pump.vibration_mm_s`."""
    turning = np.maximum(speed, 0.02)
    imbalance = 0.4 + 1.8 * speed * speed
    resonance = 0.35 * np.exp(-(((speed - 0.78) / 0.04) ** 2))
    overload = np.maximum(0.0, flow_m3_s / (turning * rigs.best_flow_m3_s) - 1.25)
    cavitation = 3.0 * overload + 25.0 * np.maximum(0.0, rigs.pump_height_m + 0.02 - sump_m)
    shaken = imbalance + resonance + cavitation + 6.0 * wear * speed
    return np.asarray(np.where(speed < 0.02, 0.05, shaken), np.float64)
