"""Raw history as messages: every sample that the drivers gave, by tag, in blocks of some seconds as the journal has it.

    {"gateway": "g", "class": "raw", "epoch": 1, "seq": 17, "asset": "pump-1", "kind": "block", "clock": "synchronised",
     "start": "...Z", "start_ns": 1795348800000000000, "end": "...Z", "end_ns": ..., "samples": 120,
     "tags": {"pump/flow": {"t_ns": [0, 1000210000], "value": [1.5, 1.6], "status": [0, 1083441152]}}, "hash": "..."}

A window of time is the blocks that reach into it, each whole, named by its own (class, epoch, seq): a receiver stores a
block once, whoever asked for it and how often. `t_ns`: since `start_ns`; `status`: the OPC UA StatusCode of each
sample, left out where all are Good; a value that is no number is null, a text or an array is itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.core import wire
from agent.core.nouns import I8, U4, Batch, Role, Tick
from agent.runtime.journal import Record
from agent.runtime.restore import RUN_BITS
from agent.sinks.mqtt import payload
from agent.sinks.mqtt.envelope import sealed
from agent.store import blocks
from agent.store.read import Reader
from agent.store.record import BLOCK

if TYPE_CHECKING:
    from agent.runtime.taps import Taps

# Blocks looked through for the names of the tags of an older run: at least as many as there are between two of them.
BACK, BACK_AT_ONCE = 128, 8


@dataclass(frozen=True, slots=True)
class Known:
    """The tags of an asset in the run that goes on: its number and their names by row."""

    run: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Named:
    """What of a checkpoint is asked for here."""

    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """A block as its message, not packed yet, and the record's id."""

    record: int
    content: bytes


async def window(taps: Taps, asset: str, start_ns: int, end_ns: int) -> AsyncIterator[Content]:
    """The blocks of an asset that reach into start_ns <= wall time < end_ns (UTC), one after the other.

    StoreError: they cannot be read now.
    """
    after, known = 0, _known(taps, asset)
    while True:
        ask = partial(_next, taps.gateway, known, asset, (start_ns, end_ns), after)
        found = await taps.records.read(ask)
        if found is None:
            return
        yield found
        after = found.record


def _next(
    gateway: str, known: Known | None, asset: str, span_ns: tuple[int, int], after: int, reader: Reader
) -> Content | None:
    record = reader.history(asset, *span_ns, after=after)
    return None if record is None else Content(record.id, message(gateway, known, record, reader))


def of(taps: Taps, asset: str, record: Record, reader: Reader) -> bytes:
    """The message of one block."""
    return message(taps.gateway, _known(taps, asset), record, reader)


def _known(taps: Taps, asset: str) -> Known | None:
    """The tags of an asset as they are now; None before its first cycle."""
    newest = taps.hub.newest.get(asset)
    if newest is None:
        return None
    points = taps.hub.catalogue.of(asset)
    names = tuple(p.id.removeprefix(f"{asset}/") for p in points if p.role is Role.MEASURED)
    return Known(newest.seq >> RUN_BITS, names)


def message(gateway: str, known: Known | None, record: Record, reader: Reader) -> bytes:
    """The message of a block; one that cannot be read, or whose tags nobody can name, says so."""
    name = payload.name_of(gateway, record)
    try:
        messages = blocks.unpack(record.body)
        ticks = [wire.decode(Tick, body) for kind, _, body in messages if kind == "tick"]
        names = _names(known, ticks, record, reader)
    except ValueError as error:
        return sealed(payload.json_of({**name, "unreadable": str(error)}))
    offset_ns = record.wall_ns - record.t_ns
    known_time = record.clock != "unknown"
    batches = [batch for tick in ticks for batch in tick.batches]
    said = {
        **name,
        **payload.times("start", record.wall_ns if known_time else None),
        **payload.times("end", record.end_ns + offset_ns if known_time else None),
        "samples": sum(len(batch.tag) for batch in batches),
        "tags": _tags(names, batches, record.t_ns),
    }
    return sealed(payload.json_of(said))


def _names(known: Known | None, ticks: Sequence[Tick], record: Record, reader: Reader) -> tuple[str, ...]:
    """Names of the tags by row: of this run as they are, of an older one as its checkpoint in the history says."""
    if not ticks or (known and ticks[0].seq >> RUN_BITS == known.run):
        return known.names if known else ()
    number, seen = record.id, 0
    while seen < BACK and (found := reader.back(record.asset, number, BACK_AT_ONCE)).last:
        for block in found.records:
            for kind, _, body in reversed(blocks.unpack(block.body) if block.kind == BLOCK else []):
                if kind == "state":
                    return wire.decode(_Named, body).tags
        number, seen = found.last - 1, seen + BACK_AT_ONCE
    raise ValueError("nobody knows any more which tags these are: the start of that run is not in the history")


def _tags(names: Sequence[str], batches: Sequence[Batch], start_ns: int) -> dict[str, dict[str, list[Any]]]:
    """Columns by tag, in the order in which they came."""
    if not batches:
        return {}
    tag = np.concatenate([batch.tag for batch in batches])
    t_ns = np.concatenate([batch.t_ns for batch in batches]) - start_ns
    status = np.concatenate([batch.status for batch in batches])
    value = _values(batches)
    order = np.argsort(tag, kind="stable")
    rows, first = np.unique(tag[order], return_index=True)
    columns = zip(rows.tolist(), np.split(order, first[1:]), strict=True)
    return {names[row]: _column(t_ns[at], [value[n] for n in at.tolist()], status[at]) for row, at in columns}


def _column(t_ns: I8, value: list[Any], status: U4) -> dict[str, list[Any]]:
    said = {"t_ns": t_ns.tolist(), "value": value}
    return {**said, "status": status.tolist()} if status.any() else said


def _values(batches: Iterable[Batch]) -> list[Any]:
    """The value of each sample as JSON has it."""
    found = list[Any]()
    for batch in batches:
        values: list[Any] = _numbers(batch.value.tolist())
        for row, text in batch.texts:
            values[row] = text
        for row, array in batch.arrays:
            values[row] = _numbers(array.tolist())
        found += values
    return found


def _numbers(values: list[float]) -> list[Any]:
    return [value if abs(value) < float("inf") else None for value in values]  # NaN is below nothing
