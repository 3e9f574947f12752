"""Which request comes next on the one connection of an endpoint. It does no I/O, and the time is given to it.

First what is due, the fastest scan class first: a slow class with many requests makes a fast one wait for one of them.
A class that has asked all it can is put. What was not answered waits until then; the rest of that unit is put off too,
so that a unit that falls silent costs the others one timeout. In the time that is left before the next poll is due,
and only if a whole timeout fits into it, the request is repeated, and a unit whose breaker is open is tried with one
request. A trial that never fits is made all the same at the longest pause.
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
    """A request to make now; its outcome is to be told to the schedule before the next."""

    scan: ScanClass
    request: Request
    unit: Unit


class Schedule:
    """The scan classes and units of one endpoint."""

    def __init__(
        self,
        source: str,
        classes: Sequence[ScanClass],
        units: Units,
        put: Callable[[Batch], None],
        retries: int,
        cost_s: float,
    ) -> None:
        """`cost_s`: what a request that is not answered takes, until the next can be made."""
        self.classes = sorted(classes, key=lambda scan: scan.due.period_ns)
        self.units = units
        self.jitter_s = 0.0
        self._source, self._put = source, put
        self._retries, self._cost_ns = retries, int(cost_s * 1e9)

    def what_next(self, now_ns: int) -> Ask | int:
        """A request to make now, or when to ask again (on our axis). OSError: no unit of the endpoint answers."""
        if (repeat := self._only_unit_waits()) is not None:
            return repeat
        for scan in self.classes:
            if not scan.open and scan.due.ns <= now_ns:
                self._begin(scan, now_ns)
        self._hand_on(now_ns)
        for scan in self.classes:
            if scan.todo:
                request = scan.todo.popleft()
                return Ask(scan, request, self.units.all[request.block.unit])
        return self._in_spare_time(now_ns)

    def answered(self, ask: Ask, values: Values, t_ns: int) -> None:
        """The request was answered with values."""
        ask.scan.answered(ask.request, values, t_ns)
        self._heard(ask.unit, t_ns)

    def refused(self, ask: Ask, code: int, now_ns: int, why: str) -> None:
        """The request was answered with an exception code. OSError: no unit of the endpoint answers."""
        self.units.count_error(ask.unit)
        if code in SILENT:
            self._put_off(ask, 0, TimeoutError(why))
            self._give_up(ask.unit, now_ns)
            return
        ask.scan.refused(ask.request, code, now_ns)
        self._heard(ask.unit, now_ns)

    def unanswered(self, ask: Ask, now_ns: int, error: OSError) -> None:
        """The request was not answered. OSError: no unit of the endpoint answers."""
        self.units.count_error(ask.unit)
        self._put_off(ask, self._retries, error)
        if not ask.unit.repeats:
            self._give_up(ask.unit, now_ns)

    def _begin(self, scan: ScanClass, now_ns: int) -> None:
        for unit in self.units.all.values():
            if unit.suspect is not None:
                self._give_up(unit, now_ns)
        late_s = (now_ns - scan.due.ns) * 1e-9
        self.jitter_s = max(late_s, self.jitter_s * FADE)
        scan.begin(now_ns, {unit.number for unit in self.units.all.values() if unit.breaker.shut_out})

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

    def _only_unit_waits(self) -> Ask | None:
        """The repeat for an endpoint of one unit: there is nobody to protect from it."""
        if self.units.several:
            return None
        return next((self._repeat(unit) for unit in self.units.all.values() if unit.suspect is not None), None)

    def _in_spare_time(self, now_ns: int) -> Ask | int:
        for unit in self.units.all.values():
            if unit.suspect is not None:
                if self._fits(now_ns):
                    return self._repeat(unit)
                self._give_up(unit, now_ns)
                return self.what_next(now_ns)
        for unit in self.units.all.values():
            if unit.breaker.due(now_ns) and (self._fits(now_ns) or self.units.forced(unit, now_ns)):
                return self._trial(unit)
        return self._wake_ns(now_ns)

    def _fits(self, now_ns: int) -> bool:
        return now_ns + self._cost_ns <= min(scan.due.ns for scan in self.classes)

    def _wake_ns(self, now_ns: int) -> int:
        """When something is due, or a trial may be made."""
        times = [scan.due.ns for scan in self.classes]
        for unit in self.units.all.values():
            if unit.breaker.position is Position.OPEN:
                retry_ns = unit.breaker.retry_ns
                times.append(retry_ns if retry_ns > now_ns else self.units.forced_ns(unit))
        return min(times)

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
        unit.suspect, waiting, unit.put_off = None, unit.put_off, []
        for scan, request in waiting:
            scan.todo.append(request)
        for scan in self.classes if returned else ():
            scan.again(unit.number)

    def _put_off(self, ask: Ask, repeats: int, error: OSError) -> None:
        unit = ask.unit
        unit.error = error
        if unit.suspect is None:
            unit.suspect = (ask.scan, ask.request)
            unit.repeats = 0 if unit.breaker.shut_out else repeats
            unit.put_off = [(scan, request) for scan in self.classes for request in scan.drop(unit.number)]

    def _give_up(self, unit: Unit, now_ns: int) -> None:
        """A unit does not answer: what waited for it is Bad. Its error is raised where no other unit answers."""
        waiting = [*([unit.suspect] if unit.suspect else []), *unit.put_off]
        tried, unit.suspect, unit.put_off = unit.breaker.shut_out, None, []
        for scan, request in waiting if not tried else ():
            scan.silent(request, now_ns)
        if not self.units.failed(unit, now_ns):
            raise unit.error
