"""The journal on a loop: never waits, never raises, loses nothing silently. Its file lies in tmp_path."""

import os
import random

import anyio
import pytest

from agent.core.nouns import Point, Role
from agent.runtime import clock, journal, journal_queue, journal_writer, meters
from agent.runtime.journal import Journal
from agent.store import record, space
from agent.store.read import Reader
from agent.store.record import CHECKPOINT, EVENT, RAW, SUMMARY, Entry
from agent.store.schema import StoreError, StoreFullError
from agent.store.write import Store

pytestmark = pytest.mark.anyio
CAP = 8 << 20


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@pytest.fixture
def counters():
    return meters.install(meters.Meters())


def entry(class_=EVENT, body=b"x", asset="tank", t_ns=None):
    kind = "tick" if class_ == RAW else class_
    return Entry(class_, asset, kind, clock.now_ns() if t_ns is None else t_ns, body)


class running:  # noqa: N801
    """A journal with its task; cancelled at the end."""

    def __init__(self, path, cap=CAP, flush_s=10.0):
        self.journal = Journal.open(path, cap, flush_s, "gw")

    async def __aenter__(self):
        self.group = anyio.create_task_group()
        await self.group.__aenter__()
        self.group.start_soon(self.journal.run)
        return self.journal

    async def __aexit__(self, *error):
        self.group.cancel_scope.cancel()
        return await self.group.__aexit__(*error)


async def take(cursor, n):
    taken = []
    with anyio.fail_after(10):
        while len(taken) < n:
            taken += await anext(cursor)
    return taken


async def test_a_cursor_is_woken_and_gives_events_before_summaries(path):
    async with running(path) as records:
        cursor = records.cursor("mqtt", (EVENT, SUMMARY))
        records.put(entry(SUMMARY, b"s1"))
        assert [r.body for r in await take(cursor, 1)] == [b"s1"]
        records.put(entry(SUMMARY, b"s2"))
        records.put(entry(EVENT, b"e1"))
        await records.flush()
        assert [r.body for r in await take(cursor, 2)] == [b"e1", b"s2"]


async def test_summaries_of_one_moment_share_a_commit_and_an_event_ends_the_moment(path, monkeypatch):
    monkeypatch.setattr(journal_writer, "MOMENT_S", 60.0)
    async with running(path) as records:
        await records.flush()
        commits, cursor = records._writer.counts.commits, records.cursor("mqtt", (EVENT, SUMMARY))
        for n in range(10):
            records.put(entry(SUMMARY, b"%d" % n))
            await anyio.sleep(0.01)
        assert records._writer.counts.commits == commits
        records.put(entry(EVENT, b"e"))
        assert len(await take(cursor, 11)) == 11
        assert records._writer.counts.commits == commits + 1


async def test_only_what_was_not_acknowledged_is_given_to_the_next_cursor(path):
    async with running(path) as records:
        cursor = records.cursor("mqtt", (EVENT,))
        for n in range(10):
            records.put(entry(body=b"%d" % n))
        got = await take(cursor, 10)
        cursor.acknowledge([r for r in got if r.seq % 2])
        again = await take(records.cursor("mqtt", (EVENT,)), 5)  # at once: nothing of it is written yet
        assert [r.seq for r in again] == [2, 4, 6, 8, 10]
        assert [r.seq for r in await take(records.cursor("other", (EVENT,)), 10)] == list(range(1, 11))
    async with running(path) as records:
        assert [r.seq for r in await take(records.cursor("mqtt", (EVENT,)), 5)] == [2, 4, 6, 8, 10]


async def test_what_is_stored_and_what_comes_are_read_side_by_side(path):
    async with running(path) as journal:
        for class_ in (SUMMARY, EVENT, SUMMARY, EVENT):
            journal.put(entry(class_))
        await journal.flush()
        journal.acknowledge("mqtt", (await take(journal.cursor("mqtt", (EVENT,)), 1))[:1])
        stored, new = journal.halves("mqtt", (EVENT, SUMMARY))
        for class_ in (SUMMARY, EVENT):
            journal.put(entry(class_, b"new"))
        await journal.flush()
        assert [(r.class_, r.seq) for r in await take(new, 2)] == [(EVENT, 3), (SUMMARY, 3)]
        old = await take(stored, 3)
        assert [(r.class_, r.seq) for r in old] == [(EVENT, 2), (SUMMARY, 1), (SUMMARY, 2)]
        with pytest.raises(StopAsyncIteration), anyio.fail_after(5):
            await anext(stored)
        assert not stored.done
        stored.acknowledge(old)
        assert stored.done
        assert not new.done


