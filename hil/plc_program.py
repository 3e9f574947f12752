"""The PLC program, scanned each 100 ms: state machine, lower level PI control, interlocks."""

from dataclasses import dataclass
from enum import IntEnum

from hil.interlocks import Interlocks, Switches
from hil.pi_control import PiController
from hil.recipes import Order
from hil.rig import SCAN_S


class State(IntEnum):
    """The machine's state as it stands in the register drive/state."""

    OFF = 0
    STARTING = 1
    RUNNING = 2
    IDLE = 3
    STOPPING = 4
    CLEANING = 5
    MAINTENANCE = 6
    FAULT = 7


DEMANDS = {
    "run": State.RUNNING,
    "off": State.OFF,
    "idle": State.IDLE,
    "clean": State.CLEANING,
    "maintain": State.MAINTENANCE,
}
SETPOINT_LO_M = 0.15
SETPOINT_HI_M = 0.35
SETPOINT_RATE_M_S = 0.003
START_MIN_S = 3.0
START_MAX_S = 120.0
STARTED_BAND_M = 0.03
REST_S = 0.5  # between two states that stand still


@dataclass(slots=True)
class Outputs:
    """What the program sends to the rig: drive speed 0..1, valve opening 0..1."""

    speed: float = 0.0
    opening: float = 0.5


class Program:
    """The program's memory and its scan."""

    def __init__(self, order: Order, opening: float) -> None:
        self.state = State.OFF
        self.demand = State.RUNNING
        self.order = order
        self.written_m: float | None = None
        self.in_state_s = 0.0
        self.heartbeat = 0
        self.out = Outputs(opening=opening)
        self.setpoint_m = order.base_m + order.move_m
        self.interlocks = Interlocks()
        self._pi = PiController()
        self._reset_wanted = False

    @property
    def base_setpoint_m(self) -> float:
        """The set point as the operator or the recipe gave it."""
        return self.order.base_m if self.written_m is None else self.written_m

    @property
    def aim_m(self) -> float:
        """Where the set point goes: an operator's value stands still, a recipe's makes its small moves."""
        return self.base_setpoint_m + (self.order.move_m if self.written_m is None else 0.0)

    @property
    def pump_on(self) -> bool:
        """True while the drive is released."""
        return self.state in (State.STARTING, State.RUNNING, State.CLEANING)

    def load(self, order: Order) -> None:
        """Takes a new order; a new product ends an operator's set point."""
        if order.product != self.order.product:
            self.written_m = None
        self.order = order

    def write_setpoint(self, value_m: float) -> float:
        """Takes an operator's set point and gives what was kept of it after the clamp."""
        self.written_m = min(max(value_m, SETPOINT_LO_M), SETPOINT_HI_M)
        return self.written_m

    def reset(self) -> None:
        """Asks the next scan to release a latched fault; it does if the cause is gone by then."""
        self._reset_wanted = True

    def scan(self, level_m: float, upper_m: float, flow_m3h: float, switches: Switches) -> Outputs:
        """One scan over the measured values; levels in m."""
        self.heartbeat = (self.heartbeat + 1) & 0xFFFF
        self.in_state_s += SCAN_S
        change_m = SETPOINT_RATE_M_S * SCAN_S
        self.setpoint_m += min(max(self.aim_m - self.setpoint_m, -change_m), change_m)
        supervised = self.pump_on and (self.state is not State.STARTING or self.in_state_s > 10.0)
        tripped = self.interlocks.scan(switches, flow_m3h, self.out.speed if supervised else 0.0)
        if tripped and self.state is not State.FAULT:
            self._enter(State.FAULT)
        elif not tripped:
            self._advance(level_m)
        self._reset()
        self._drive(level_m, upper_m)
        return self.out

    def _reset(self) -> None:
        if self._reset_wanted and self.interlocks.reset() and self.state is State.FAULT:
            self._enter(State.OFF)
        self._reset_wanted = False

    def _enter(self, state: State) -> None:
        self.state = state
        self.in_state_s = 0.0

    def _advance(self, level_m: float) -> None:
        if self.state is State.STARTING:
            near = abs(self.setpoint_m - level_m) < STARTED_BAND_M
            if self.demand is not State.RUNNING:
                self._enter(State.STOPPING)
            elif self.in_state_s >= (START_MIN_S if near else START_MAX_S):
                self._enter(State.RUNNING)
        elif self.state is State.STOPPING:
            if self.in_state_s > 3.0:
                self._enter(State.OFF if self.demand is State.RUNNING else self.demand)
        elif self.state is not self.demand and self.in_state_s >= REST_S:
            self._leave()

    def _leave(self) -> None:
        if self.state in (State.RUNNING, State.CLEANING):
            self._enter(State.STOPPING)
        elif self.demand is State.RUNNING:
            self._pi.start()
            self._enter(State.STARTING)
        else:
            self._enter(self.demand)

    def _drive(self, level_m: float, upper_m: float) -> None:
        if self.state in (State.STARTING, State.RUNNING):
            self.out.speed = self._pi.scan(self.setpoint_m, level_m, upper_m, SCAN_S)
            self.out.opening = self.order.opening
        elif self.state is State.CLEANING:
            # The rinse pulses between two speeds.
            self.out.speed = 0.70 if self.in_state_s % 20.0 < 10.0 else 0.58
            self.out.opening = 0.58
        else:
            self.out.speed = 0.0
