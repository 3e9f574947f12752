"""The journal: store before send (decision 7). The asynchronous face of `agent.store`.

`put` never waits and never fails: errors of the disk are counted, tried again, and end as gap records. Every reader
goes by a cursor from the first record that its destination has not acknowledged.

Meters: journal/errors, /writing (1, or 0 while the disk refuses), /dropped, /damaged, /commits, /bytes (on disk),
/queue, /pending (largest of all destinations).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import anyio
from anyio import to_thread

from agent.runtime import clock, meters, timesync
from agent.runtime.journal_queue import acks_of
from agent.runtime.journal_writer import Writer
from agent.store.intervals import Ranges
from agent.store.read import Found, Place, Reader
from agent.store.record import RAW, ClockRow, Entry, Record
from agent.store.schema import StoreDamagedError, StoreError

__all__ = ["Cursor", "Entry", "Journal", "Record", "StoreError"]

log = logging.getLogger(__name__)
T = TypeVar("T")

TURN_S = 0.5
CLOCK_EVERY_NS = 600_000_000_000
CLOCK_STEP_NS = 500_000_000
END_S = 5.0
READ_AGAIN_S = 1.0

# Few: what is more important and comes meanwhile has to wait for them.
RECORDS_AT_ONCE, BLOCKS_AT_ONCE = 32, 4


class Journal:
    """The part on the event loop. The database belongs to the writer's thread, and to one short read at a time."""

    def __init__(self, path: Path, cap_bytes: int, flush_s: float, gateway: str = "") -> None:
        """Use `open`."""
        self._path = path
        self._writer = Writer(path, cap_bytes, flush_s, gateway, self._told)
        self._reader: Reader | None = None
        self._generation = 0
        self._reading = anyio.Lock()
        self._cursors: dict[str, tuple[Cursor, ...]] = {}
        self._pending: dict[str, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: anyio.Event | None = None
        self._clock: ClockRow | None = None
        self.news = anyio.Event()
        self.draining = False
        self._look_at_clock()

    @classmethod
    def open(cls, path: Path, cap_bytes: int, flush_s: float, gateway: str = "") -> Self:
        """The journal at `path`, with at most `cap_bytes` on disk. Never raises: without a disk it tries again."""
        return cls(path, cap_bytes, flush_s, gateway)

    @property
    def path(self) -> Path:
        """Where the store is; what is small and of one sink may lie beside it."""
        return self._path

    def put(self, entry: Entry) -> None:
        """Keep an entry. Never waits."""
        self._writer.queue.put(entry)

    def cursor(self, name: str, classes: Sequence[str]) -> Cursor:
        """Records of `classes` from the first that destination `name` has not acknowledged; ends its last cursor.

        The classes are read in that order: what waits of the first comes before what waits of the second.
        """
        cursor = Cursor(self, name, tuple(classes))
        self._give(name, cursor)
        return cursor

    def halves(self, name: str, classes: Sequence[str]) -> tuple[Cursor, Cursor]:
        """The same in two cursors side by side: what is stored now (it ends by itself), and what comes from now on."""
        newest = dict(self._writer.newest)
        stored, new = Cursor(self, name, tuple(classes), until=newest), Cursor(self, name, tuple(classes), after=newest)
        self._give(name, stored, new)
        return stored, new

    def _give(self, name: str, *cursors: Cursor) -> None:
        self._cursors[name] = cursors
        for class_ in cursors[0].classes:
            wanted = tuple(n for n, (first, *_) in self._cursors.items() if class_ in first.classes)
            self._writer.queue.want(class_, wanted)

    def acknowledge(self, name: str, records: Sequence[Record]) -> None:
        """Say that destination `name` has these for good. Kept in memory until it is written: of events within a
        second, of others with the next commit."""
        self._writer.queue.acknowledge(acks_of(name, list(records)))

    def pending(self, name: str) -> int:
        """How many records `name` had not acknowledged when last looked at (within a second of a change)."""
        return self._pending.get(name, 0)

    async def run(self) -> None:
        """Write until cancelled or drained. What waits is written before it ends."""
        self._loop, self._ended = asyncio.get_running_loop(), anyio.Event()
        self._writer.queue.stopping = False  # a run before this one may have ended
        try:
            async with anyio.create_task_group() as group:
                # The thread is told to end and given the time for a last commit; only a disk that hangs is left behind.
                with anyio.CancelScope(shield=True) as writing:
                    group.start_soon(self._turn, writing)
                    group.start_soon(self._count_pending)
                    await to_thread.run_sync(self._writer.run, abandon_on_cancel=True)
                group.cancel_scope.cancel()
        finally:
            meters.current().gone("journal")
            with anyio.CancelScope(shield=True):
                async with self._reading:
                    self._close_reader()
            self._ended.set()

    async def flush(self) -> None:
        """Wait until everything that was put before is on the disk, raw history too."""
        stored = anyio.Event()
        loop = asyncio.get_running_loop()
        self._writer.queue.flush(lambda: _soon(loop, stored.set))
        await stored.wait()

    async def drain(self, timeout: float) -> bool:
        """Write all, let the cursors read and acknowledge it, and end `run`; False if that took over `timeout` s."""
        with anyio.move_on_after(timeout) as scope:
            await self.flush()
            self.draining = True
            self.wake()
            while any(not cursor.done for cursors in self._cursors.values() for cursor in cursors):
                await self.news.wait()
        self.draining = True
        self.wake()
        self._writer.queue.stop()
        with anyio.move_on_after(END_S):
            if self._ended is not None:
                await self._ended.wait()
        return not scope.cancelled_caught

    async def read(self, ask: Callable[[Reader], T]) -> T:
        """What `ask` gets from the store, in a thread: keep it short. StoreError (an OSError): it cannot be read."""
        async with self._reading:
            return await to_thread.run_sync(self._ask, ask)

    async def next_records(self, name: str, class_: str, after: Place) -> tuple[list[Record], Place]:
        """Records of a class after a place that `name` has not acknowledged, and the place to go on from."""
        if self._writer.newest.get(class_) == after:
            return [], after  # nothing came since: no read, no thread
        most = BLOCKS_AT_ONCE if class_ == RAW else RECORDS_AT_ONCE
        while True:
            held = self._writer.queue.held(name, class_)
            found = await self.read(partial(_unacknowledged, name, class_, after, held, most))
            if found.damaged:
                self._writer.queue.damaged(found.damaged)
            if found.records or found.after == after:
                return found.records, found.after
            after = found.after

    def wake(self) -> None:
        """Let the cursors and `drain` look again."""
        news, self.news = self.news, anyio.Event()
        news.set()

    def _ask(self, ask: Callable[[Reader], T]) -> T:
        if self._reader is not None and self._generation != self._writer.generation:
            self._close_reader()
        try:
            if self._reader is None:
                self._generation = self._writer.generation
                self._reader = Reader.open(self._path)
            return ask(self._reader)
        except StoreError as error:
            self._close_reader()
            if isinstance(error, StoreDamagedError):
                self._writer.queue.suspected()
            raise

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    async def _turn(self, writing: anyio.CancelScope) -> None:
        try:
            while True:
                self._show()
                await anyio.sleep(TURN_S)
        finally:
            self._writer.queue.stop()
            writing.deadline = anyio.current_time() + END_S

    def _show(self) -> None:
        counters, counts = meters.current(), self._writer.counts
        counters.turn("journal")
        self._look_at_clock()
        for name, value in asdict(counts).items():
            counters.set(f"journal/{name}", value)
        counters.set("journal/dropped", counts.dropped + self._writer.queue.dropped)
        counters.set("journal/queue", len(self._writer.queue))
        counters.set("journal/pending", max(self._pending.values(), default=0))

    async def _count_pending(self) -> None:
        """Apart from the turns: a slow disk may hold this up, and nothing else."""
        looked_at = (-1, -1)
        while True:
            now = self._writer.counts.commits, self._writer.queue.acknowledged
            for name, (first, *_) in list(self._cursors.items()) if now != looked_at else ():
                held = {class_: self._writer.queue.held(name, class_) for class_ in first.classes}
                try:
                    self._pending[name] = await self.read(partial(_pending, name, held))
                except StoreError as error:
                    log.debug("journal: cannot count what waits: %s", error)
            looked_at = now
            await anyio.sleep(TURN_S)

    def _look_at_clock(self) -> None:
        """Note the wall clock: at start, each ten minutes, when it steps against ours, gets or loses its master."""
        row, last = ClockRow(clock.now_ns(), clock.wall_ns(), timesync.quality()), self._clock
        if (
            last is None
            or row.mono_ns - last.mono_ns >= CLOCK_EVERY_NS
            or abs((row.wall_ns - row.mono_ns) - (last.wall_ns - last.mono_ns)) > CLOCK_STEP_NS
            or row.quality != last.quality
        ):
            self._clock = row
            self._writer.queue.clock(row)

    def _told(self) -> None:
        if self._loop is not None:
            _soon(self._loop, self.wake)


class Cursor:
    """Gives a destination lists of Records, of one class each, in order; waits for more; ends when the journal drains.

    Not acknowledged are given again by the next cursor of that name, never by this one.
    """

    def __init__(
        self,
        journal: Journal,
        name: str,
        classes: tuple[str, ...],
        after: Mapping[str, Place] | None = None,
        until: Mapping[str, Place] | None = None,
    ) -> None:
        """Use `Journal.cursor` or `Journal.halves`."""
        self.name, self.classes = name, classes
        self.done = False
        self._journal = journal
        self._after: dict[str, Place] = {class_: (after or {}).get(class_, (0, 0)) for class_ in classes}
        self._until = until
        self._out = 0
        self._ended = False

    @property
    def pending(self) -> int:
        """How many records this destination has not acknowledged."""
        return self._journal.pending(self.name)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Record]:
        """The next records; StopAsyncIteration when nothing is left and the journal drains, or no more can come."""
        while True:
            news, draining = self._journal.news, self._journal.draining
            records = await self._next()
            if records:
                self._out += len(records)
                return records
            if draining or not any(map(self._left, self.classes)):
                self._ended = True
                self._see_whether_done()
                raise StopAsyncIteration
            await news.wait()

    def acknowledge(self, records: Sequence[Record]) -> None:
        """Say that the destination has these for good."""
        self._journal.acknowledge(self.name, records)
        self._out -= len(records)
        self._see_whether_done()

    async def _next(self) -> list[Record]:
        for class_ in filter(self._left, self.classes):
            try:
                records, self._after[class_] = await self._journal.next_records(self.name, class_, self._after[class_])
            except StoreError as error:
                log.warning("journal: %s cannot read: %s", self.name, error)
                await anyio.sleep(READ_AGAIN_S)
                continue
            if self._until is not None:
                last = self._until[class_]
                self._after[class_] = self._after[class_] if records else last
                records = [r for r in records if (r.epoch, r.seq) <= last]
            if records:
                return records
        return []

    def _left(self, class_: str) -> bool:
        """Whether this cursor still has to look for records of a class."""
        return self._until is None or self._after[class_] < self._until.get(class_, (0, 0))

    def _see_whether_done(self) -> None:
        if self._ended and self._out <= 0 and not self.done:
            self.done = True
            self._journal.wake()


def _unacknowledged(name: str, class_: str, after: Place, held: dict[int, Ranges], most: int, reader: Reader) -> Found:
    return reader.unacknowledged(name, class_, after, held, most)


def _pending(name: str, held: dict[str, dict[int, Ranges]], reader: Reader) -> int:
    return sum(reader.pending(name, class_, known) for class_, known in held.items())


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Call on the loop from another thread; a loop that has closed needs no more calls."""
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        log.debug("journal: the loop has closed")
