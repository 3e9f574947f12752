"""When a periodic loop goes round: at whole periods of the boot clock, so that nothing drifts and all are in phase."""

from __future__ import annotations

import anyio

from agent.core.due import Due
from agent.runtime import clock, meters


class Pace:
    """The due times of one loop; the first is now. Those that a slow round missed are left out and counted."""

    def __init__(self, period_s: float, missed: str, phase_s: float = 0.0) -> None:
        """`missed` names the meter that counts due times left out; `phase_s` is when within each whole period."""
        self._due = Due.of(period_s, phase_s, clock.now_ns())
        self._missed = missed

    async def next(self) -> None:
        """Wait for the next due time."""
        now_ns = clock.now_ns()
        self._due, missed = self._due.after(now_ns)
        meters.current().add(self._missed, missed)
        await anyio.sleep(max(0, self._due.ns - now_ns) * 1e-9)
