"""Keeps a unit running: what is expected is retried with jittered back-off, what is not is a bug and is told as one.

This file holds the only broad `except` of the house.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from agent.runtime import clock, meters

log = logging.getLogger(__name__)

EXPECTED = (OSError, TimeoutError, EOFError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)
HEALTHY_S = 30.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from `first_s` to `longest_s`, each spread by +-50 %: a fleet must not knock at once."""

    first_s: float = 0.5
    longest_s: float = 5.0

    def wait_s(self, failures: int) -> float:
        """The wait after so many failures in a row (1 or more)."""
        return min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 16)) * random.uniform(0.5, 1.5)


async def keep(
    unit: str,
    run: Callable[[], Awaitable[None]],
    *,
    down: Callable[[str], None] = lambda reason: None,
    over: Callable[[], bool] = lambda: False,
    watched: bool = True,
    backoff: Backoff = Backoff(),
    strict: bool = False,
) -> None:
    """Run `run` until `over()`; `down(reason)` is called each time it ends, however. `strict`: a bug is raised (tests).

    `watched`: each try is a turn, and from then on the watchdog wants turns of this unit.
    Meters: `<unit>/restarts`, `<unit>/failures` (expected), `<unit>/bugs`.
    """
    counters, failures = meters.current(), 0
    counters.add(f"{unit}/restarts", 0)
    while True:
        if watched:
            counters.turn(unit)
        started_ns = clock.now_ns()
        reason, bug = await _once(run)
        down(reason)
        if bug is not None and strict:
            raise bug
        if over():
            return
        failures = 1 if clock.now_ns() - started_ns > HEALTHY_S * 1e9 else failures + 1
        counters.add(f"{unit}/restarts")
        counters.add(f"{unit}/{'bugs' if bug else 'failures'}")
        wait_s = backoff.longest_s if bug else backoff.wait_s(failures)
        _tell(unit, reason, bug, failures, wait_s)
        await anyio.sleep(wait_s)


async def _once(run: Callable[[], Awaitable[None]]) -> tuple[str, Exception | None]:
    """(why it ended, the bug if it was one)."""
    try:
        await run()
    except Exception as error:
        if expected(error):
            return _words(error), None
        return f"bug: {_words(error)}", error
    return "ended by itself", None


def expected(error: BaseException) -> bool:
    """Whether an error belongs to the outer world: an I/O error, or a group of nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return all(expected(e) for e in error.exceptions)
    return isinstance(error, EXPECTED)


def _words(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_words(e) for e in error.exceptions)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _tell(unit: str, reason: str, bug: Exception | None, failures: int, wait_s: float) -> None:
    if bug is not None:
        log.error("%s: %s; again in %.1f s", unit, reason, wait_s, exc_info=bug)
    elif failures == 1:
        log.warning("%s: %s; trying again until it answers", unit, reason)
    else:
        log.debug("%s: %s; again in %.1f s (failure %d)", unit, reason, wait_s, failures)