async def test_a_cursor_over_what_is_stored_ends_where_its_last_record_is_not_given(path):
    async with running(path) as journal:
        journal.put(entry(EVENT))
        await journal.flush()
        journal.acknowledge("mqtt", await take(journal.cursor("mqtt", (EVENT,)), 1))
        stored, _ = journal.halves("mqtt", (EVENT, SUMMARY))
        with pytest.raises(StopAsyncIteration), anyio.fail_after(5):
            await anext(stored)
        assert stored.done


async def test_what_was_put_is_written_when_the_task_is_cancelled(path):
    async with running(path, flush_s=1000) as records:
        for n in range(5):
            records.put(entry(RAW, b"tick%d" % n, t_ns=n))
    reader = Reader.open(path)
    assert [m.body for m in reader.messages("tank")] == [b"tick%d" % n for n in range(5)]
    reader.close()


async def test_raw_history_is_flushed_on_time_and_before_a_checkpoint(path):
    async with running(path, flush_s=0.3) as records:
        records.put(entry(RAW, b"a", t_ns=1))
        await anyio.sleep(0.6)
        assert await records.read(lambda r: [m.body for m in r.messages("tank")]) == [b"a"]
        records.put(entry(RAW, b"b", t_ns=2))
        records.put(entry(CHECKPOINT, b"c", t_ns=2))
        records.put(entry(RAW, b"d", t_ns=3))
        await records.flush()
        point = await records.read(lambda r: r.latest_checkpoint("tank"))
        assert await records.read(lambda r: [m.body for m in r.messages("tank", after=point.id)]) == [b"d"]


async def test_draining_ends_cursors_after_all_is_read_and_acknowledged(path):
    acknowledged = []

    async def sink(cursor):
        async for got in cursor:
            await anyio.sleep(0.01)
            cursor.acknowledge(got)
            acknowledged.extend(got)

    records = Journal.open(path, CAP, 10.0)
    async with anyio.create_task_group() as group:
        group.start_soon(records.run)
        group.start_soon(sink, records.cursor("mqtt", (EVENT, SUMMARY)))
        for _ in range(300):
            records.put(entry())
        assert await records.drain(5)
    assert [r.seq for r in acknowledged] == list(range(1, 301))
    reader = Reader.open(path)
    assert reader.acknowledged("mqtt", EVENT) == {1: [(1, 300)]}
    assert reader.pending("mqtt", EVENT) == 0
    reader.close()


async def test_draining_gives_up_when_a_destination_is_away(path):
    async with running(path) as records:
        cursor = records.cursor("mqtt", (EVENT,))
        records.put(entry())
        await take(cursor, 1)
        started = anyio.current_time()
        assert not await records.drain(0.3)
        assert anyio.current_time() - started < 2


async def test_an_overflow_is_counted_and_is_a_gap_and_raw_goes_first(path, counters, monkeypatch):
    monkeypatch.setattr(journal_queue, "MOST_ENTRIES", 40)
    records = Journal.open(path, CAP, 10.0)
    for n in range(50):
        records.put(entry(RAW, t_ns=n))
    for n in range(20):
        records.put(entry(EVENT, b"%d" % n))
    async with anyio.create_task_group() as group:
        group.start_soon(records.run)
        await records.flush()
        gaps = await records.read(lambda r: r.gaps())
        assert {(g.class_, g.count, g.reason) for g in gaps} == {(RAW, 20, "queue full"), (EVENT, 10, "queue full")}
        await anyio.sleep(0.6)
        assert counters.read("journal/dropped") == 30
        group.cancel_scope.cancel()


async def test_meters_and_turns(path, counters):
    async with running(path) as records:
        records.cursor("mqtt", (EVENT,))
        for _ in range(7):
            records.put(entry())
        await records.flush()
        await anyio.sleep(1.1)
        assert counters.read("journal/pending") == 7
        assert counters.read("journal/errors") == 0
        assert counters.read("journal/queue") == 0
        assert counters.read("journal/bytes") > 4096
        assert counters.stuck(clock.now_ns(), 1_000_000_000) == ()
        assert counters.stuck(clock.now_ns() + 2_000_000_000, 1_000_000_000) == ("journal",)
    assert counters.stuck(clock.now_ns() + 2_000_000_000, 1_000_000_000) == ()


