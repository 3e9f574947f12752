"""The journal's writer: one thread that owns the database.

    queue -> (raw: open blocks) -> work -> one synced commit

Events are committed as soon as they come, summaries with those that follow in the same moment (all assets close their
windows together: one commit instead of one each), raw history and checkpoints every `flush_s`, on multiples of it as
windows are, so that summaries take them along. Acknowledgements of events are written within a second, others with the
next commit: after a kill they may be sent twice. Each commit costs some 40 kB of flash beside what is in it.

What cannot be written is kept, within bounds, and tried again; beyond the bounds the lowest class is given up and
becomes a gap record as soon as something can be written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.runtime import clock
from agent.runtime.journal_queue import MOST_BYTES, Queue
from agent.store.blocks import Open
from agent.store.record import CHECKPOINT, EVENT, LAYOUT, RAW, SUMMARY, Entry
from agent.store.schema import StoreDamagedError, StoreError, StoreFullError
from agent.store.space import BATCH_BYTES
from agent.store.write import Store, Work

log = logging.getLogger(__name__)

# These wait for the next flush, or for something that does not.
LEISURELY = (RAW, CHECKPOINT, LAYOUT)

SECOND_NS = 1_000_000_000
MOMENT_S = 0.05
ACK_DELAY_NS = SECOND_NS
LONGEST_RETRY_NS = 10 * SECOND_NS

# Shares of the period of flushes: so much later than a multiple of it one is due that nothing took along; a summary
# takes it along where it is so near.
LATER, NEAR = 32, 12


@dataclass(slots=True)
class Counts:
    """What the writer has seen; written by its thread, read by the loop."""

    errors: int = 0
    damaged: int = 0
    dropped: int = 0
    commits: int = 0
    bytes: int = 0


class Writer:
    """What is mutable here is touched by the writer's thread alone, but for `queue`."""

    def __init__(self, path: Path, cap_bytes: int, flush_s: float, gateway: str, told: Callable[[], None]) -> None:
        """Open the store, if it can be; `told()` is called from the thread after each commit."""
        self.queue = Queue()
        self.counts = Counts()
        self.generation = 0  # of the store: a reader of another generation must open it anew
        self.newest: dict[str, tuple[int, int]] = {}  # place of the last record of each class, as far as committed
        self._path, self._cap_bytes, self._gateway, self._told = path, cap_bytes, gateway, told
        self._boot = clock.boot_id()
        self._flush_ns = int(flush_s * SECOND_NS)
        self._store: Store | None = None
        self._work = Work()
        self._open = Open(min(BATCH_BYTES, cap_bytes // 16))
        self._flush_due_ns = self._ack_due_ns = self._retry_ns = self._retry_wait_ns = 0
        self._error = ""
        self._ready()

    def run(self) -> None:
        """Write until stopped. Errors of the disk are counted and tried again; nothing else is expected."""
        self._plan_flush(clock.now_ns())
        while not self._turn():
            pass
        self._close()

    def _turn(self) -> bool:
        with self.queue.changed:
            self.queue.changed.wait_for(self._awaited, timeout=self._wait_s())
            if self.queue.soon:
                self.queue.changed.wait_for(self._at_once, timeout=MOMENT_S)
            stopping, urgent = self.queue.stopping, self.queue.urgent or self.queue.soon
            self.queue.urgent = self.queue.soon = False
        flushes = self.queue.take_flushes()
        self._take_in()
        if self._commit_if_due(urgent, all_now=stopping or bool(flushes)):
            for done in flushes:
                done()
        else:
            for done in flushes:
                self.queue.flush(done)
        return stopping

    def _awaited(self) -> bool:
        if self._retry_ns > clock.now_ns():
            return self.queue.stopping
        return self._at_once() or self.queue.soon or (self.queue.has_acks and not self._work.acks)

    def _at_once(self) -> bool:
        return self.queue.urgent or self.queue.stopping

    def _wait_s(self) -> float:
        due = [self._flush_due_ns]
        due += [self._ack_due_ns] if self._urgent_acks else []
        due += [0] if self._important else []
        return min(1.0, max(0.0, (max(min(due), self._retry_ns) - clock.now_ns()) / SECOND_NS))

    @property
    def _important(self) -> bool:
        """Whether the work holds something that should not wait for the next flush."""
        kept = any(e.class_ not in LEISURELY for e in self._work.entries)
        return kept or bool(self._work.lost or self._work.damaged)

    @property
    def _urgent_acks(self) -> bool:
        """Whether something that would be told twice after a kill should not wait for the next flush."""
        return any(ack.class_ == EVENT for ack in self._work.acks)

    def _take_in(self) -> None:
        room = self._size() + self._open.size <= MOST_BYTES
        had_acks = self._urgent_acks
        for entry in self.queue.take(self._work, room):
            block: Entry | None = None
            if entry.class_ == RAW:
                block = self._open.add(entry)
            elif entry.class_ in (CHECKPOINT, LAYOUT):
                # It stands after all ticks before it: the block they are in is closed first.
                block = self._open.take(entry.asset)
            self._work.entries += [] if block is None else [block]
            self._work.entries += [] if entry.class_ == RAW else [entry]
        if self._urgent_acks and not had_acks:
            self._ack_due_ns = clock.now_ns() + ACK_DELAY_NS

    def _size(self) -> int:
        return sum(len(e.body) for e in self._work.entries)

    def _commit_if_due(self, urgent: bool, all_now: bool) -> bool:
        """Whether nothing was left unwritten."""
        now_ns = clock.now_ns()
        near = self._flush_due_ns - now_ns <= self._flush_ns // NEAR
        along = near and any(e.class_ == SUMMARY for e in self._work.entries)
        if now_ns >= self._flush_due_ns or all_now or along:
            self._work.entries += self._open.take_all()
            self._plan_flush(now_ns)
            all_now = True
        acks_due = self._urgent_acks and now_ns >= self._ack_due_ns
        if not (urgent or acks_due or all_now or self._important):
            return False
        if now_ns < self._retry_ns and not self.queue.stopping:
            self._shed()
            return False
        return self._commit()

    def _plan_flush(self, now_ns: int) -> None:
        """At a multiple of the period, where windows close, at least most of a period away."""
        period_ns = self._flush_ns
        self._flush_due_ns = ((now_ns + period_ns // NEAR) // period_ns + 1) * period_ns + period_ns // LATER

    def _commit(self) -> bool:
        store = self._ready()
        if store is None:
            return False
        try:
            for class_, dests in self.queue.wanted.items():
                store.want(class_, dests)
            while self._work:
                part, rest = self._work.split(self._open.limit)
                self.counts.dropped += sum(lost.count for lost in store.commit(part))
                self.counts.commits += 1
                self._work = rest
                self.queue.written()
            self.newest, self.counts.bytes = store.newest(), store.size()
        except StoreError as error:
            self._failed(error)
            return False
        if self._error:
            log.warning("journal: %s: writing again", self._path)
        self._error, self._retry_ns, self._retry_wait_ns = "", 0, 0
        self._told()
        return True

    def _ready(self) -> Store | None:
        """The store, opened anew where an error has closed it; None where it cannot be opened now."""
        damaged, self.queue.suspect = self.queue.suspect, False
        if damaged:
            self._close()
        if self._store is not None:
            return self._store
        try:
            self._store, aside = Store.open(self._path, self._cap_bytes, self._boot, self._gateway, damaged)
        except OSError as error:
            self.queue.suspect = damaged
            self._failed(error)
            return None
        self.generation, self.newest = self.generation + 1, self._store.newest()
        self._open.limit = self._store.batch_bytes
        if aside is not None:
            self.counts.damaged += 1
            log.error("journal: %s is damaged; it is kept as %s, and a new one is begun", self._path, aside.name)
        return self._store

    def _failed(self, error: OSError) -> None:
        self.counts.errors += 1
        if str(error) != self._error:
            log.error("journal: %s: %s; kept in memory and tried again", self._path, error)
        self._error = str(error)
        if isinstance(error, StoreDamagedError):
            self.queue.suspect = True
        if not isinstance(error, StoreFullError):
            self._close()  # after a failed sync only a new connection knows what is on the disk
        self._retry_wait_ns = min(LONGEST_RETRY_NS, max(SECOND_NS // 2, 2 * self._retry_wait_ns))
        self._retry_ns = clock.now_ns() + self._retry_wait_ns
        self._shed()

    def _shed(self) -> None:
        """Give up the lowest class of what cannot be written, the oldest first, until it fits the bounds."""
        size = self._size()
        for class_ in (RAW, CHECKPOINT, SUMMARY):
            kept: list[Entry] = []
            for entry in self._work.entries:
                if entry.class_ != class_ or size <= MOST_BYTES:
                    kept.append(entry)
                    continue
                size -= len(entry.body)
                if class_ != CHECKPOINT:  # the next one says all that it said
                    self.queue.lose(entry)
            self._work.entries = kept

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
