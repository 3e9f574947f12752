"""The state an asset goes on from at a start: its newest checkpoint, all ticks stored after it played again, and every
condition as its last Event left it.

The engine is pure, so the ticks give what they gave before, to the bit: checkpoints may be rare, which spares flash,
and a kill loses no more of the state than of raw history. Ticks are played for the very same asset only: another limit
would raise what nobody was told of.

`tick.seq` of a run begins at run * 2^32, with a new run number at each start: what a run lost is never named again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from agent.core import wire
from agent.core.nouns import Event, Tick
from agent.engine import state as states
from agent.engine.asset import Asset
from agent.engine.state import State
from agent.engine.step import step
from agent.runtime import clock
from agent.store.read import Reader
from agent.store.record import Record
from agent.store.schema import StoreDamagedError, StoreError

log = logging.getLogger(__name__)

RUN_BITS = 32

# A start must not take longer: what was not played by then is lost but for the events.
LONGEST_NS = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """A state as the store has it: `record` is the last that is in it (a checkpoint or a block); boot, t_ns and wall_ns
    say when it was, wall_ns 0 where the clock is not known."""

    state: State
    record: int
    boot: str
    t_ns: int
    wall_ns: int


def state(asset: Asset, path: Path) -> State:
    """The state of an asset as the store at `path` has it; the initial one where there is none."""
    try:
        reader = Reader.open(path)
    except (StoreError, OSError):
        return first(states.initial(asset), 1)
    try:
        found = newest(asset, reader)
        before, last = _here(asset, found) if found else (states.initial(asset), 0)
        events = [r for r in reader.latest_events(asset.id) if r.id > last]
        run = (before.seq >> RUN_BITS) + 1
        return first(_told(asset, before, events), run)
    except StoreError as error:
        log.error("%s: the journal cannot be read, starting anew: %s", asset.id, error)
        return first(states.initial(asset), 1)
    finally:
        reader.close()


def first(before: State, run: int) -> State:
    """The state before the first tick of a run: time begins anew, so that a pause weighs nothing."""
    return replace(before, seq=run << RUN_BITS, t_ns=0)


def newest(asset: Asset, reader: Reader) -> Found | None:
    """The newest state of an asset that the store can give, on the axis of its own boot."""
    record = reader.latest_checkpoint(asset.id)
    if record is None:
        return None
    try:
        state, same = states.thaw(asset, record.body), states.fits(asset, record.body)
    except wire.WireError as error:
        log.error("%s: its checkpoint cannot be used, starting anew: %s", asset.id, error)
        return None
    found = Found(state, record.id, record.boot, record.t_ns, record.wall_ns)
    return _played(asset, found, reader) if same else found


def _played(asset: Asset, found: Found, reader: Reader) -> Found:
    """What the ticks after a checkpoint made of it, up to a hole in them."""
    started_ns, state, current = clock.now_ns(), found.state, found.record
    try:
        for message in reader.messages(asset.id, ("tick",), after=found.record):
            tick = wire.decode(Tick, message.body)
            if message.boot != found.boot or tick.seq != state.seq + 1 or clock.now_ns() - started_ns > LONGEST_NS:
                return found
            if message.record != current:
                current, found = message.record, replace(found, record=current)
            state, _ = step(asset, state, tick)
            found = replace(found, state=state, t_ns=message.t_ns, wall_ns=message.wall_ns)
    except (StoreDamagedError, wire.WireError) as error:
        log.error("%s: ticks after its checkpoint cannot be read: %s", asset.id, error)
        return found
    return replace(found, record=current)


def _here(asset: Asset, found: Found) -> tuple[State, int]:
    """(state on the axis of this boot, id of the last record in it)."""
    state = found.state
    if found.boot != clock.boot_id():
        state = states.rebased(asset, state, _moved_ns(found))
    return state, found.record


def _moved_ns(then: Record | Found) -> int:
    """What to add to times of a record's boot to have them on the axis of this one, as far as the clocks knew."""
    if not then.wall_ns or then.boot == clock.boot_id():
        return 0
    return (then.wall_ns - then.t_ns) - (clock.wall_ns() - clock.now_ns())


def _told(asset: Asset, before: State, records: list[Record]) -> State:
    """The state with what events after its checkpoint say."""
    conditions = {c.id: c for c in before.conditions}
    case = before.case
    for record in records:
        try:
            event = wire.decode(Event, record.body)
        except wire.WireError as error:
            log.error("%s: event %d cannot be read: %s", asset.id, record.id, error)
            continue
        by_ns = _moved_ns(record)
        if event.condition is not None:
            conditions[event.condition.id] = states.moved(event.condition, by_ns)
        if event.case is not None:
            case = states.moved_case(event.case, by_ns)
    kept = states.kept_conditions(asset, tuple(conditions.values()))
    return replace(before, conditions=kept, case=case)
