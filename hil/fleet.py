"""Many plants side by side: `simulation.Simulation` over arrays, for benches that need days of many rigs.

The same equations, step, order of work and random numbers as one plant at a time, so that plant and fleet agree to
rounding (`tests/unit/test_hil_fleet.py`). What a bench needs only: no operator writes, no reset, no counter.
"""

from collections.abc import Iterator, Sequence
from math import pi
from random import Random

import numpy as np
import numpy.typing as npt

from hil.faults import DRIFT_LIMIT_M, KINDS
from hil.fleet_noise import Normals
from hil.fleet_physics import Loads, Rigs, RigStates, step, valve_area_m2, vibration_mm_s
from hil.fleet_program import Measured, Programs
from hil.physics import REFERENCE_LEVEL_M, REFERENCE_M_S
from hil.plc_program import DEMANDS
from hil.recipes import FIRST, Order, base_opening, orders, schedule
from hil.rig import GRAVITY_M_S2, M3H_PER_M3S, PA_PER_BAR, SCAN_S, STEP_S, WATER_DENSITY_KG_M3, Rig
from hil.sensors import REFERENCE_SENSOR, SENSORS
from hil.steady import warm_state

F8 = npt.NDArray[np.float64]
ALL = (*SENSORS, REFERENCE_SENSOR)
COLUMNS = (*(s.tag for s in SENSORS), "control/setpoint", "drive/state", REFERENCE_SENSOR.tag)
# What Modbus makes of a value: hundredths, tenths; the rest is float32, and OPC UA's as it is.
PER_UNIT = {"pump/speed": 10.0, "valve/position": 100.0, "ambient/temperature": 10.0}
SINGLE = ("upper/level", "lower/level", "pump/flow", "pump/pressure", "control/setpoint")
STEPS_A_SCAN = round(SCAN_S / STEP_S)


