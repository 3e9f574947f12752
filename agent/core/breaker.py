"""A circuit breaker for something that may not answer: left alone after failures, tried again more and more rarely.

    CLOSED --`failures` failures in a row--> OPEN --its pause is over, one trial--> HALF_OPEN --answer--> CLOSED
                                              ^                                        |
                                              +------------ failure, a longer pause ---+

pause(n) = min(first · 2ⁿ, longest) · (1 - spread/4) for the nth trial in a row that fails, spread in [0, 1): those that
fell silent together are not tried together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Position(IntEnum):
    """Where a breaker stands."""

    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2

    @property
    def word(self) -> str:
        """The position as people read it."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True)
class Patience:
    """`failures` in a row open a breaker; its pause grows from `first_ns` to `longest_ns`."""

    failures: int
    first_ns: int
    longest_ns: int


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state: failures in a row, and while open when the next trial may be made and when the last try ended."""

    position: Position = Position.CLOSED
    failures: int = 0
    retry_ns: int = 0
    tried_ns: int = 0

    @property
    def shut_out(self) -> bool:
        """Whether nothing but a trial may be asked."""
        return self.position is not Position.CLOSED


def failed(before: Breaker, patience: Patience, now_ns: int, spread: float = 0.0) -> Breaker:
    """After no answer."""
    failures = before.failures + 1
    if before.position is Position.CLOSED and failures < patience.failures:
        return Breaker(Position.CLOSED, failures, 0, now_ns)
    pause_ns = min(patience.first_ns * 2 ** min(failures - patience.failures, 62), patience.longest_ns)
    return Breaker(Position.OPEN, failures, now_ns + int(pause_ns * (1 - spread / 4)), now_ns)


def trying(before: Breaker) -> Breaker:
    """While its one trial is on its way."""
    return Breaker(Position.HALF_OPEN, before.failures, before.retry_ns, before.tried_ns)


def answered() -> Breaker:
    """After any answer."""
    return Breaker()
