"""Lower tank level control: PI on the pump's speed with feed-forward, anti-windup and an upper-level limiter."""

from dataclasses import dataclass
from math import sqrt


@dataclass(slots=True)
class PiController:
    """Gain in 1/m, reset time in s, speeds 0..1."""

    gain_per_m: float = 1.1
    reset_s: float = 32.0
    lo: float = 0.40
    hi: float = 0.85
    integral: float = 0.0

    def start(self) -> None:
        """Begins without memory of the last run."""
        self.integral = 0.0

    def feed_forward(self, setpoint_m: float) -> float:
        """Speed that about holds this level: read off the commissioning sheet, w = 0.28 + 0.81 sqrt(h)."""
        return 0.28 + 0.81 * sqrt(setpoint_m)

    def scan(self, setpoint_m: float, level_m: float, upper_m: float, dt_s: float) -> float:
        """Pump speed 0..1."""
        error_m = setpoint_m - level_m
        wanted = self.feed_forward(setpoint_m) + self.gain_per_m * error_m + self.integral
        # The upper tank must not run over while the lower one fills.
        ceiling = min(self.hi, max(self.lo, self.hi - 2.5 * (upper_m - 0.46)))
        speed = min(max(wanted, self.lo), ceiling)
        # Anti-windup: integrate only while the output is free, or towards freedom.
        if speed == wanted or (wanted - speed) * error_m < 0.0:
            self.integral += self.gain_per_m * error_m * dt_s / self.reset_s
        return speed
