"""What is missing in the journal, in words and with wall times: the loss ledger behind `edgetwin store gaps`.

lost       records that are gone, from the gap records: deleted under the cap, never written, damaged
silent     a device that gave nothing, or a heartbeat that stood still: from the events of their conditions
unrecorded an asset without cycles: between two runs, or in one; from the times of its blocks of raw history
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from agent.core import wire
from agent.core.nouns import Event, Snapshot, Tick
from agent.store import blocks, record
from agent.store.read import Reader
from agent.store.record import EVENT, RAW, Gap

SILENCES = ("communication", "heartbeat")
UNKNOWN_NS = 0

# Blocks follow one another within so many of their periods, and this: a cycle may be late.
LATE_PERIODS, LATE_NS = 3, 1_000_000_000
AT_ONCE = 1000

WHY = {
    record.CAP: "deleted as the oldest, the cap was reached",
    record.CAP_UNSENT: "deleted as the oldest, the cap was reached, and a destination had not acknowledged them",
    record.OVERFLOW: "never written: the disk took nothing for too long, and the memory for what waits was full",
    record.TOO_LARGE: "never written: larger than a quarter of the cap",
    record.DAMAGED: "damaged on the disk",
}
HOLDS = {"raw": "ticks and snapshots", "summary": "summaries", "event": "events"}


@dataclass(frozen=True, slots=True)
class Hole:
    """Something that is missing from start_ns to end_ns (UTC; 0: not known, or it goes on). of: a class, a source or an
    asset; count: how many records (None: nobody knows)."""

    kind: str
    of: str
    start_ns: int
    end_ns: int
    text: str
    count: int | None = None


class _Block(NamedTuple):
    id: int
    boot: int
    t_ns: int
    end_ns: int
    n: int


def holes(reader: Reader, assets: Sequence[str]) -> list[Hole]:
    """All of them in the order of time; those of unknown time first."""
    gaps = reader.gaps()
    found = [_lost(reader, gap) for gap in gaps]
    for asset in assets:
        found += _silent(reader, asset)
        found += _unrecorded(reader, asset, gaps)
    return sorted(found, key=lambda hole: hole.start_ns)


def _lost(reader: Reader, gap: Gap) -> Hole:
    start_ns, end_ns = (reader.wall_ns(*at)[0] for at in ((gap.from_boot, gap.from_ns), (gap.to_boot, gap.to_ns)))
    many = f"{gap.count} {HOLDS.get(gap.class_, gap.class_)}" if gap.count else f"all {HOLDS.get(gap.class_, '')}"
    if gap.last == 0:
        why = "the file was gone" if gap.reason == record.GONE else "the file was damaged and set aside"
        return Hole("lost", gap.class_, 0, end_ns, f"{many} of epoch {gap.epoch}: {why}")
    names = f"{gap.first} to {gap.last}" if gap.last > gap.first else f"{gap.first}"
    text = f"{many} {WHY.get(gap.reason, gap.reason)} (epoch {gap.epoch}, {names})"
    return Hole("lost", gap.class_, start_ns, end_ns, text, gap.count or None)


def _silent(reader: Reader, asset: str) -> Iterator[Hole]:
    """Of conditions that say that a device gives nothing: from raised to cleared, or to now."""
    begun: dict[str, tuple[int, str]] = {}
    for kept in reader.records(EVENT, asset):
        if kept.kind == record.CLOCK:
            continue
        condition = wire.decode(Event, kept.body).condition
        if condition is None or condition.kind not in SILENCES:
            continue
        since = begun.pop(condition.id, None)
        if condition.active:
            begun[condition.id] = since or (kept.wall_ns, condition.message)
        elif since is not None:
            yield Hole("silent", condition.id, since[0], kept.wall_ns, since[1])
    for name, (since_ns, message) in begun.items():
        yield Hole("silent", name, since_ns, UNKNOWN_NS, f"{message}, to this moment")


def _unrecorded(reader: Reader, asset: str, gaps: Iterable[Gap]) -> Iterator[Hole]:
    """Of an asset with raw history: from its last cycle before to its first after, where no gap record says why."""
    lost = [(g.from_boot, g.from_ns, g.to_boot, g.to_ns) for g in gaps if g.class_ == RAW and g.last]
    for before, block in pairwise(_blocks(reader, asset)):
        if block.boot == before.boot and block.t_ns - before.end_ns <= _late_ns(before):
            continue
        ends = (reader.clocks.boot(before.boot), before.end_ns), (reader.clocks.boot(block.boot), block.t_ns)
        if any(_touches(ends, gap) for gap in lost):
            continue
        start_ns, end_ns = (reader.wall_ns(*end)[0] for end in ends)
        yield Hole("unrecorded", asset, start_ns, end_ns, _ended(reader, before, block))


def _touches(ends: tuple[tuple[str, int], tuple[str, int]], gap: tuple[str, int, str, int]) -> bool:
    (boot, start_ns), (_, end_ns) = ends
    return gap[0] == boot == gap[2] and start_ns <= gap[3] and gap[1] <= end_ns


def _late_ns(block: _Block) -> int:
    """How much later the next block may begin: a cycle is a tick and a snapshot."""
    cycles = max(1, block.n // 2 - 1)
    return LATE_PERIODS * (block.end_ns - block.t_ns) // cycles + LATE_NS


def _blocks(reader: Reader, asset: str) -> Iterator[_Block]:
    reader.refresh()
    last = 0
    statement = f"SELECT id, boot, t_ns, end_ns, n FROM record WHERE class = ? AND asset = ? AND id > ? LIMIT {AT_ONCE}"
    while rows := [_Block(*row) for row in reader.all(statement, (RAW, asset, last))]:
        yield from rows
        last = rows[-1].id


def _ended(reader: Reader, before: _Block, block: _Block) -> str:
    """How the recording ended, by its last tick and snapshot."""
    last, first = _seqs(reader, before.id)[-1:], _seqs(reader, block.id)[:1]
    if not last or not first:
        return "nothing recorded"
    if last[0][1]:
        return "edgetwin was stopped"
    if before.boot == block.boot and last[0][0] >> 32 == first[0][0] >> 32:
        return f"{first[0][0] - last[0][0] - 1} cycles are missing in one run"
    again = "" if before.boot == block.boot else ", and the machine started anew"
    return f"edgetwin ended without its last cycle: killed, or the power was cut{again}"


def _seqs(reader: Reader, number: int) -> list[tuple[int, bool]]:
    """(seq, whether it is the last before a stop) of each tick of a block; none where it is damaged."""
    kept = reader.one("id = ?", (number,))
    if kept is None or kept.kind != record.BLOCK:
        return []
    found = []
    for kind, _, message in blocks.unpack(kept.body):
        if kind in ("tick", "snapshot"):
            noun = wire.decode(Tick if kind == "tick" else Snapshot, message)
            found.append((noun.seq, noun.last))  # type: ignore[attr-defined]
    return found
