"""Which of two endpoints is read, the main one (0) or its backup (1). Pure.

What works is kept. The other one is tried when no connection can be made, or when a request is not answered and no
unit of this endpoint is left that does answer (one dead unit of several is no reason to leave). From the backup, the
main one is tried again each `return_s`; the backup stays connected until the main one is, so that nothing is lost by
trying.
"""

from __future__ import annotations


class Choice:
    """The endpoint in use. Times are ns of any one clock."""

    def __init__(self, number: int, return_s: float) -> None:
        """`number` of endpoints, 1 or 2; `return_s` 0: the backup is kept until it fails."""
        self._number, self._return_ns = number, int(return_s * 1e9)
        self._answering: set[int] = set()
        self._back_ns = 0
        self.at = 0

    @property
    def both(self) -> tuple[int, ...]:
        """The endpoints in the order in which they are to be tried."""
        return (self.at, 1 - self.at) if self._number == 2 else (0,)

    def due(self, now_ns: int) -> bool:
        """Whether the main endpoint is to be tried again; says so once each `return_s`."""
        if self.at == 0 or self._return_ns == 0 or now_ns < self._back_ns:
            return False
        self._back_ns = now_ns + self._return_ns
        return True

    def use(self, endpoint: int, now_ns: int) -> None:
        """Take note that this endpoint is used from now on."""
        if endpoint != self.at:
            self.at, self._back_ns = endpoint, now_ns + self._return_ns
            self._answering.clear()

    def answered(self, unit: int) -> None:
        """Take note that a unit of this endpoint answered."""
        self._answering.add(unit)

    def unanswered(self, unit: int, now_ns: int) -> None:
        """Take note that a unit did not, and go over to the other endpoint where it was the last one that did."""
        self._answering.discard(unit)
        if self._number == 2 and not self._answering:
            self.use(1 - self.at, now_ns)
