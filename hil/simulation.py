"""The whole plant in one object without sockets: rig, sensors, PLC program, recipes, faults, weather."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi, sin
from random import Random

from hil.faults import Faults
from hil.interlocks import HIGH_HIGH_M, HOT_WINDING_C, SUMP_LOW_M, Switches
from hil.physics import Loads, RigState, outflow_m3_s, outflow_of, step, weir_m3_s
from hil.plc_program import DEMANDS, Program
from hil.pump import vibration_mm_s
from hil.recipes import FIRST, base_opening, orders, schedule
from hil.rig import GRAVITY_M_S2, M3H_PER_M3S, PA_PER_BAR, SCAN_S, STEP_S, WATER_DENSITY_KG_M3, Rig
from hil.sensors import REFERENCE_SENSOR, SENSORS, Reading
from hil.steady import warm_state
from hil.valve import valve_area_m2

Value = float | int | bool | str
STEPS_A_SCAN = round(SCAN_S / STEP_S)


@dataclass(frozen=True, slots=True)
class Choices:
    """What a plant is started with. volume_l is the counter's first reading, to bring its roll-over near."""

    seed: int = 1
    scheduled: bool = False
    volume_l: int = 120_000


class Weather:
    """Ambient temperature in degC: a slow swing and a slower wander."""

    def __init__(self, seed: str) -> None:
        self._noise = Random(f"{seed}/weather")
        self._phase = self._noise.uniform(0.0, 2.0 * pi)
        self._wander = 0.0

    def at(self, time_s: float) -> float:
        """Temperature at a plant time; called once a scan."""
        self._wander += -self._wander * SCAN_S / 900.0 + self._noise.gauss(0.0, 0.02 * SCAN_S**0.5)
        return 22.0 + 2.0 * sin(2.0 * pi * time_s / 5400.0 + self._phase) + self._wander


