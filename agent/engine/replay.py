"""A backtest: recorded ticks through the engine again, without loop, clock or driver, beside what the live run gave."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from agent.core import wire
from agent.core.nouns import Snapshot, Tick
from agent.engine import state as states
from agent.engine import trial
from agent.engine.asset import Asset
from agent.engine.state import State
from agent.engine.step import step
from agent.engine.trial import Alarm

SHOWN = 5


@dataclass(slots=True)
class Outcome:
    """What came of one asset. `skipped`: ticks before the first state, or after a hole in the record. live, now: what
    was raised then and now, in wall time where the messages have it."""

    asset: str
    ticks: int = 0
    same: int = 0
    different: int = 0
    skipped: int = 0
    alerts_live: int = 0
    alerts_now: int = 0
    differences: list[str] = field(default_factory=list)
    live: list[Alarm] = field(default_factory=list)
    now: list[Alarm] = field(default_factory=list)


def play(asset: Asset, messages: Iterable[tuple[str, bytes, int]]) -> Outcome:
    """Play (kind, core.wire message, offset of wall time in ns) in the order of the journal: state, tick and snapshot
    messages of one asset."""
    outcome, state, given = Outcome(asset.id), None, None
    for kind, body, offset_ns in messages:
        if kind == "state":
            state = states.thaw(asset, body)
        elif kind == "tick":
            state, given = _tick(asset, state, wire.decode(Tick, body), outcome)
        elif kind == "snapshot" and given is not None:
            _compare(asset, given, body, offset_ns, outcome)
            given = None
    return outcome


def _tick(asset: Asset, state: State | None, tick: Tick, outcome: Outcome) -> tuple[State | None, Snapshot | None]:
    if state is None or tick.seq != state.seq + 1:
        outcome.skipped += 1
        return None, None
    outcome.ticks += 1
    return step(asset, state, tick)


def _compare(asset: Asset, now: Snapshot, live_body: bytes, offset_ns: int, outcome: Outcome) -> None:
    live = wire.decode(Snapshot, live_body)
    for alarms, snapshot in ((outcome.live, live), (outcome.now, now)):
        trial.told(alarms, snapshot.events, offset_ns)
        trial.finish(alarms, snapshot.conditions)
    outcome.alerts_live += _alerts(live)
    outcome.alerts_now += _alerts(now)
    if wire.encode(now) == live_body:
        outcome.same += 1
        return
    outcome.different += 1
    if len(outcome.differences) < SHOWN:
        outcome.differences.append(f"tick {now.seq & 0xFFFF_FFFF}: {difference(asset, live, now)}")


def _alerts(snapshot: Snapshot) -> int:
    return sum(e.change == "raised" for e in snapshot.events)


def difference(asset: Asset, live: Snapshot, now: Snapshot) -> str:
    """The first thing in which two snapshots of one tick differ."""
    if len(live.value) != len(now.value):
        return f"{len(live.value)} points then, {len(now.value)} now"
    unequal = (live.status != now.status) | ~((live.value == now.value) | (np.isnan(live.value) & np.isnan(now.value)))
    if unequal.any():
        row = int(np.argmax(unequal))
        then, later = f"{live.value[row]:.9g} {live.status[row]:#x}", f"{now.value[row]:.9g} {now.status[row]:#x}"
        return f"{asset.points[row].id}: {then} then, {later} now"
    return "conditions, events or summaries differ"
