"""What the daemon counts about itself: `drivers/self` reads these as tags of the asset `gateway`, nothing else does.

A meter is a number under a name such as `plc1/age_s` or `mqtt/acknowledged`. A *turn* says that a unit's loop goes
round, whatever came of it: the watchdog is fed from turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar

from agent.core.nouns import Meter
from agent.runtime import clock


class Meters:
    """Counters and gauges by name, and the time of each unit's last turn."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._values: dict[str, float] = {}
        self._gauges: dict[str, Callable[[], float | None]] = {}
        self._turns_ns: dict[str, int] = {}
        self._within_ns: dict[str, int] = {}

    def add(self, name: str, amount: float = 1.0) -> None:
        """Count `amount` more."""
        self._values[name] = self._values.get(name, 0.0) + amount

    def set(self, name: str, value: float) -> None:
        """Give a gauge its newest value."""
        self._values[name] = value

    def gauge(self, name: str, read: Callable[[], float | None]) -> None:
        """Ask `read` whenever this meter is read: for ages and lengths, which nobody counts. None: not known yet."""
        self._gauges[name] = read

    def read(self, name: str) -> float | None:
        """The newest value of a meter, None where nothing was counted yet."""
        return self._gauges[name]() if name in self._gauges else self._values.get(name)

    def names(self) -> tuple[str, ...]:
        """All meters that were touched, sorted."""
        return tuple(sorted({*self._values, *self._gauges}))

    def turn(self, unit: str) -> None:
        """Say that the loop of `unit` went round."""
        self._turns_ns[unit] = clock.now_ns()

    def allow(self, unit: str, within_s: float) -> None:
        """Say how long a turn of `unit` may take, where that is longer than usual (a slow scan)."""
        self._within_ns[unit] = int(within_s * 1e9)

    def gone(self, unit: str) -> None:
        """Stop expecting turns of `unit`."""
        self._turns_ns.pop(unit, None)

    def stuck(self, now_ns: int, longest_ns: int) -> tuple[str, ...]:
        """Units whose last turn is longer ago than `longest_ns`, or than they were allowed."""
        late = {u: now_ns - at - max(longest_ns, self._within_ns.get(u, 0)) for u, at in self._turns_ns.items()}
        return tuple(sorted(unit for unit, late_ns in late.items() if late_ns > 0))


def begin(source: str, meters: Iterable[Meter]) -> None:
    """Count from 0 what a driver counts (unit 1), so that what never happened reads 0; go on where it was counted."""
    for meter in meters:
        if meter.unit == "1" and not meter.enum:
            current().add(f"{source}/{meter.name}", 0)


_current: ContextVar[Meters] = ContextVar("meters")


def current() -> Meters:
    """The meters of this daemon (of this test): those last installed in this context."""
    try:
        return _current.get()
    except LookupError:
        return install(Meters())


def install(meters: Meters) -> Meters:
    """Make these the meters of the running context and all tasks started from it."""
    _current.set(meters)
    return meters
