"""Which request comes next on the one connection of an endpoint. It does no I/O, and the time is given to it.

First what is due, the fastest scan class first: a slow class with many requests makes a fast one wait for one of them.
A class that has asked all it can is put. What was not answered waits until then; the rest of that unit is put off too,
so that a unit that falls silent costs the others one timeout. In the time that is left before the next poll is due,
and only if a whole timeout fits into it, the request is repeated, and a unit whose breaker is open is tried with one
request. A trial that never fits is made all the same at the longest pause. Where a unit must be left in peace for a
while, because an answer of it may still be on its way (serial lines), what it is to be asked waits as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.core import breaker
from agent.core.breaker import Position
from agent.core.nouns import Batch
from agent.drivers.modbus.scan import Request, ScanClass, Values
from agent.drivers.modbus.units import Unit, Units
from agent.runtime import meters

SILENT = (10, 11)  # a gateway says that the unit behind it does not answer
FADE = 0.98  # of the largest lateness, at each poll


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """A request to make now; its outcome is to be told to the schedule before the next. `more`: others wait."""

    scan: ScanClass
    request: Request
    unit: Unit
    more: bool = False


class Schedule:
    """The scan classes and units of one endpoint."""

    def __init__(
        self,
        source: str,
        classes: Sequence[ScanClass],
        units: Units,
        put: Callable[[Batch], None],
        *,
        retries: int,
        cost_s: float,
        peace_ns: Callable[[int], int],
    ) -> None:
        """`cost_s`: what a request that is not answered takes, until another unit can be asked.

        `peace_ns` tells until when a unit is not to be asked (on our axis; not after now where it may be).
        """
        self.classes = sorted(classes, key=lambda scan: scan.due.period_ns)
        self.units = units
        self._only = None if units.several else next(iter(units.all.values()), None)
        self.jitter_s = 0.0
        self._source, self._put = source, put
        self._retries, self._cost_ns = retries, int(cost_s * 1e9)
        self._peace_ns = peace_ns

    def what_next(self, now_ns: int) -> Ask | int:
        """A request to make now, or when to ask again (on our axis). OSError: no unit of the endpoint answers."""
        if self._only is not None and self._only.suspect is not None:
            return self._repeat(self._only)  # there is nobody to protect from it
        for scan in self.classes:
            if not scan.open and scan.due.ns <= now_ns:
                self._begin(scan, now_ns)
        self._end_peace(now_ns)
        self._hand_on(now_ns)
        for scan in self.classes:
            if (ask := self._first_of(scan, now_ns)) is not None:
                return ask
        self._hand_on(now_ns)
        return self._in_spare_time(now_ns)

    def answered(self, ask: Ask, values: Values, t_ns: int) -> None:
        """The request was answered with values."""
        ask.scan.answered(ask.request, values, t_ns)
        self._heard(ask.unit, t_ns)

    def refused(self, ask: Ask, code: int, now_ns: int, why: str) -> None:
        """The request was answered with an exception code. OSError: no unit of the endpoint answers."""
        if code in SILENT:
            self._put_off(ask, 0, TimeoutError(why))
            self._give_up(ask.unit, now_ns)
            return
        ask.scan.refused(ask.request, code, now_ns)
        self._heard(ask.unit, now_ns)

    def unanswered(self, ask: Ask, now_ns: int, error: OSError) -> None:
        """The request was not answered. OSError: no unit of the endpoint answers."""
        self._put_off(ask, self._retries, error)
        if not ask.unit.repeats:
            self._give_up(ask.unit, now_ns)

    def _begin(self, scan: ScanClass, now_ns: int) -> None:
        for unit in self.units.all.values():
            if unit.suspect is not None:
                self._give_up(unit, now_ns)
            unit.put_off = [(other, request) for other, request in unit.put_off if other is not scan]
        late_s = (now_ns - scan.due.ns) * 1e-9
        self.jitter_s = max(late_s, self.jitter_s * FADE)
        scan.begin(now_ns, {unit.number for unit in self.units.all.values() if unit.breaker.shut_out})

    def _first_of(self, scan: ScanClass, now_ns: int) -> Ask | None:
        """The first request of a class whose unit may be asked; those before it are put off."""
        while scan.todo:
            request = scan.todo.popleft()
            unit = self.units.all[request.block.unit]
            if self._only is not None or self._peace_ns(unit.number) <= now_ns:
                return Ask(scan, request, unit, any(other.todo for other in self.classes))
            unit.put_off += [(scan, request), *((scan, other) for other in scan.drop(unit.number))]
        return None

    def _end_peace(self, now_ns: int) -> None:
        for unit in self.units.all.values():
            if unit.put_off and unit.suspect is None and self._peace_ns(unit.number) <= now_ns:
                self._resume(unit)

    def _resume(self, unit: Unit) -> None:
        """Do what was put off."""
        waiting, unit.put_off = unit.put_off, []
        for scan, request in waiting:
            scan.todo.append(request)

    def _hand_on(self, now_ns: int) -> None:
        for scan in self.classes:
            if scan.todo or not (scan.open or scan.fresh):
                continue
            if scan.open:
                scan.due, missed = scan.due.after(now_ns)
                meters.current().add(f"{self._source}/missed", missed)
            batch = scan.batch(now_ns)
            if len(batch.tag):
                self._put(batch)

    def _in_spare_time(self, now_ns: int) -> Ask | int:
        times = [scan.due.ns for scan in self.classes]
        for unit in self.units.all.values():
            from_ns = max(now_ns, self._peace_ns(unit.number))
            if unit.suspect is not None and not self._fits(from_ns):
                self._give_up(unit, now_ns)
                return self.what_next(now_ns)
            if unit.suspect is not None and from_ns == now_ns:
                return self._repeat(unit)
            if unit.suspect is not None or unit.put_off:
                times.append(from_ns)
        for unit in self.units.all.values():
            if unit.breaker.position is Position.OPEN:
                trial_ns = self._trial_ns(unit, now_ns)
                if trial_ns == now_ns:
                    return self._trial(unit)
                times.append(trial_ns)
        return min(times)

    def _fits(self, from_ns: int) -> bool:
        """Whether a request that is not answered harms no poll when it is made then."""
        return from_ns + self._cost_ns <= min(scan.due.ns for scan in self.classes)

    def _trial_ns(self, unit: Unit, now_ns: int) -> int:
        """When a unit is to be tried, as far as is known now: for lack of time at the longest pause."""
        from_ns = max(now_ns, unit.breaker.retry_ns, self._peace_ns(unit.number))
        return from_ns if self._fits(from_ns) else max(from_ns, self.units.forced_ns(unit))

    def _repeat(self, unit: Unit) -> Ask:
        assert unit.suspect is not None
        unit.repeats -= 1
        return Ask(*unit.suspect, unit)

    def _trial(self, unit: Unit) -> Ask:
        unit.breaker = breaker.trying(unit.breaker)
        found = ((scan, scan.request_of(unit.number)) for scan in self.classes)
        return next(Ask(scan, request, unit) for scan, request in found if request is not None)

    def _heard(self, unit: Unit, now_ns: int) -> None:
        """A unit answered: what was put off for it is to do, and all of it if it was silent before."""
        returned = unit.breaker.shut_out
        self.units.answered(unit, now_ns)
        unit.suspect = None
        if unit.put_off:
            self._resume(unit)
        for scan in self.classes if returned else ():
            scan.again(unit.number)

    def _put_off(self, ask: Ask, repeats: int, error: OSError) -> None:
        unit = ask.unit
        unit.error = error
        if unit.suspect is None:
            unit.suspect = (ask.scan, ask.request)
            unit.repeats = 0 if unit.breaker.shut_out else repeats
            unit.put_off += [(scan, request) for scan in self.classes for request in scan.drop(unit.number)]

    def _give_up(self, unit: Unit, now_ns: int) -> None:
        """A unit does not answer: what waited for it is Bad. Its error is raised where no other unit answers."""
        waiting = [*([unit.suspect] if unit.suspect else []), *unit.put_off]
        tried, unit.suspect, unit.put_off = unit.breaker.shut_out, None, []
        for scan, request in waiting if not tried else ():
            scan.silent(request, now_ns)
        if not self.units.failed(unit, now_ns):
            raise unit.error
