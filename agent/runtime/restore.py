"""The state an asset goes on from at a start: its newest checkpoint, and every condition as its last Event left it.

`tick.seq` of a run begins at run * 2^32, with a new run number at each start: what a run lost is never named again.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from agent.core import wire
from agent.core.nouns import Event
from agent.engine import state as states
from agent.engine.asset import Asset
from agent.engine.state import State
from agent.runtime import clock
from agent.store.read import Reader
from agent.store.record import Record
from agent.store.schema import StoreError

log = logging.getLogger(__name__)

RUN_BITS = 32


def state(asset: Asset, path: Path) -> State:
    """The state of an asset as the store at `path` has it; the initial one where there is none."""
    try:
        reader = Reader.open(path)
    except (StoreError, OSError):
        return first(states.initial(asset), 1)
    try:
        found = _checkpointed(asset, reader)
        before, last = found if found else (states.initial(asset), 0)
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


def _checkpointed(asset: Asset, reader: Reader) -> tuple[State, int] | None:
    """(state, id of its record) of the newest checkpoint that can be used."""
    record = reader.latest_checkpoint(asset.id)
    if record is None:
        return None
    try:
        found = states.thaw(asset, record.body)
    except wire.WireError as error:
        log.error("%s: its checkpoint cannot be used, starting anew: %s", asset.id, error)
        return None
    if record.boot != clock.boot_id():
        found = states.rebased(asset, found, _moved_ns(record))
    return found, record.id


def _moved_ns(record: Record) -> int:
    """What to add to times of a record's boot to have them on the axis of this one, as far as the clocks knew."""
    if not record.wall_ns or record.boot == clock.boot_id():
        return 0
    return (record.wall_ns - record.t_ns) - (clock.wall_ns() - clock.now_ns())


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