class Fleet:
    """N plants that move on by one PLC scan of 100 ms at a time."""

    def __init__(self, seeds: Sequence[int], rigs: Sequence[Rig], *, scheduled: bool = False) -> None:
        self.rigs = Rigs(list(rigs))
        self.time_s, self._scans = 0.0, 0
        self._start_noise([str(seed) for seed in seeds])
        self.ambient_c = self._weather(0.0)
        opening = np.array([base_opening(r, FIRST) for r in rigs])
        warm = zip(rigs, opening, self.ambient_c, strict=True)
        self.state = RigStates(self.rigs, [warm_state(r, FIRST.lower_m, o, a) for r, o, a in warm])
        self._orders = [orders(r, str(seed)) for r, seed in zip(rigs, seeds, strict=True)]
        first = [next(o) for o in self._orders]
        self._order_s = np.array([duration for duration, _ in first])
        self._schedules = [schedule(str(seed)) for seed in seeds] if scheduled else []
        self._demand_s = np.array([next(s)[0] for s in self._schedules]) if scheduled else np.full(len(seeds), np.inf)
        given = [order for _, order in first]
        self.programs = Programs(np.array([o.base_m for o in given]), np.array([o.move_m for o in given]), opening)
        self.programs.ordered = np.array([o.opening for o in given])
        self.size, self._target, self._rate = (np.zeros((len(KINDS), len(seeds))) for _ in range(3))
        self.drift_m = np.zeros(len(seeds))
        self._filtered = self._true_values()
        self.sampled = self._sample()

    def put(self, plant: int, fault: str, size: float, onset_s: float = 0.0) -> None:
        """Puts a fault into one plant, as `faults.Faults.put`."""
        row = list(KINDS).index(fault)
        self._target[row, plant] = size
        if onset_s <= 0.0:
            self.size[row, plant] = size
        self._rate[row, plant] = abs(size - self.size[row, plant]) / onset_s if onset_s > 0.0 else 0.0

    def scan(self) -> None:
        """Moves all plants on by 100 ms."""
        self._plan()
        loads = self._loads()
        for _ in range(STEPS_A_SCAN):
            step(self.rigs, self.state, loads)
        self._grow()
        self._scans += 1
        self.time_s = round(self._scans * SCAN_S, 3)
        self.ambient_c = self._weather(self.time_s)
        true = self._true_values()
        self._filtered += self._share * (true - self._filtered)
        self.sampled = self._sample()
        x = self.state.x
        highest = np.maximum(x[1], x[2])
        self.programs.scan(Measured(self.sampled[1], self.sampled[0], self.sampled[2], highest, x[3], x[4]))

    def read(self) -> F8:
        """What a client of both PLCs, and of the clamp-on meter, would have decoded: f8[N, COLUMNS]."""
        by_tag = dict(zip((s.tag for s in ALL), self.sampled, strict=True))
        by_tag["control/setpoint"] = self.programs.setpoint_m
        by_tag["drive/state"] = self.programs.state.astype(np.float64)
        return np.column_stack([_decoded(tag, by_tag[tag]) for tag in COLUMNS])

    def transfer_m3h(self) -> F8:
        """True flow from the upper to the lower tank, overflow included."""
        upper, rigs = self.state.x[1], self.rigs
        fall = REFERENCE_M_S * (np.maximum(upper, 0.0) / REFERENCE_LEVEL_M) ** rigs.outflow_exponent
        over = np.maximum(upper - rigs.weir_level_m, 0.0)
        weir = rigs.weir_m1_5_s * over * np.sqrt(over)
        return np.asarray(M3H_PER_M3S * (valve_area_m2(rigs, self.state.stem) * fall + weir), np.float64)

    def _start_noise(self, seeds: list[str]) -> None:
        weather = [Random(f"{seed}/weather") for seed in seeds]
        self._phase = np.array([draw.uniform(0.0, 2.0 * pi) for draw in weather])
        self._wander, self._turbulence = np.zeros(len(seeds)), np.zeros(len(seeds))
        self._gusts = Normals(weather)
        self._shakes = Normals([Random(f"{seed}/shake") for seed in seeds])
        self._noise = Normals([Random(f"{seed}/{s.tag}") for s in ALL for seed in seeds])
        self._share = np.array([[1.0 - np.exp(-SCAN_S / s.lag_s)] for s in ALL])
        self._bias, self._sigma = np.array([[s.bias] for s in ALL]), np.array([[s.noise] for s in ALL])
        self._lo, self._hi = np.array([[s.lo] for s in ALL]), np.array([[s.hi] for s in ALL])
        self._step = np.array([[(s.hi - s.lo) / ((1 << s.bits) - 1)] for s in ALL])

    def _weather(self, time_s: float) -> F8:
        self._wander += -self._wander * SCAN_S / 900.0 + 0.02 * SCAN_S**0.5 * self._gusts.take()
        return np.asarray(22.0 + 2.0 * np.sin(2.0 * pi * time_s / 5400.0 + self._phase) + self._wander, np.float64)

    def _plan(self) -> None:
        self._order_s -= SCAN_S
        for plant in np.flatnonzero(self._order_s <= 0.0):
            self._order_s[plant], order = next(self._orders[plant])
            self._load(int(plant), order)
        self._demand_s -= SCAN_S
        for plant in np.flatnonzero(self._demand_s <= 0.0):
            self._demand_s[plant], demand = next(self._schedules[plant])
            self.programs.demand[plant] = int(DEMANDS[demand])

    def _load(self, plant: int, order: Order) -> None:
        programs = self.programs
        programs.base_m[plant], programs.move_m[plant] = order.base_m, order.move_m
        programs.ordered[plant] = order.opening

    def _loads(self) -> Loads:
        leak, wear, _, friction = self.size
        stiction = np.maximum(self.rigs.valve_stiction, friction)
        return Loads(self.programs.speed, self.programs.opening, 1e-6 * leak, wear, stiction, self.ambient_c)

    def _grow(self) -> None:
        change = self._rate * SCAN_S
        self.size += np.minimum(np.maximum(self._target - self.size, -change), change)
        self.drift_m = np.minimum(self.drift_m + 1e-3 * self.size[2] * SCAN_S, DRIFT_LIMIT_M)

    def _sample(self) -> F8:
        noise = self._noise.take().reshape(self._filtered.shape)
        clamped = np.minimum(np.maximum(self._filtered + self._bias + self._sigma * noise, self._lo), self._hi)
        return np.asarray(np.round(self._lo + np.rint((clamped - self._lo) / self._step) * self._step, 6), np.float64)

    def _true_values(self) -> F8:
        s, rigs = self.state, self.rigs
        flow, upper, lower, sump, winding, _ = s.x
        self._turbulence += -self._turbulence * SCAN_S / 1.5 + 0.02 * self._shakes.take()
        rise_m = rigs.riser_friction_s2_m5 * flow**2 + rigs.inlet_height_m - rigs.pump_height_m
        shaken = vibration_mm_s(rigs, s.speed, flow, self.size[1], sump)
        return np.array(
            [
                upper + self.drift_m,
                lower,
                M3H_PER_M3S * flow,
                WATER_DENSITY_KG_M3 * GRAVITY_M_S2 * rise_m / PA_PER_BAR,
                100.0 * s.speed,
                100.0 * s.actuator,
                self.ambient_c,
                s.current_a,
                winding,
                shaken + self._turbulence * (s.speed > 0.02),
                self.transfer_m3h(),
            ]
        )


def recorded(fleet: Fleet, rows: int, puts: Sequence[tuple[float, int, str, float]] = ()) -> Iterator[F8]:
    """A row each second, f8[N, COLUMNS]; puts: (time in s, plant, fault, size) in order of time."""
    waiting = list(puts)
    for row in range(rows):
        for _ in range(round(1.0 / SCAN_S) if row else 0):
            while waiting and fleet.time_s >= waiting[0][0]:
                _, plant, fault, size = waiting.pop(0)
                fleet.put(plant, fault, size)
            fleet.scan()
        yield fleet.read()


def _decoded(tag: str, value: F8) -> F8:
    if tag in PER_UNIT:
        return np.asarray(np.rint(value * PER_UNIT[tag]) / PER_UNIT[tag], np.float64)
    return value.astype(np.float32).astype(np.float64) if tag in SINGLE else value
