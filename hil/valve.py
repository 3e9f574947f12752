"""The control valve: actuator with lag and rate limit, stem with stiction, equal-percentage trim."""

from dataclasses import dataclass
from math import copysign

from hil.rig import Rig


@dataclass(slots=True)
class Valve:
    """Positions as a share of travel, 0..1. The position transmitter sits on the actuator, before the sticking stem."""

    actuator: float
    stem: float
    sliding: bool = False

    def step(self, rig: Rig, demand: float, stiction: float, dt_s: float) -> None:
        """Moves actuator and stem by one step; stiction is the half-width of the stuck band."""
        rate = (demand - self.actuator) / rig.valve_lag_s
        limit = rig.valve_rate_per_s
        self.actuator += dt_s * min(max(rate, -limit), limit)
        force = self.actuator - self.stem
        self.sliding = abs(force) > (0.2 * stiction if self.sliding else stiction)
        if self.sliding:
            # Sliding friction is a fifth of the static one: the stem jumps and stops short of the actuator.
            self.stem = self.actuator - copysign(0.2 * stiction, force) if stiction > 0 else self.actuator


def valve_area_m2(rig: Rig, stem: float) -> float:
    """Effective opening of the trim, m2: a = a_max R^(x - 1), closed tight below 1 % of travel."""
    if stem < 0.01:
        return 0.0
    return float(rig.valve_open_m2 * rig.valve_rangeability ** (stem - 1.0))
