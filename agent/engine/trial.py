"""What a run of ticks raised, as intervals, and how that differs from another run over the same time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from agent.core import quality
from agent.core.nouns import Condition, Event, Snapshot, Tick
from agent.engine import state as states
from agent.engine.asset import Asset
from agent.engine.step import step


@dataclass(frozen=True, slots=True)
class Alarm:
    """One time that a condition was active. `worst`: the value farthest beyond its limit. ended_ns 0: it goes on."""

    id: str
    category: str
    kind: str
    begun_ns: int
    ended_ns: int
    worst: float
    limit: float
    message: str
    provisional: bool


@dataclass(slots=True)
class Trial:
    """What came of a run. seconds: in each mode; spoke: seconds in which each model gave a value."""

    asset: str
    ticks: int = 0
    alarms: list[Alarm] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    spoke: dict[str, float] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Difference:
    """Alarms that only the one run has (gained), only the other (lost), and pairs (now, then) that both have."""

    gained: tuple[Alarm, ...]
    lost: tuple[Alarm, ...]
    both: tuple[tuple[Alarm, Alarm], ...]


def run(asset: Asset, ticks: Iterable[Tick]) -> Trial:
    """The ticks through the engine, from its beginning."""
    trial, state, before = Trial(asset.id), states.initial(asset), None
    for tick in ticks:
        if before is not None:
            _count(trial, asset, before, (tick.now_ns - before.t_ns) * 1e-9)
        state, snapshot = step(asset, replace(state, seq=tick.seq - 1), tick)
        trial.ticks, before = trial.ticks + 1, snapshot
        trial.faults.update(f"{fault.component}: {fault.text}" for fault in snapshot.faults)
        told(trial.alarms, snapshot.events)
        finish(trial.alarms, snapshot.conditions)
    return trial


def told(alarms: list[Alarm], events: Iterable[Event], offset_ns: int = 0) -> None:
    """Take in the events of one cycle: what was raised begins an alarm, what cleared ends it. offset_ns: of the times
    that are wanted from those of the events."""
    for event in events:
        condition = event.condition
        if condition is None:
            continue
        if event.change == "raised":
            alarms.append(_alarm(condition, event.t_ns + offset_ns))
        elif event.change == "cleared":
            _end(alarms, condition, event.t_ns + offset_ns)


def finish(alarms: list[Alarm], conditions: Iterable[Condition]) -> None:
    """Take over how bad the open alarms have become."""
    active = {c.id: c for c in conditions if c.active}
    for n, alarm in enumerate(alarms):
        if not alarm.ended_ns and alarm.id in active:
            alarms[n] = replace(alarm, worst=active[alarm.id].worst)


def compared(now: Iterable[Alarm], then: Iterable[Alarm], slack_ns: int) -> Difference:
    """Alarms of two runs over one time: the same where they are of one condition and overlap within slack."""
    left, gained, both = list(then), list[Alarm](), list[tuple[Alarm, Alarm]]()
    for alarm in now:
        same = next((other for other in left if _overlap(alarm, other, slack_ns)), None)
        if same is None:
            gained.append(alarm)
        else:
            left.remove(same)
            both.append((alarm, same))
    return Difference(tuple(gained), tuple(left), tuple(both))


def _count(trial: Trial, asset: Asset, snapshot: Snapshot, dt_s: float) -> None:
    """What a snapshot said until the next one, dt_s later."""
    trial.seconds[snapshot.mode.word] = trial.seconds.get(snapshot.mode.word, 0.0) + dt_s
    for name, rows in asset.blocks.items():
        if (~quality.bad_mask(snapshot.status[rows])).any():
            trial.spoke[name] = trial.spoke.get(name, 0.0) + dt_s


def _alarm(c: Condition, t_ns: int) -> Alarm:
    return Alarm(c.id, c.category, c.kind, t_ns, 0, c.worst, c.limit, c.message, c.provisional)


def _end(alarms: list[Alarm], condition: Condition, t_ns: int) -> None:
    for n, alarm in enumerate(alarms):
        if alarm.id == condition.id and not alarm.ended_ns:
            alarms[n] = replace(alarm, ended_ns=t_ns, worst=condition.worst)


def _overlap(one: Alarm, other: Alarm, slack_ns: int) -> bool:
    def ends_before(a: Alarm, b: Alarm) -> bool:
        return bool(a.ended_ns) and a.ended_ns + slack_ns < b.begun_ns

    return one.id == other.id and not ends_before(one, other) and not ends_before(other, one)
