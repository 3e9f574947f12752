"""What waits for the journal's writer: any thread puts, one takes. Bounded; nothing here touches the disk."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from agent.store import intervals
from agent.store.intervals import Ranges
from agent.store.record import CHECKPOINT, EVENT, LAYOUT, OVERFLOW, RAW, Ack, ClockRow, Entry, Lost, Record
from agent.store.write import Work

MOST_ENTRIES = 20_000
MOST_BYTES = 32 << 20

# So many bytes of raw history wake the writer before its time.
WAKE_BYTES = 1 << 20

# The rest of the queue is kept for what is not raw.
RAW_SHARE = 0.75


class Queue:
    """All of its state is guarded by `changed`, which is never held while something waits for the disk."""

    def __init__(self) -> None:
        """Nothing waits."""
        self.changed = threading.Condition(threading.RLock())
        self.stopping = self.suspect = False
        self.urgent = self.soon = False  # something should be written at once; with what comes in the next moment
        self.dropped = self.acknowledged = 0
        self.wanted: dict[str, tuple[str, ...]] = {}
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._incoming = Work()
        self._acks_taken: list[Ack] = []
        self._flushes: list[Callable[[], None]] = []

    def __len__(self) -> int:
        """Entries that wait."""
        return len(self._entries)

    def put(self, entry: Entry) -> None:
        """Take an entry; one too many is counted and becomes a gap."""
        share = RAW_SHARE if entry.class_ == RAW else 1.0
        with self.changed:
            if len(self._entries) >= MOST_ENTRIES * share or self._bytes >= MOST_BYTES * share:
                self.lose(entry)
                return
            self._entries.append(entry)
            self._bytes += len(entry.body)
            if entry.class_ == EVENT:
                self._wake()
            elif not self.soon and (entry.class_ not in (RAW, CHECKPOINT, LAYOUT) or self._bytes >= WAKE_BYTES):
                self.soon = True
                self.changed.notify()

    def lose(self, entry: Entry) -> None:
        """Count an entry that will not be kept."""
        lost = Lost(entry.class_, entry.n, OVERFLOW, entry.t_ns, max(entry.t_ns, entry.end_ns))
        with self.changed:
            self.dropped += entry.n
            self._incoming.lost = merged([*self._incoming.lost, lost])

    def acknowledge(self, acks: list[Ack]) -> None:
        """Note what a destination has acknowledged."""
        with self.changed:
            if not self._incoming.acks:
                self.changed.notify()
            self._incoming.acks = joined([*self._incoming.acks, *acks])
            self.acknowledged += 1

    def held(self, dest: str, class_: str) -> dict[int, Ranges]:
        """Ranges of each epoch that are acknowledged but not written yet."""
        with self.changed:
            acks = joined(
                [a for a in (*self._incoming.acks, *self._acks_taken) if (a.dest, a.class_) == (dest, class_)]
            )
        ranges: dict[int, Ranges] = {}
        for ack in acks:
            ranges.setdefault(ack.epoch, []).append((ack.first, ack.last))
        return ranges

    def clock(self, row: ClockRow) -> None:
        """Note what the wall clock says; written with the next commit."""
        with self.changed:
            self._incoming.clock.append(row)

    def damaged(self, records: list[int]) -> None:
        """Note records that are not what was written."""
        with self.changed:
            self._incoming.damaged.extend(records)
            self._wake()

    def suspected(self) -> None:
        """Note that a reader found the database itself damaged."""
        with self.changed:
            self.suspect = True
            self._wake()

    def want(self, class_: str, dests: tuple[str, ...]) -> None:
        """Note who reads a class (for retention)."""
        with self.changed:
            self.wanted = {**self.wanted, class_: dests}

    def flush(self, done: Callable[[], None]) -> None:
        """Ask for a commit of all that was put before, raw too; `done()` is called by the writer after it."""
        with self.changed:
            self._flushes.append(done)
            self._wake()

    def stop(self) -> None:
        """Ask the writer to commit what there is, once, and to end."""
        with self.changed:
            self.stopping = True
            self._wake()

    def take(self, work: Work, room: bool) -> list[Entry]:
        """Put into `work` what waits beside the entries; gives the entries, none where there is no `room` for them."""
        with self.changed:
            incoming, self._incoming = self._incoming, Work()
            work.acks = self._acks_taken = joined([*work.acks, *incoming.acks])
            work.lost = merged([*work.lost, *incoming.lost])
            work.clock += incoming.clock
            work.damaged += incoming.damaged
            taken = list(self._entries) if room else []
            if room:
                self._entries.clear()
                self._bytes = 0
        return taken

    def take_flushes(self) -> list[Callable[[], None]]:
        """Who asked for a flush; before `take`, so that all they had put is taken after it."""
        with self.changed:
            flushes, self._flushes = self._flushes, []
        return flushes

    def written(self) -> None:
        """The work taken is on the disk."""
        with self.changed:
            self._acks_taken = []

    @property
    def has_acks(self) -> bool:
        """Whether acknowledgements wait to be taken."""
        return bool(self._incoming.acks)

    def _wake(self) -> None:
        self.urgent = True
        self.changed.notify()


def joined(acks: list[Ack]) -> list[Ack]:
    """The same acknowledgements in the fewest ranges."""
    keys = dict.fromkeys((a.dest, a.class_, a.epoch) for a in acks)
    return [
        Ack(*key, first, last)
        for key in keys
        for first, last in intervals.union((a.first, a.last) for a in acks if (a.dest, a.class_, a.epoch) == key)
    ]


def merged(losses: list[Lost]) -> list[Lost]:
    """One Lost a class and reason: a disk that stays away for days must not fill the memory with them."""
    known: dict[tuple[str, str], Lost] = {}
    for lost in losses:
        before = known.get((lost.class_, lost.reason), replace(lost, count=0))
        known[lost.class_, lost.reason] = replace(before, count=before.count + lost.count, to_ns=lost.to_ns)
    return list(known.values())


def acks_of(dest: str, records: list[Record]) -> list[Ack]:
    """The ranges of records that a destination has acknowledged."""
    return joined([Ack(dest, r.class_, r.epoch, r.seq, r.seq) for r in records])
