"""What the store keeps: an Entry before it is kept, a Record after, a Gap where something is missing.

Classes, the least important first: raw (ticks and snapshots, in blocks), summary, event (alarms, commands, audit).
Checkpoints and layouts (which point stands where in a snapshot) are classes beside them: state, not history.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from agent.core import wire
from agent.core.nouns import Event, Point, Snapshot, Summary, Tick

RAW, SUMMARY, EVENT, CHECKPOINT, LAYOUT = "raw", "summary", "event", "checkpoint", "layout"
CLASSES = (RAW, SUMMARY, EVENT)  # in the order in which they are given up

# How a record tells that its body holds many: see blocks.py.
BLOCK = "block"

# A record of the event class that is no Event: a ClockRow, of the asset of our own meters.
CLOCK, GATEWAY = "clock", "gateway"
SYNCHRONISED = "synchronised"

# Of a compressed body: no core.wire message begins so, its header would be 4 GiB.
PACKED = b"\xff\xff\xff\xff"
SMALLEST, LEVEL = 256, 6

# Why a Gap is there.
CAP, CAP_UNSENT = "cap", "cap, not acknowledged"
OVERFLOW, TOO_LARGE = "queue full", "larger than the store"
DAMAGED, GONE = "damaged", "file gone"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to be kept. `body` is a core.wire message; times are of the boot clock.

    `subjects`: what this is the newest state of (a condition's id, `case`); the newest of each stays findable.
    `n` and `end_ns` are of a block: how many it holds, and the time of its last.
    """

    class_: str
    asset: str
    kind: str
    t_ns: int
    body: bytes
    subjects: tuple[str, ...] = ()
    n: int = 1
    end_ns: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """Something kept. (class, epoch, seq) names it for ever; `id` orders all classes as they were written.

    `wall_ns` is UTC of `t_ns` as far as we know now, `clock` how good that is (synchronised, unsynchronised,
    unknown). Of another time t of the same record: t - t_ns + wall_ns.
    """

    id: int
    class_: str
    epoch: int
    seq: int
    boot: str
    t_ns: int
    wall_ns: int
    clock: str
    asset: str
    kind: str
    body: bytes
    n: int = 1
    end_ns: int = 0


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that are missing: sequences first to last of a class, `count` entries, why, and of which time.

    A block counts its ticks and snapshots. `count` 0: nobody knows how many (a damaged file). Times are
    (boot id, boot clock ns).
    """

    class_: str
    epoch: int
    first: int
    last: int
    count: int
    reason: str
    from_boot: str
    from_ns: int
    to_boot: str
    to_ns: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Entries that never reached the store."""

    class_: str
    count: int
    reason: str
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class Ack:
    """Sequences first to last of a class that a destination has acknowledged."""

    dest: str
    class_: str
    epoch: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ClockRow:
    """What the wall clock said at one time of the boot clock; quality: synchronised or unsynchronised."""

    mono_ns: int
    wall_ns: int
    quality: str


def clock(row: ClockRow) -> Entry:
    """That the clock has come right: by this a receiver places all records of this boot, see `clocks`."""
    return Entry(EVENT, GATEWAY, CLOCK, row.mono_ns, wire.encode(row))


def tick(noun: Tick) -> Entry:
    """What one cycle was given."""
    return Entry(RAW, noun.asset, "tick", noun.now_ns, wire.encode(noun))


def snapshot(noun: Snapshot) -> Entry:
    """What one cycle gave."""
    return Entry(RAW, noun.asset, "snapshot", noun.t_ns, wire.encode(noun))


def summary(noun: Summary) -> Entry:
    """A closed window."""
    return Entry(SUMMARY, noun.asset, "summary", noun.end_ns, wire.encode(noun))


def event(noun: Event) -> Entry:
    """A change of a condition, a case or a mode."""
    subjects = (() if noun.condition is None else (noun.condition.id,)) + (() if noun.case is None else ("case",))
    return Entry(EVENT, noun.asset, "event", noun.t_ns, wire.encode(noun), subjects)


def audit(noun: Event) -> Entry:
    """Something a person did or asked for; kept longest."""
    return Entry(EVENT, noun.asset, "audit", noun.t_ns, wire.encode(noun))


def checkpoint(asset: str, t_ns: int, body: bytes) -> Entry:
    """The state of an asset after all its ticks so far."""
    return Entry(CHECKPOINT, asset, "checkpoint", t_ns, body)


@dataclass(frozen=True, slots=True)
class Layout:
    """The points of an asset in the order of its snapshots from here on."""

    points: tuple[Point, ...]


def layout(asset: str, t_ns: int, points: tuple[Point, ...]) -> Entry:
    """Which point stands where in the snapshots to come; kept once for as long as it does not change."""
    return Entry(LAYOUT, asset, "layout", t_ns, wire.encode(Layout(points)))


def stored(body: bytes) -> bytes:
    """A body as it lies in the database: compressed where that pays (blocks are so already)."""
    small = PACKED + zlib.compress(body, LEVEL) if len(body) >= SMALLEST or body.startswith(PACKED) else body
    return small if len(small) < len(body) or body.startswith(PACKED) else body


def unstored(body: bytes) -> bytes:
    """The body again."""
    return zlib.decompress(body[len(PACKED) :]) if body.startswith(PACKED) else body


def checksum(key: tuple[str | int, ...], body: bytes) -> int:
    """crc32 over a record's columns and its body."""
    return zlib.crc32(body, zlib.crc32(repr(key).encode()))