async def test_a_disk_that_is_full_for_a_while_costs_nothing(path, counters, monkeypatch):
    full, commit = [True], Store.commit

    def refuses(self, work):
        if full[0] and work.entries:
            raise StoreFullError("database or disk is full")
        return commit(self, work)

    monkeypatch.setattr(Store, "commit", refuses)
    async with running(path) as records:
        cursor = records.cursor("mqtt", (EVENT,))
        for n in range(5):
            records.put(entry(body=b"%d" % n))
        await anyio.sleep(0.7)
        assert counters.read("journal/errors") >= 1
        full[0] = False
        assert [r.body for r in await take(cursor, 5)] == [b"%d" % n for n in range(5)]
        await anyio.sleep(0.6)
        assert counters.read("journal/dropped") == 0


async def test_memory_is_bounded_while_nothing_can_be_written(path, counters, monkeypatch):
    monkeypatch.setattr(journal_queue, "MOST_BYTES", 300_000)
    monkeypatch.setattr(journal_writer, "MOST_BYTES", 300_000)
    monkeypatch.setattr(space, "BATCH_BYTES", 20_000)
    full, commit = [True], Store.commit

    def refuses(self, work):
        if full[0]:
            raise StoreFullError("database or disk is full")
        return commit(self, work)

    monkeypatch.setattr(Store, "commit", refuses)
    async with running(path, flush_s=0.05) as records:
        put = 0
        for n in range(120):
            records.put(entry(RAW, random.Random(n).randbytes(10_000), t_ns=n))
            records.put(entry(EVENT, b"%d" % n)) if n % 10 == 0 else None
            put += 1
            await anyio.sleep(0.005)
        writer = records._writer
        assert writer._size() + writer._open.size + writer.queue._bytes < 1_000_000
        full[0] = False
        with anyio.fail_after(15):
            await records.flush()
        events = await records.read(lambda r: r.unacknowledged("x", EVENT).records)
        kept = await records.read(lambda r: sum(1 for _ in r.messages("tank")))
        gaps = await records.read(lambda r: r.gaps())
        assert [r.body for r in events] == [b"%d" % n for n in range(0, 120, 10)]
        assert kept + sum(g.count for g in gaps) == put
        assert {g.reason for g in gaps} == {"queue full"}


async def test_the_cap_is_forced_and_the_journal_goes_on(path, counters):
    async with running(path, cap=1 << 20, flush_s=0.05) as records:
        for n in range(100):
            records.put(entry(RAW, random.Random(n).randbytes(30_000), t_ns=n))
            records.put(entry(EVENT, b"%d" % n))
            await records.flush()
        await anyio.sleep(0.6)
        assert counters.read("journal/errors") == 0
        assert counters.read("journal/bytes") <= 1 << 20
        got = await take(records.cursor("mqtt", (EVENT,)), 100)
        assert [r.body for r in got] == [b"%d" % n for n in range(100)]
        kept = await records.read(lambda r: sum(1 for _ in r.messages("tank")))
        (gap,) = await records.read(lambda r: r.gaps())
        assert 0 < kept == 100 - gap.count


async def test_without_a_place_on_disk_the_daemon_runs_on_and_stores_once_there_is_one(tmp_path, counters):
    (tmp_path / "state").write_text("a file where the folder should be")
    async with running(tmp_path / "state" / "journal.db") as records:
        records.put(entry(body=b"kept"))
        with pytest.raises(StoreError):
            await records.read(lambda r: r.counts())
        await anyio.sleep(0.6)
        assert counters.read("journal/errors") >= 1
        (tmp_path / "state").unlink()
        assert [r.body for r in await take(records.cursor("mqtt", (EVENT,)), 1)] == [b"kept"]


