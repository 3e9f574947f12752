"""The PLC programs of many plants side by side: `plc_program`, `pi_control` and `interlocks` over arrays of N."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hil.interlocks import DRY_FLOW_M3H, DRY_SPEED, HIGH_HIGH_M, HOLD_S, HOT_WINDING_C, SUMP_LOW_M
from hil.pi_control import PiController
from hil.plc_program import REST_S, SETPOINT_RATE_M_S, START_MAX_S, START_MIN_S, STARTED_BAND_M, State
from hil.rig import SCAN_S

F8 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
I8 = npt.NDArray[np.int64]

OFF, STARTING, RUNNING, STOPPING = State.OFF, State.STARTING, State.RUNNING, State.STOPPING
CLEANING, FAULT = State.CLEANING, State.FAULT


@dataclass(frozen=True, slots=True)
class Measured:
    """What a scan reads: levels and sump in m, flow in m3/h, winding in degC; the last three are contacts' truths."""

    level_m: F8
    upper_m: F8
    flow_m3h: F8
    highest_m: F8
    sump_m: F8
    winding_c: F8


class Programs:
    """State of N programs; every array is f8[N] or i8[N]."""

    def __init__(self, base_m: F8, move_m: F8, opening: F8) -> None:
        n = len(base_m)
        self.base_m, self.move_m, self.ordered = base_m.copy(), move_m.copy(), opening.copy()
        self.state = np.full(n, int(OFF))
        self.demand = np.full(n, int(RUNNING))
        self.in_state_s = np.zeros(n)
        self.speed, self.opening = np.zeros(n), opening.copy()
        self.setpoint_m = base_m + move_m
        self.passed_s = np.zeros((len(HOLD_S), n))
        self.tripped = np.zeros(n, np.bool_)
        self._pi = PiController()
        self._integral = np.zeros(n)

    @property
    def pump_on(self) -> Mask:
        """Where the drive is released."""
        on = (self.state == STARTING) | (self.state == RUNNING) | (self.state == CLEANING)
        return np.asarray(on, np.bool_)

    def scan(self, read: Measured) -> None:
        """One scan of all."""
        self.in_state_s += SCAN_S
        change = SETPOINT_RATE_M_S * SCAN_S
        self.setpoint_m += np.clip(self.base_m + self.move_m - self.setpoint_m, -change, change)
        supervised = self.pump_on & ((self.state != STARTING) | (self.in_state_s > 10.0))
        self._interlock(read, np.where(supervised, self.speed, 0.0))
        self._enter(self.tripped & (self.state != FAULT), int(FAULT))
        self._advance(read.level_m, ~self.tripped)
        self._drive(read.level_m, read.upper_m)

    def _interlock(self, read: Measured, speed: F8) -> None:
        causes = (
            (speed > DRY_SPEED) & (read.flow_m3h < DRY_FLOW_M3H),
            read.highest_m > HIGH_HIGH_M,
            read.sump_m < SUMP_LOW_M,
            read.winding_c > HOT_WINDING_C,
        )
        for row, (hold_s, passed) in enumerate(zip(HOLD_S.values(), causes, strict=True)):
            self.passed_s[row] = np.where(passed, self.passed_s[row] + SCAN_S, 0.0)
            self.tripped |= self.passed_s[row] >= hold_s

    def _enter(self, where: Mask, state: int | I8) -> None:
        self.state = np.where(where, state, self.state)
        self.in_state_s = np.where(where, 0.0, self.in_state_s)

    def _advance(self, level_m: F8, free: Mask) -> None:
        """Every rule reads the state as it was at the start of the scan: one change a scan."""
        state, in_state_s, demand = self.state, self.in_state_s, self.demand
        wanted = demand == RUNNING
        starting, stopping = free & (state == STARTING), free & (state == STOPPING)
        near = np.abs(self.setpoint_m - level_m) < STARTED_BAND_M
        started = starting & wanted & (in_state_s >= np.where(near, START_MIN_S, START_MAX_S))
        other = free & ~starting & ~stopping & (state != demand) & (in_state_s >= REST_S)
        moving = (state == RUNNING) | (state == CLEANING)
        start = other & ~moving & wanted
        self._integral = np.where(start, 0.0, self._integral)
        self._enter(stopping & (in_state_s > 3.0), np.where(wanted, int(OFF), demand))
        self._enter((starting & ~wanted) | (other & moving), int(STOPPING))
        self._enter(started, int(RUNNING))
        self._enter(start, int(STARTING))
        self._enter(other & ~moving & ~wanted, demand)

    def _drive(self, level_m: F8, upper_m: F8) -> None:
        controlled = (self.state == STARTING) | (self.state == RUNNING)
        cleaning = self.state == CLEANING
        rinse = np.where(self.in_state_s % 20.0 < 10.0, 0.70, 0.58)
        self.speed = np.where(controlled, self._control(level_m, upper_m, controlled), np.where(cleaning, rinse, 0.0))
        self.opening = np.where(controlled, self.ordered, np.where(cleaning, 0.58, self.opening))

    def _control(self, level_m: F8, upper_m: F8, active: Mask) -> F8:
        pi = self._pi
        error_m = self.setpoint_m - level_m
        wanted = 0.28 + 0.81 * np.sqrt(self.setpoint_m) + pi.gain_per_m * error_m + self._integral
        ceiling = np.minimum(pi.hi, np.maximum(pi.lo, pi.hi - 2.5 * (upper_m - 0.46)))
        speed = np.minimum(np.maximum(wanted, pi.lo), ceiling)
        free = active & ((speed == wanted) | ((wanted - speed) * error_m < 0.0))
        self._integral += np.where(free, pi.gain_per_m * error_m * SCAN_S / pi.reset_s, 0.0)
        return np.asarray(speed, np.float64)
