"""Interlocks of the pump: dry run, high-high level, hot winding. Each needs its time and latches until reset."""

from dataclasses import dataclass, field

from hil.rig import SCAN_S

DRY_FLOW_M3H = 0.15
DRY_SPEED = 0.55
HIGH_HIGH_M = 0.545
SUMP_LOW_M = 0.06
HOT_WINDING_C = 115.0


@dataclass(frozen=True, slots=True)
class Switches:
    """Hard-wired contacts, apart from the analog transmitters: true where the limit is passed."""

    high_high: bool
    sump_low: bool
    hot: bool


HOLD_S = {"dry run": 3.0, "high-high level": 0.5, "sump low": 1.0, "winding hot": 1.0}


@dataclass(slots=True)
class Interlocks:
    """Time each limit has been passed, in s, and the trip that latched."""

    passed_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(HOLD_S, 0.0))
    tripped: str | None = None

    @property
    def ok(self) -> bool:
        """True while nothing tripped."""
        return self.tripped is None

    def scan(self, switches: Switches, flow_m3h: float, speed: float) -> bool:
        """True when tripped. The dry run is judged only above a speed at which water must flow."""
        causes = {
            "dry run": speed > DRY_SPEED and flow_m3h < DRY_FLOW_M3H,
            "high-high level": switches.high_high,
            "sump low": switches.sump_low,
            "winding hot": switches.hot,
        }
        for name, passed in causes.items():
            self.passed_s[name] = self.passed_s[name] + SCAN_S if passed else 0.0
            if self.tripped is None and self.passed_s[name] >= HOLD_S[name]:
                self.tripped = name
        return self.tripped is not None

    def reset(self) -> bool:
        """Releases the latch unless its cause still stands; true when released."""
        if self.tripped is not None and self.passed_s[self.tripped] > 0.0:
            return False
        self.tripped = None
        return True