async def test_a_database_damaged_while_open_is_replaced_and_the_cursor_goes_on(path, counters):
    async with running(path) as records:
        cursor = records.cursor("mqtt", (EVENT,))
        records.put(entry(body=b"one"))
        assert [r.seq for r in await take(cursor, 1)] == [1]
        records._writer.queue.suspected()
        records.put(entry(body=b"two"))
        (second,) = await take(cursor, 1)
        assert (second.epoch, second.seq, second.body) == (2, 1, b"two")
        await anyio.sleep(0.6)
        assert counters.read("journal/damaged") == 1
        assert [p.name for p in path.parent.glob("*.corrupt-1")] == ["journal.db.corrupt-1"]


async def test_a_step_of_the_wall_clock_is_a_new_row_and_reorders_nothing(path, monkeypatch):
    step = [0]
    real = clock.wall_ns
    monkeypatch.setattr(clock, "wall_ns", lambda: real() + step[0])
    async with running(path) as records:
        records.put(entry(body=b"before"))
        await anyio.sleep(0.1)
        stepped, step[0] = clock.wall_ns() - 86_000_000_000_000, -86_400_000_000_000
        with anyio.fail_after(10):
            while records._clock.wall_ns > stepped:
                await anyio.sleep(0.02)
        records.put(entry(body=b"after"))
        before, after = await take(records.cursor("mqtt", (EVENT,)), 2)
    assert (before.body, after.body) == (b"before", b"after")
    assert abs(after.wall_ns - before.wall_ns + 86_400_000_000_000) < 5_000_000_000


async def test_putting_never_waits_for_a_slow_disk(path, monkeypatch):
    import time

    commit = Store.commit
    monkeypatch.setattr(Store, "commit", lambda self, work: (time.sleep(0.3), commit(self, work))[1])
    async with running(path) as records:
        longest = 0.0
        for _ in range(60):
            started = time.perf_counter()
            records.put(entry())
            await anyio.sleep(0.005)
            longest = max(longest, time.perf_counter() - started)
        assert longest < 0.2


async def test_files_stay_closed_after_the_end(path):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        async with running(path) as records:
            records.put(entry())
            await take(records.cursor("mqtt", (EVENT,)), 1)
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_the_facade_names_what_its_users_need():
    assert {"Journal", "Cursor", "Record", "Entry"} <= set(journal.__all__)


async def test_a_disk_that_refuses_and_a_file_set_aside_are_told_by_meters(path, counters, monkeypatch):
    path.write_bytes(b"no database at all" * 1000)
    refused, commit = [False], Store.commit

    def refuses(self, work):
        if refused[0]:
            raise StoreError("disk I/O error")
        return commit(self, work)

    monkeypatch.setattr(Store, "commit", refuses)
    monkeypatch.setattr(journal, "TURN_S", 0.02)
    async with running(path) as records:
        for writing in (1, 0, 1):
            refused[0] = not writing
            records.put(entry())
            with anyio.fail_after(10):
                while counters.read("journal/writing") != writing:
                    await anyio.sleep(0.02)
        assert counters.read("journal/damaged") == 1


async def test_acknowledgements_of_summaries_count_at_once_and_are_written_with_the_next_commit(path, counters):
    async with running(path, flush_s=1000) as records:
        cursor = records.cursor("mqtt", (EVENT, SUMMARY))
        records.put(entry(SUMMARY))
        cursor.acknowledge(await take(cursor, 1))
        commits = records._writer.counts.commits
        with anyio.fail_after(10):
            while records.pending("mqtt") or not records._pending:
                await anyio.sleep(0.05)
        assert records._writer.counts.commits == commits
        records.put(entry(EVENT))
        await take(cursor, 1)
        assert await records.read(lambda r: r.acknowledged("mqtt", SUMMARY)) == {1: [(1, 1)]}


async def test_checkpoints_and_layouts_wait_for_the_next_flush_and_a_layout_is_kept_once(path):
    points = (Point("tank/x/a", Role.MEASURED),)
    async with running(path, flush_s=1000) as records:
        await records.flush()
        commits = records._writer.counts.commits
        for _ in range(2):
            records.put(record.layout("tank", clock.now_ns(), points))
            records.put(entry(CHECKPOINT, b"c"))
            records.put(entry(RAW))
        await anyio.sleep(0.2)
        assert records._writer.counts.commits == commits
        await records.flush()
        kept = await records.read(lambda r: r.layouts("tank"))
        assert [[point.id for point in order] for _, order in kept] == [["tank/x/a"]]
        assert len(await records.read(lambda r: list(r.messages("tank")))) == 2
