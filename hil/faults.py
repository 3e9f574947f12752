"""Faults that can be put into the rig, each a size that moves smoothly to its target."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A fault: the size it has if none is given, its unit and its largest size."""

    default: float
    limit: float
    unit: str
    text: str


KINDS = {
    "leak": FaultKind(8.0, 100.0, "mm2", "hole in the lower tank, effective area"),
    "wear": FaultKind(0.15, 0.9, "share", "head and efficiency lost by the pump"),
    "drift": FaultKind(0.5, 50.0, "mm/s", "upper level transmitter drifts, up to 120 mm"),
    "friction": FaultKind(0.03, 0.5, "share", "half width of the valve stem's stuck band"),
}
PLCS = ("modbus", "opcua")
DRIFT_LIMIT_M = 0.120


@dataclass(slots=True)
class Ramp:
    """A size on its way to a target."""

    size: float = 0.0
    target: float = 0.0
    rate_per_s: float = 0.0

    def aim(self, target: float, onset_s: float) -> None:
        """Sets out for the target; onset_s 0 jumps there."""
        self.target = target
        if onset_s <= 0.0:
            self.size = target
        self.rate_per_s = abs(target - self.size) / onset_s if onset_s > 0.0 else 0.0

    def step(self, dt_s: float) -> None:
        """Moves on by dt_s seconds."""
        change = self.rate_per_s * dt_s
        self.size += min(max(self.target - self.size, -change), change)


@dataclass(slots=True)
class Faults:
    """All faults of the rig and the PLCs that are cut off."""

    ramps: dict[str, Ramp] = field(default_factory=lambda: {name: Ramp() for name in KINDS})
    cut: set[str] = field(default_factory=set)
    drift_m: float = 0.0

    def put(self, name: str, size: float | None = None, onset_s: float = 0.0) -> float:
        """Puts in a fault and gives its size; ValueError for an unknown fault or a size outside its limits."""
        if name not in KINDS:
            raise ValueError(f"no fault {name!r}; there are {', '.join(KINDS)}")
        kind = KINDS[name]
        size = kind.default if size is None else size
        if not 0.0 <= size <= kind.limit:
            raise ValueError(f"{name} size {size:g} is outside 0 to {kind.limit:g} {kind.unit}")
        self.ramps[name].aim(size, onset_s)
        return size

    def cut_off(self, plc: str) -> None:
        """Cuts a PLC off the network."""
        if plc not in PLCS:
            raise ValueError(f"no PLC {plc!r}; there are {', '.join(PLCS)}")
        self.cut.add(plc)

    def repair(self) -> None:
        """Takes away all faults and cuts."""
        self.cut.clear()
        self.drift_m = 0.0
        for ramp in self.ramps.values():
            ramp.aim(0.0, 0.0)

    def step(self, dt_s: float) -> None:
        """Moves all faults on by dt_s seconds."""
        for ramp in self.ramps.values():
            ramp.step(dt_s)
        self.drift_m = min(self.drift_m + 1e-3 * self.ramps["drift"].size * dt_s, DRIFT_LIMIT_M)

    def size(self, name: str) -> float:
        """Present size of one fault."""
        return self.ramps[name].size

    def sizes(self) -> dict[str, float]:
        """Present sizes of the faults that are there."""
        return {name: round(ramp.size, 6) for name, ramp in self.ramps.items() if ramp.size > 0.0}
