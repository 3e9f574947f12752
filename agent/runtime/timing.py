"""How long the models of one asset take, and which of them takes too long again and again.

The engine has no clock. Here each model's kind stands behind a stand-in that takes the CPU time of its steps; whoever
needs more than its share SLOW times in its last STEPS is suspended by a Command in the next Tick, so that a backtest
suspends it at the same tick. It is tried again after a while, and each time it is suspended longer.

    meter engine/<asset>.<model>_ms      mean CPU time of its last steps
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

from agent.core.nouns import Command
from agent.engine.asset import Asset, Model
from agent.runtime import clock, meters

STEPS, SLOW = 60, 10
FIRST_S, LONGEST_S = 600.0, 6 * 3600.0


class _Stopwatch:
    """A kind of model that is timed, and in all else the kind itself."""

    def __init__(self, kind: Any, took: Callable[[int], None]) -> None:
        self._kind, self._took = kind, took

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kind, name)

    def step(self, *given: Any) -> Any:
        started_ns = clock.thread_ns()
        try:
            return self._kind.step(*given)
        finally:
            self._took(clock.thread_ns() - started_ns)


class Timing:
    """The times of one asset's models; `asset` is that asset with its models timed."""

    def __init__(self, asset: Asset) -> None:
        """Nothing has stepped yet."""
        self._steps = {model.name: _Steps(asset.id, model) for model in asset.models}
        timed = (replace(m, kind=_Stopwatch(m.kind, self._steps[m.name].took)) for m in asset.models)
        self.asset = replace(asset, models=tuple(timed))

    def commands(self) -> tuple[Command, ...]:
        """Suspensions that are due now."""
        return tuple(command for steps in self._steps.values() if (command := steps.command()) is not None)


class _Steps:
    """The last steps of one model."""

    def __init__(self, asset: str, model: Model) -> None:
        self._target, self._most_ms = f"{asset}/{model.name}", model.most_ms
        self._ms: deque[float] = deque(maxlen=STEPS)
        self._suspended = count()
        meters.current().gauge(f"engine/{asset}.{model.name}_ms", self._mean_ms)

    def took(self, ns: int) -> None:
        self._ms.append(ns * 1e-6)

    def _mean_ms(self) -> float | None:
        return sum(self._ms) / len(self._ms) if self._ms else None

    def command(self) -> Command | None:
        """The command that suspends it, None where it is quick enough."""
        slow = [ms for ms in self._ms if ms > self._most_ms]
        if len(slow) < SLOW:
            return None
        self._ms.clear()
        times = next(self._suspended)
        for_s = min(FIRST_S * 2.0**times, LONGEST_S)
        why = f"{sum(slow) / len(slow):.3g} ms a step, allowed {self._most_ms:g} ms, {SLOW} times in {STEPS}"
        args = {"for_s": f"{for_s:g}", "why": why}
        return Command(f"slow-{self._target}-{times}", "suspend", self._target, "gateway", args)
