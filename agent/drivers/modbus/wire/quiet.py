"""When a line on which answers carry no number may be used again: rtu, ascii, rtu-over-tcp. Pure.

Two things can go wrong after a request that was not answered in time. Its answer comes after all and is taken for that
of the next request: only possible where that one asks the same unit, since an answer names its unit. Or it comes while
another unit answers, and the two garble each other: the checksum tells, that answer is lost too, and no wrong value
comes of it. So:

1. Nobody is asked until the line has been silent for 3.5 characters (Modbus over serial line 1.02, 2.5.1.1), or, after
   bytes that were no answer, for 20 ms: USB adapters hand bytes on in portions up to 16 ms apart.
2. The silent unit itself is not asked again until its late answer was heard, or two more timeouts have passed; one
   more where what came was garbled. What comes still later cannot be told from an answer in time: a timeout must be at
   least a third of the longest that a device can take.
3. The other units are asked at once: a dead unit costs a bus of many one timeout, not three. Only where a unit was
   heard to answer late before, and has not been in time since, all wait for it as under 2.
4. Of a line just opened nobody knows what was asked before: after the first answer of a unit 20 ms tell whether more
   comes.
"""

from __future__ import annotations

STRAY_S = 0.02


def silence_s(baudrate: float, bits_per_character: float) -> float:
    """3.5 characters; 1.75 ms above 19200 baud (Modbus over serial line, 2.5.1.1)."""
    return 1.75e-3 if baudrate > 19200 else 3.5 * bits_per_character / baudrate


class Quiet:
    """The silence that one line still needs. Times are ns of any one clock."""

    def __init__(self, silence_s: float, late_s: float) -> None:
        """`silence_s` between frames; `late_s`: how long after its timeout an answer can still come."""
        self._silence_ns, self._late_ns = int(silence_s * 1e9), int(late_s * 1e9)
        self._stray_ns = max(self._silence_ns, int(STRAY_S * 1e9))
        self._free_ns = 0
        self._owed_ns: dict[int, int] = {}
        self._slow: set[int] = set()
        self._known: set[int] = set()

    def opened(self) -> None:
        """Take note that the line was just opened: nobody knows what was asked on it before."""
        self._known.clear()

    def until_ns(self, unit: int) -> int:
        """When `unit` may be asked."""
        slow = [until_ns for u, until_ns in self._owed_ns.items() if u in self._slow]
        return max(self._free_ns, self.owed_ns(unit), *slow)

    def owed_ns(self, unit: int) -> int:
        """Until when an answer of `unit` that is not yet there can come; 0 where none is missing."""
        return self._owed_ns.get(unit, 0)

    def answered(self, unit: int, now_ns: int) -> None:
        """Take note that a unit answered in time."""
        self._free_ns = now_ns + (self._silence_ns if unit in self._known else self._stray_ns)
        self._known.add(unit)
        self._owed_ns.pop(unit, None)
        self._slow.discard(unit)

    def unanswered(self, unit: int, now_ns: int, silent: bool = True) -> None:
        """Take note that the time for an answer is over; not `silent`: something came, but no answer."""
        self._free_ns = max(self._free_ns, now_ns)
        self._owed_ns[unit] = now_ns + (self._late_ns if silent else self._late_ns // 2)

    def heard(self, now_ns: int, first: int, asked: int | None) -> None:
        """Take note of bytes that are not (yet) an answer: their `first` one, and which unit is being asked."""
        self._free_ns = now_ns + self._stray_ns
        late = {u for u in self._owed_ns if (asked is None or u == first) and u != asked}
        self._slow |= late
        for unit in late:
            del self._owed_ns[unit]
