"""The units behind one endpoint: which of them answer, when each did last, and what was put off for those that do not.

Meters: `<source>/breaker`, the worst of all units (open, half open, closed), open while the endpoint does not answer at
all; where several units share the endpoint also `unit_<n>_breaker`, `unit_<n>_age_s` and `unit_<n>_errors`. A unit is
not told to be open before another one answered: a dead endpoint is one event, not one a unit.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial

from agent.core import breaker
from agent.core.breaker import Breaker, Patience, Position
from agent.core.nouns import Meter
from agent.drivers.modbus.scan import Request, ScanClass
from agent.runtime import clock, meters

ENUM = {position.value: position.word for position in Position}
RANK = (Position.CLOSED, Position.HALF_OPEN, Position.OPEN)


def meters_of(units: Sequence[int]) -> tuple[Meter, ...]:
    """What is counted of the units of an endpoint."""
    whole = Meter("breaker", "1", "Whether it is asked: open is left alone for a pause, half open is tried", ENUM)
    return (whole, *(meter for unit in units if len(units) > 1 for meter in _of_unit(unit)))


def _of_unit(unit: int) -> tuple[Meter, ...]:
    return (
        Meter(f"unit_{unit}_breaker", "1", f"Whether unit {unit} is asked: open is left alone for a pause", ENUM),
        Meter(f"unit_{unit}_age_s", "s", f"Time since unit {unit} answered"),
        Meter(f"unit_{unit}_errors", "1", f"Requests to unit {unit} that failed"),
    )


class Unit:
    """One unit. `suspect` was not answered and waits to be repeated; `put_off` waits for the same answer."""

    def __init__(self, number: int, good_ns: int) -> None:
        """Nothing is known of it yet, but that it answered at `good_ns`."""
        self.number = number
        self.breaker = Breaker()
        self.good_ns = good_ns
        self.suspect: tuple[ScanClass, Request] | None = None
        self.error: OSError = TimeoutError()
        self.repeats = 0
        self.put_off: list[tuple[ScanClass, Request]] = []


class Units:
    """All units of an endpoint by their number."""

    def __init__(self, source: str, numbers: Sequence[int], patience: Patience) -> None:
        """Go on from what the meters of a run before this one say, and tell them from now on."""
        self._source, self._patience = source, patience
        self.several = len(numbers) > 1
        self._down, self._heard = False, False
        counts = meters.current()
        self._before = Position.HALF_OPEN if counts.read(f"{source}/breaker") else None
        self.all = {n: Unit(n, self._last_good(n)) for n in numbers}
        counts.gauge(f"{source}/breaker", self._worst)
        for unit in self.all.values() if self.several else ():
            counts.gauge(f"{source}/unit_{unit.number}_breaker", partial(self._told, unit))
            counts.gauge(f"{source}/unit_{unit.number}_age_s", partial(_age_s, unit))

    def answered(self, unit: Unit, now_ns: int) -> None:
        """Take note that a unit answered, whatever it said."""
        unit.good_ns, self._heard = now_ns, True
        if unit.breaker.failures:
            unit.breaker = breaker.answered()

    def failed(self, unit: Unit, now_ns: int) -> bool:
        """Take note that a unit did not answer, repeats included; False when no unit is left that does."""
        unit.breaker = breaker.failed(unit.breaker, self._patience, now_ns, random.random())
        return any(not u.breaker.failures for u in self.all.values())

    def forced_ns(self, unit: Unit) -> int:
        """When a trial is made although there is no time for it: the longest pause is over, and none fits."""
        patience = self._patience
        return max(unit.breaker.tried_ns + patience.longest_ns, unit.breaker.retry_ns + 2 * patience.first_ns)

    def down(self) -> None:
        """The endpoint as a whole does not answer."""
        self._down = True

    def _last_good(self, number: int) -> int:
        """When a unit answered last, as far as a run before this one knew."""
        age_s = meters.current().read(f"{self._source}/unit_{number}_age_s")
        return clock.now_ns() - int((age_s or 0.0) * 1e9)

    def _worst(self) -> float | None:
        if self._down:
            return float(Position.OPEN)
        if not self._heard:
            return self._before
        return float(max((u.breaker.position for u in self.all.values()), key=RANK.index))

    def _told(self, unit: Unit) -> float | None:
        return float(unit.breaker.position) if self._heard and not self._down else None


def _age_s(unit: Unit) -> float:
    return (clock.now_ns() - unit.good_ns) * 1e-9
