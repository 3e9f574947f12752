"""One asset's cycle: at each due time takes what arrived, steps the engine, hands the outcome on. No drift."""

from __future__ import annotations

import logging
from collections.abc import Callable

from agent.core.nouns import Snapshot, Tick
from agent.engine.asset import Asset
from agent.engine.state import State
from agent.engine.step import step
from agent.runtime import clock, meters
from agent.runtime.inbox import Inbox
from agent.runtime.pace import Pace
from agent.runtime.timing import Timing

log = logging.getLogger(__name__)

# A cycle stands a little after the full period, where polls of phase 0 have answered: a share of it.
PHASE = 0.2

Outcome = Callable[[Tick, Snapshot], None]


class Cycle:
    """The mutable part of one asset: its newest State. Everything else it uses is a value or given to it."""

    def __init__(self, asset: Asset, state: State, inbox: Inbox, outcome: Outcome) -> None:
        """Go on from `state`; `outcome` is told each tick and its snapshot."""
        self.asset = asset
        self.state = state
        self.spent_ns = 0  # CPU time of steps since its last checkpoint
        self.checkpoint_due = False
        self._inbox = inbox
        self._timing = Timing(asset)
        self._outcome = outcome

    async def run(self) -> None:
        """Tick until cancelled."""
        pace = Pace(self.asset.period_s, "engine/missed", PHASE * self.asset.period_s)
        while True:
            await pace.next()
            meters.current().turn(f"cycle {self.asset.id}")
            self.turn(clock.now_ns())

    def turn(self, now_ns: int, last: bool = False) -> Snapshot:
        """One tick at `now_ns`."""
        batches, commands = self._inbox.take()
        tick = Tick(self.asset.id, self.asset.epoch, self.state.seq + 1, now_ns, batches, commands, last)
        started_ns, cpu_ns = clock.now_ns(), clock.thread_ns()
        self.state, snapshot = step(self._timing.asset, self.state, tick)
        self.spent_ns += clock.thread_ns() - cpu_ns
        meters.current().set("engine/step_ms", (clock.now_ns() - started_ns) * 1e-6)
        meters.current().add("engine/ticks")
        for fault in snapshot.faults:
            log.error("%s: model %s: %s", self.asset.id, fault.component, fault.text)
            meters.current().add(f"model {self.asset.id}/{fault.component}/faults")
        for command in self._timing.commands():
            self._inbox.command(command)
        self._outcome(tick, snapshot)
        return snapshot

    def end(self) -> None:
        """The last tick: everything says BadShutdown."""
        self.turn(clock.now_ns(), last=True)
        meters.current().gone(f"cycle {self.asset.id}")