class Simulation:
    """A plant that moves on by one PLC scan of 100 ms at a time."""

    def __init__(self, choices: Choices | None = None, rig: Rig | None = None) -> None:
        choices = choices or Choices()
        seed = str(choices.seed)
        self.rig = rig or Rig()
        self.faults = Faults()
        self.time_s = 0.0
        self.scans = 0
        self._volume_l = choices.volume_l
        self._weather = Weather(seed)
        self.ambient_c = self._weather.at(0.0)
        opening = base_opening(self.rig, FIRST)
        self.state: RigState = warm_state(self.rig, FIRST.lower_m, opening, self.ambient_c)
        self._orders = orders(self.rig, seed)
        self._schedule = schedule(seed) if choices.scheduled else None
        self._order_s, order = next(self._orders)
        self._demand_s = next(self._schedule)[0] if self._schedule else 0.0
        self.program = Program(order, opening)
        self._readings = [Reading(s, seed) for s in SENSORS]
        self._reference = Reading(REFERENCE_SENSOR, seed)
        self.sampled: dict[str, float] = {}
        self.reference_m3h = 0.0
        self._shake = Random(f"{seed}/shake")
        self._turbulence = 0.0
        self._sample()

    def scan(self) -> None:
        """Moves on by 100 ms: physics, sensors, then the program."""
        self._plan()
        loads = self._loads()
        for _ in range(STEPS_A_SCAN):
            step(self.rig, self.state, loads)
        self.faults.step(SCAN_S)
        self.scans += 1
        self.time_s = round(self.scans * SCAN_S, 3)
        self.ambient_c = self._weather.at(self.time_s)
        self._sample()
        read = self.sampled
        self.program.scan(read["lower/level"], read["upper/level"], read["pump/flow"], self._switches())

    def image(self) -> dict[str, Value]:
        """The PLC's whole I/O image: tag to value in the tag's unit."""
        program = self.program
        return {
            **self.sampled,
            "control/setpoint": program.setpoint_m,
            "control/setpoint_base": program.base_setpoint_m,
            "pump/volume": (self._volume_l + int(self.state.pumped_m3 * 1000.0)) & 0xFFFF_FFFF,
            "drive/state": int(program.state),
            "drive/heartbeat": program.heartbeat,
            "pump/run": program.pump_on,
            "interlock/ok": program.interlocks.ok,
            "process/product": program.order.product,
        }

    def truth(self) -> dict[str, object]:
        """What no sensor shows: true flows in m3/h, levels in m, and the rig's health."""
        x = self.state
        return {
            "time_s": self.time_s,
            "transfer_flow_m3h": self.transfer_m3h(),
            "leak_flow_m3h": M3H_PER_M3S * outflow_m3_s(self._leak_m2(), x.lower_m),
            "riser_flow_m3h": M3H_PER_M3S * x.flow_m3_s,
            "upper_level_m": x.upper_m,
            "lower_level_m": x.lower_m,
            "sump_level_m": x.sump_m,
            "winding_c": x.winding_c,
            "case_c": x.case_c,
            "valve_stem": x.valve.stem,
            "overflow_m3h": M3H_PER_M3S * (weir_m3_s(self.rig, x.upper_m) + weir_m3_s(self.rig, x.lower_m)),
            "drift_m": self.faults.drift_m,
            "pump_health": 1.0 - self.faults.size("wear"),
            "faults": self.faults.sizes(),
            "tripped": self.program.interlocks.tripped,
        }

    def transfer_m3h(self) -> float:
        """True flow from the upper to the lower tank, overflow included, in m3/h."""
        x = self.state
        pipe = outflow_of(self.rig, valve_area_m2(self.rig, x.valve.stem), x.upper_m)
        return M3H_PER_M3S * (pipe + weir_m3_s(self.rig, x.upper_m))

    def _plan(self) -> None:
        self._order_s -= SCAN_S
        if self._order_s <= 0.0:
            self._order_s, order = next(self._orders)
            self.program.load(order)
        if self._schedule is not None:
            self._demand_s -= SCAN_S
            if self._demand_s <= 0.0:
                self._demand_s, demand = next(self._schedule)
                self.program.demand = DEMANDS[demand]

    def _leak_m2(self) -> float:
        return 1e-6 * self.faults.size("leak")

    def _loads(self) -> Loads:
        out = self.program.out
        return Loads(
            speed_demand=out.speed,
            valve_demand=out.opening,
            leak_m2=self._leak_m2(),
            wear=self.faults.size("wear"),
            stiction=max(self.rig.valve_stiction, self.faults.size("friction")),
            ambient_c=self.ambient_c,
        )

    def _switches(self) -> Switches:
        x = self.state
        return Switches(
            high_high=max(x.upper_m, x.lower_m) > HIGH_HIGH_M,
            sump_low=x.sump_m < SUMP_LOW_M,
            hot=x.winding_c > HOT_WINDING_C,
        )

    def _sample(self) -> None:
        true = self._true_values()
        self.sampled = {r.sensor.tag: r.sample(true[r.sensor.tag], SCAN_S) for r in self._readings}
        self.reference_m3h = self._reference.sample(self.transfer_m3h(), SCAN_S)

    def _true_values(self) -> Mapping[str, float]:
        x, rig = self.state, self.rig
        # dv = -v dt / tau + noise: vibration wanders with the turbulence.
        self._turbulence += -self._turbulence * SCAN_S / 1.5 + self._shake.gauss(0.0, 0.02)
        # p = rho g (H_friction + height of the water above the pump)
        rise_m = rig.riser_friction_s2_m5 * x.flow_m3_s**2 + rig.inlet_height_m - rig.pump_height_m
        wear = self.faults.size("wear")
        moving = 1.0 if x.speed > 0.02 else 0.0
        return {
            "upper/level": x.upper_m + self.faults.drift_m,
            "lower/level": x.lower_m,
            "pump/flow": M3H_PER_M3S * x.flow_m3_s,
            "pump/pressure": WATER_DENSITY_KG_M3 * GRAVITY_M_S2 * rise_m / PA_PER_BAR,
            "pump/speed": 100.0 * x.speed,
            "valve/position": 100.0 * x.valve.actuator,
            "ambient/temperature": self.ambient_c,
            "motor/current": x.current_a,
            "motor/winding_temperature": x.winding_c,
            "motor/vibration": vibration_mm_s(rig, x.speed, x.flow_m3_s, wear, x.sump_m) + self._turbulence * moving,
        }
