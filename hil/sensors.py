"""Sensors: first-order lag, bias, noise, range clamp and the converter's steps between the truth and the PLC."""

from dataclasses import dataclass
from math import exp
from random import Random


@dataclass(frozen=True, slots=True)
class Sensor:
    """What one transmitter does to a true value. lo and hi are its range in its unit; bias belongs to the device."""

    tag: str
    lo: float
    hi: float
    bits: int
    lag_s: float
    noise: float
    bias: float = 0.0


SENSORS = (
    Sensor("upper/level", 0.0, 0.60, 14, 0.30, 0.0008, 0.0010),
    Sensor("lower/level", 0.0, 0.60, 14, 0.30, 0.0008, -0.0008),
    Sensor("pump/flow", 0.0, 2.5, 14, 0.25, 0.008, 0.004),
    Sensor("pump/pressure", 0.0, 0.6, 14, 0.10, 0.0012, 0.0005),
    Sensor("pump/speed", 0.0, 110.0, 16, 0.05, 0.03),
    Sensor("valve/position", 0.0, 100.0, 14, 0.10, 0.03, 0.05),
    Sensor("ambient/temperature", -20.0, 60.0, 12, 20.0, 0.05, 0.2),
    Sensor("motor/current", 0.0, 2.0, 14, 0.20, 0.0030, 0.002),
    Sensor("motor/winding_temperature", 0.0, 200.0, 14, 2.0, 0.05, 0.3),
    Sensor("motor/vibration", 0.0, 20.0, 14, 0.50, 0.020),
)

# A temporary clamp-on meter on the pipe between the tanks: for recordings that make the virtual sensor.
REFERENCE_SENSOR = Sensor("upper/transfer_flow", 0.0, 2.5, 14, 0.50, 0.012, 0.003)


class Reading:
    """One live sensor: its filter and its noise."""

    def __init__(self, sensor: Sensor, seed: str) -> None:
        self.sensor = sensor
        self._noise = Random(f"{seed}/{sensor.tag}")
        self._filtered: float | None = None
        self._step = (sensor.hi - sensor.lo) / ((1 << sensor.bits) - 1)

    def sample(self, truth: float, dt_s: float) -> float:
        """The value in the PLC after dt_s seconds more at this truth, in the sensor's unit."""
        sensor = self.sensor
        if self._filtered is None:
            self._filtered = truth
        # y += (1 - exp(-dt / tau)) (x - y)
        share = 1.0 - exp(-dt_s / sensor.lag_s) if sensor.lag_s > 0 else 1.0
        self._filtered += share * (truth - self._filtered)
        noisy = self._filtered + sensor.bias + self._noise.gauss(0.0, sensor.noise)
        clamped = min(max(noisy, sensor.lo), sensor.hi)
        return round(sensor.lo + round((clamped - sensor.lo) / self._step) * self._step, 6)
