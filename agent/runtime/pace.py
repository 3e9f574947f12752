"""When a periodic loop goes round: at whole periods of the boot clock, so that nothing drifts and all are in phase."""

from __future__ import annotations

import anyio

from agent.runtime import clock, meters


class Pace:
    """The due times of one loop; the first is now. Those that a slow round missed are left out and counted."""

    def __init__(self, period_s: float, missed: str, phase: float = 0.0) -> None:
        """`missed` names the meter that counts due times left out; `phase` is a share of the period."""
        self._period_ns = max(1, round(period_s * 1e9))
        self._phase_ns = round(self._period_ns * phase)
        self._due_ns = clock.now_ns()
        self._missed = missed

    async def next(self) -> None:
        """Wait for the next due time."""
        now_ns = clock.now_ns()
        periods = (self._due_ns - self._phase_ns) // self._period_ns
        next_ns = (periods + 1) * self._period_ns + self._phase_ns
        missed = max(0, -((next_ns - now_ns) // self._period_ns))
        meters.current().add(self._missed, missed)
        self._due_ns = next_ns + missed * self._period_ns
        await anyio.sleep(max(0, self._due_ns - now_ns) * 1e-9)
