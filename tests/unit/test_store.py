"""The store by itself: what goes in comes out, in sequence, under its cap, and past damage. Files in tmp_path only."""

import random
import sqlite3
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from agent.core import wire
from agent.core.nouns import Batch, Condition, Event, Tick
from agent.store import blocks, clocks, intervals, record
from agent.store.read import Reader
from agent.store.record import CHECKPOINT, EVENT, RAW, SUMMARY, Ack, ClockRow, Entry, Lost
from agent.store.schema import StoreError, StoreFullError
from agent.store.write import Store, Work

BOOT = "boot-1"
CAP = 8 << 20


def opened(path, cap=CAP, boot=BOOT, **over):
    return Store.open(path, cap, boot, "gw", **over)[0]


@pytest.fixture
def path():
    """In memory where there is such a folder: what is tested here is not the speed of a sync."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder) / "journal.db"


@pytest.fixture
def store(path):
    store = opened(path)
    yield store
    store.close()


@pytest.fixture
def reader(store, path):
    reader = Reader.open(path)
    yield reader
    reader.close()


def entry(class_=SUMMARY, body=b"x", t_ns=1, asset="tank", kind=None, **over):
    return Entry(class_, asset, kind or class_, t_ns, body, **over)


def noise(n, seed=0):
    return random.Random(seed).randbytes(n)


def put(store, *entries, **over):
    return store.commit(Work(entries=list(entries), **over))


def all_of(reader, class_, dest="nobody"):
    records, after = [], (0, 0)
    while True:
        found = reader.unacknowledged(dest, class_, after)
        if not found.records and found.after == after:
            return records
        records, after = records + found.records, found.after


def tick(seq, t_ns):
    n = 3
    batch = Batch("plc", np.arange(n, dtype=np.int32), np.array([1.5, np.nan, -0.0]), np.zeros(n, np.uint32),
                  np.full(n, t_ns), np.zeros(n, np.int64), ((1, "text"),))  # fmt: skip
    return Tick("tank", 1, seq, t_ns, (batch,))


def test_sequences_grow_by_one_in_each_class_and_survive_reopening(path):
    for n in range(3):
        store = opened(path)
        put(store, entry(SUMMARY, b"s%d" % n), entry(EVENT, b"e%d" % n), entry(SUMMARY, b"t%d" % n))
        store.close()
    reader = Reader.open(path)
    summaries, events = all_of(reader, SUMMARY), all_of(reader, EVENT)
    assert [r.seq for r in summaries] == [1, 2, 3, 4, 5, 6]
    assert [r.body for r in summaries] == [b"s0", b"t0", b"s1", b"t1", b"s2", b"t2"]
    assert [(r.epoch, r.seq, r.body) for r in events] == [(1, 1, b"e0"), (1, 2, b"e1"), (1, 3, b"e2")]
    assert reader.counts() == {"summary": 6, "event": 3}
    reader.close()


def test_a_block_gives_back_each_message_bit_by_bit():
    ticks = [tick(n, 1000 * n) for n in range(50)]
    block = blocks.pack([record.tick(t) for t in ticks])
    assert (block.n, block.t_ns, block.end_ns) == (50, 0, 49_000)
    assert [(k, t, b) for k, t, b in blocks.unpack(block.body)] == [("tick", t.now_ns, wire.encode(t)) for t in ticks]
    back = wire.decode(Tick, blocks.unpack(block.body)[7][2])
    assert back.batches[0].value.tobytes() == ticks[7].batches[0].value.tobytes()


def test_a_block_of_messages_larger_than_the_compressors_window_is_kept_as_differences():
    random = np.random.default_rng(4)
    noise = [random.bytes(40_000) for _ in range(2)]
    entries = [
        entry(RAW, noise[n % 2] + bytes([n] * (1 if n == 5 else 8)), kind=("tick", "snapshot")[n % 2], t_ns=n)
        for n in range(12)
    ]
    body = blocks.pack(entries).body
    assert blocks.unpack(body) == [(e.kind, e.t_ns, e.body) for e in entries]
    assert len(body) < 3.2 * 40_000  # both messages once, and the one of another length
    assert len(zlib.compress(b"".join(e.body for e in entries), 6)) > 11 * 40_000


@pytest.mark.parametrize(
    "body", [b"", b"\x03block", b"\x02abc", b"\x02\x03\0\0\0abcd", b"\x01junk", b"\x01" + b"\0" * 40]
)
def test_bytes_that_are_not_a_block_are_refused(body):
    with pytest.raises(ValueError, match="block"):
        blocks.unpack(body)


def test_messages_of_an_asset_in_order_from_a_time(store, reader):
    put(store, clock=[ClockRow(0, 1_000_000, "synchronised")])
    for first in range(0, 100, 10):
        put(store, blocks.pack([record.tick(tick(n, n * 1000)) for n in range(first, first + 10)]))
        put(store, entry(RAW, blocks.pack([entry(RAW, b"o")]).body, asset="other", kind="block"))
    assert [m.t_ns for m in reader.messages("tank")] == [n * 1000 for n in range(100)]
    window = list(reader.messages("tank", start_ns=1_000_000 + 33_000, end_ns=1_000_000 + 57_000))
    assert [m.t_ns for m in window] == [n * 1000 for n in range(33, 57)]
    assert [m.wall_ns for m in window] == [1_000_000 + n * 1000 for n in range(33, 57)]
    assert list(reader.messages("tank", ("snapshot",))) == []
    assert list(reader.messages("nobody")) == []
    sixth = [m.record for m in reader.messages("tank")][59]
    assert [m.t_ns for m in reader.messages("tank", after=sixth)] == [n * 1000 for n in range(60, 100)]


@pytest.mark.parametrize("seed", range(5))
def test_ack_ranges_are_the_union_of_what_was_acknowledged(store, reader, seed):
    chance, told = random.Random(seed), set()
    put(store, *[entry(SUMMARY, b"%d" % n) for n in range(60)])
    for _ in range(12):
        first = chance.randint(1, 60)
        last = min(60, first + chance.randint(0, 9))
        told |= set(range(first, last + 1))
        put(store, acks=[Ack("mqtt", SUMMARY, 1, first, last)])
    ranges = reader.acknowledged("mqtt", SUMMARY)[1]
    assert ranges == intervals.of_numbers(told)
    assert [r.seq for r in all_of(reader, SUMMARY, "mqtt")] == sorted(set(range(1, 61)) - told)
    assert reader.pending("mqtt", SUMMARY) == 60 - len(told)
    assert reader.pending("other", SUMMARY) == 60


def test_acknowledgements_not_written_yet_count_too(store, reader):
    put(store, *[entry(EVENT) for _ in range(6)], acks=[Ack("mqtt", EVENT, 1, 1, 2)])
    found = reader.unacknowledged("mqtt", EVENT, held={1: [(3, 3), (5, 5)]})
    assert [r.seq for r in found.records] == [4, 6]


def test_retention_gives_up_raw_then_summary_then_event_and_says_so(path):
    store = opened(path, 1 << 20)
    store.want(EVENT, ["mqtt"])
    store.want(SUMMARY, ["mqtt"])
    for n in range(40):
        put(store, entry(RAW, noise(3000, n), kind="block", n=7, t_ns=n), entry(SUMMARY, noise(3000, n + 100), t_ns=n))
        put(store, entry(EVENT, noise(1000, n + 200), t_ns=n))
    put(store, acks=[Ack("mqtt", SUMMARY, 1, 21, 40)])
    reader = Reader.open(path)
    n = 0
    while reader.counts().get(RAW, 0):
        put(store, entry(EVENT, noise(3000, n), t_ns=n, kind="audit"))
        n += 1
    assert reader.counts()[SUMMARY] == 40
    gap = reader.gaps()
    assert [(g.class_, g.first, g.last, g.count, g.reason) for g in gap] == [(RAW, 1, 40, 280, "cap")]
    assert (gap[0].from_boot, gap[0].from_ns, gap[0].to_ns) == (BOOT, 0, 39)
    while reader.counts().get(SUMMARY, 0) > 10:  # what was acknowledged goes first, whatever its age
        put(store, entry(EVENT, noise(3000, n), t_ns=n, kind="audit"))
        n += 1
    assert {r.seq for r in all_of(reader, SUMMARY)} < set(range(1, 21))
    reasons = {(g.first, g.last > 0, g.reason) for g in reader.gaps() if g.class_ == SUMMARY}
    assert reasons == {(21, True, "cap"), (1, True, "cap, not acknowledged")}
    while reader.counts()[EVENT] == 40 + n:
        put(store, entry(EVENT, noise(3000, n), t_ns=n, kind="audit"))
        n += 1
    assert {r.kind for r in all_of(reader, EVENT)[:3]} <= {"event", "audit"}
    assert min(r.seq for r in all_of(reader, EVENT) if r.kind == "event") > 1
    reader.close()
    store.close()


def test_the_cap_holds_whatever_comes(path):
    cap = 1 << 20
    store = opened(path, cap)
    largest = 0
    for n in range(400):
        put(store, entry(RAW, noise(1 + 37 * n % 20_000, n), kind="block"))
        largest = max(largest, store.size())
    assert largest <= cap
    reader = Reader.open(path)
    (gap,) = reader.gaps()
    kept = all_of(reader, RAW)
    assert gap.last + 1 == kept[0].seq
    assert [r.seq for r in kept] == list(range(gap.last + 1, 401))
    assert reader.pending("mqtt", RAW) == len(kept)
    reader.close()
    store.close()


def test_a_lowered_cap_shrinks_the_file(path):
    store = opened(path, 4 << 20)
    for n in range(60):
        put(store, entry(RAW, noise(50_000, n), kind="block"))
    store.close()
    store = opened(path, 1 << 20)
    for n in range(30):
        put(store, entry(RAW, noise(5000, n), kind="block"))
    assert store.size() <= 1 << 20
    store.close()


def test_something_larger_than_the_store_is_a_gap_and_stops_nothing(path):
    store = opened(path, 1 << 20)
    put(store, entry(EVENT, noise(2 << 20)), entry(EVENT, b"small"))
    reader = Reader.open(path)
    assert [(r.seq, r.body) for r in all_of(reader, EVENT)] == [(2, b"small")]
    assert [(g.first, g.last, g.reason) for g in reader.gaps()] == [(1, 1, "larger than the store")]
    reader.close()
    store.close()


def test_a_full_disk_refuses_the_whole_commit_and_the_next_one_goes_on(store, reader):
    put(store, entry(EVENT, b"before"))
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}").fetchone()
    with pytest.raises(StoreFullError):
        put(store, entry(EVENT, b"small"), entry(EVENT, noise(100_000)))
    assert [r.body for r in all_of(reader, EVENT)] == [b"before"]
    store._db.execute("PRAGMA max_page_count = 100000").fetchone()
    put(store, entry(EVENT, b"after"))
    assert [(r.seq, r.body) for r in all_of(reader, EVENT)] == [(1, b"before"), (2, b"after")]


def test_a_full_disk_gives_up_raw_history_for_an_event(store, reader):
    for n in range(10):
        put(store, entry(RAW, noise(20_000, n), kind="block"))
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}").fetchone()
    put(store, entry(EVENT, noise(30_000)))
    assert len(all_of(reader, EVENT)) == 1
    assert 0 < len(all_of(reader, RAW)) < 10


def test_what_never_arrived_takes_a_sequence_number(store, reader):
    put(store, entry(EVENT, b"1"))
    put(store, lost=[Lost(EVENT, 12, "queue full", 5, 9)])
    put(store, lost=[Lost(EVENT, 3, "queue full", 10, 11)])
    put(store, entry(EVENT, b"2"))
    (gap,) = reader.gaps()
    assert (gap.count, gap.from_ns, gap.to_ns, gap.reason) == (15, 5, 11, "queue full")
    seqs = [r.seq for r in all_of(reader, EVENT)] + list(range(gap.first, gap.last + 1))
    assert sorted(seqs) == [1, 2, 3, 4]
    assert reader.pending("mqtt", EVENT) == 2


@pytest.mark.parametrize("damage", ["zeros", "empty", "garbage", "other"])
def test_a_damaged_file_is_set_aside_and_a_new_epoch_begins(path, damage):
    store = opened(path)
    put(store, entry(EVENT, b"old"), entry(EVENT, b"old"))
    store.close()
    size = path.stat().st_size
    if damage == "other":
        path.unlink()
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE x (y)")
        other.close()
    else:
        path.write_bytes({"zeros": bytes(size), "empty": b"", "garbage": noise(size)}[damage])
    store, aside = Store.open(path, CAP, BOOT, "gw")
    put(store, entry(EVENT, b"new"))
    reader = Reader.open(path)
    assert [(r.epoch, r.seq, r.body) for r in all_of(reader, EVENT)] == [(2, 1, b"new")]
    if damage != "empty":  # SQLite takes an empty file for a new database
        assert aside is not None
        assert aside.name == "journal.db.corrupt-1"
        assert aside.exists()
        assert {(g.class_, g.epoch, g.reason) for g in reader.gaps()} == {
            (c, 1, "damaged") for c in (RAW, SUMMARY, EVENT)
        }
    reader.close()
    store.close()


def test_the_epoch_grows_with_each_replacement_and_two_damaged_files_are_kept(path):
    for n in range(1, 6):
        store = opened(path)
        assert store.epoch == n
        store.close()
        path.write_bytes(b"not a database at all" * 100)
    opened(path).close()
    assert sorted(p.name for p in path.parent.glob("*.corrupt-*")) == ["journal.db.corrupt-4", "journal.db.corrupt-5"]


def test_flipped_bytes_anywhere_never_give_a_wrong_record(path):
    bodies = {b"body %d " % n + noise(300, n) for n in range(40)}
    store = opened(path)
    put(store, *[entry(EVENT, body, subjects=("c",)) for body in sorted(bodies)])
    store.close()
    clean, chance = path.read_bytes(), random.Random(1)
    survived = 0
    for _ in range(60):
        for beside in path.parent.glob("journal.db*"):
            beside.unlink()
        at = chance.randrange(len(clean))
        path.write_bytes(clean[:at] + bytes([clean[at] ^ (1 << chance.randrange(8))]) + clean[at + 1 :])
        store, _ = Store.open(path, CAP, BOOT)
        try:
            put(store, entry(EVENT, b"new"))
            reader = Reader.open(path)
            given = [r.body for r in all_of(reader, EVENT)]
            reader.close()
        except StoreError:
            continue
        finally:
            store.close()
        assert set(given) <= bodies | {b"new"}
        survived += len(given) > 30
    assert survived > 30  # most single flips cost at most one record


def test_a_damaged_record_is_passed_over_and_becomes_a_gap(store, reader):
    put(store, *[entry(EVENT, b"e%d" % n) for n in range(5)])
    store._db.execute("UPDATE record SET body = x'00' WHERE seq = 3")
    found = reader.unacknowledged("mqtt", EVENT)
    assert [r.seq for r in found.records] == [1, 2, 4, 5]
    assert len(found.damaged) == 1
    put(store, damaged=found.damaged)
    assert [(g.first, g.last, g.count, g.reason) for g in reader.gaps()] == [(3, 3, 1, "damaged")]
    assert reader.pending("mqtt", EVENT) == 4


def test_a_newer_schema_is_refused_and_left_alone(path):
    store = opened(path)
    store._db.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(StoreError, match="version 99"):
        opened(path)
    with pytest.raises(StoreError, match="99"):
        Reader.open(path)
    assert not list(path.parent.glob("*.corrupt-*"))


def test_the_newest_event_of_each_condition_is_found_and_outlives_retention(path):
    store = opened(path, 1 << 20)

    def event(n, condition):
        state = Condition(condition, "tank", "p", "limit", "alarm", since_ns=n)
        return record.event(Event(f"e{n}", "tank", n, "raised", "text", condition=state))

    for n in range(30):
        put(store, event(n, f"c{n % 3}"))
    for n in range(100):
        put(store, entry(EVENT, noise(20_000, n)))
    reader = Reader.open(path)
    latest = [wire.decode(Event, r.body) for r in reader.latest_events("tank")]
    assert [(e.t_ns, e.condition.id) for e in latest] == [(27, "c0"), (28, "c1"), (29, "c2")]
    assert reader.latest_events("other") == []
    reader.close()
    store.close()


def test_the_checkpoint_before_the_oldest_raw_block_stays(store, reader):
    hour = 3_600_000_000_000
    for n in range(200):
        put(store, entry(CHECKPOINT, b"c%d" % n, t_ns=n * hour // 20))
        put(store, entry(RAW, b"r%d" % n, t_ns=n * hour // 20, kind="block"))
        if n == 120:
            store._db.execute("DELETE FROM record WHERE class = 'raw' AND seq <= 50")
    oldest = reader.find(RAW, 1, 51)
    start = reader.checkpoint_of_history("tank")
    assert start.id < oldest.id
    assert start.body == b"c40"  # kept hourly, since it was not among the last three when those beside it went
    assert reader.latest_checkpoint("tank").body == b"c199"
    kept = store._db.execute("SELECT count(*) FROM record WHERE class = 'checkpoint'").fetchone()[0]
    assert kept <= 3 + 1 + 200 // 20
    assert reader.checkpoint_of_history("nobody") is None


def test_without_raw_history_only_the_last_checkpoints_are_kept(store, reader):
    for n in range(50):
        put(store, entry(CHECKPOINT, b"c%d" % n, t_ns=n * 10**12))
    assert reader.counts() == {CHECKPOINT: 3}
    assert reader.latest_checkpoint("tank").body == b"c49"


def test_a_reader_beside_the_writer_sees_what_is_committed_and_holds_nothing(store, path):
    reader = Reader.open(path)
    for n in range(20):
        put(store, entry(EVENT, b"%d" % n))
        assert len(all_of(reader, EVENT)) == n + 1
    (busy, log, done) = store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert (busy, log, done) == (0, 0, 0)  # the open reader holds no transaction
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.db.execute("DELETE FROM record")
    reader.close()


def test_there_is_nothing_to_read_where_there_is_no_store(tmp_path):
    with pytest.raises(StoreError):
        Reader.open(tmp_path / "none.db")


def test_wall_time_comes_from_the_nearest_row_and_a_synchronised_one_before_all(store, reader):
    put(store, clock=[ClockRow(1000, 5_000, "unsynchronised"), ClockRow(9000, 99_000, "unsynchronised")])
    assert reader.wall_ns(BOOT, 2000) == (6_000, "unsynchronised")
    assert reader.wall_ns(BOOT, 8000) == (98_000, "unsynchronised")
    put(store, entry(EVENT, t_ns=1500))
    assert all_of(reader, EVENT)[0].wall_ns == 5_500
    put(store, clock=[ClockRow(20_000, 1_020_000, "synchronised")])
    assert all_of(reader, EVENT)[0].wall_ns == 1_001_500  # the record was not touched
    assert reader.wall_ns("another boot", 1) == (0, "unknown")


def test_boots_do_not_mix(path):
    for n, boot in enumerate(("a", "b", "c")):
        store = opened(path, boot=boot)
        put(store, entry(EVENT, b"%d" % n, t_ns=10), clock=[ClockRow(0, n * 1000, "synchronised")])
        store.close()
    reader = Reader.open(path)
    assert [(r.boot, r.wall_ns) for r in all_of(reader, EVENT)] == [("a", 10), ("b", 1010), ("c", 2010)]
    reader.close()


def test_a_store_in_use_is_refused_and_left_alone(store, path):
    put(store, entry(EVENT, b"mine"))
    for damaged in (False, True):
        with pytest.raises(StoreError, match="running already"):
            opened(path, damaged=damaged)
    put(store, entry(EVENT, b"still mine"))
    assert not list(path.parent.glob("*.corrupt-*"))


def test_a_long_clock_table_is_thinned_but_for_what_says_something(store, reader, monkeypatch):
    monkeypatch.setattr(clocks, "MOST_ROWS", 200)
    for n in range(1000):
        late = 0 if n < 400 else 3_600_000_000_000  # the wall clock stepped once
        put(store, clock=[ClockRow(n * 60_000_000_000, 10**18 + n * 60_000_000_000 + late, "unsynchronised")])
    rows = store._db.execute("SELECT count(*) FROM clock").fetchone()[0]
    assert rows < 400
    for n in (0, 399, 400, 999):
        late = 0 if n < 400 else 3_600_000_000_000
        assert reader.wall_ns(BOOT, n * 60_000_000_000)[0] == 10**18 + n * 60_000_000_000 + late


def test_work_is_split_without_losing_or_reordering(store):
    work = Work(entries=[entry(EVENT, b"x" * n) for n in range(50)], acks=[Ack("a", EVENT, 1, 1, 1)])
    parts = []
    while work:
        part, work = work.split(300)
        parts.append(part)
    assert [len(e.body) for part in parts for e in part.entries] == list(range(50))
    assert [len(part.acks) for part in parts] == [1] + [0] * (len(parts) - 1)
    assert len(parts) > 3


def test_a_record_is_never_read_with_a_clock_older_than_itself(store, reader, monkeypatch):
    """Between the reader's look at the clocks and its look at the records, the clock steps and a record is written."""
    put(store, entry(EVENT, b"before", t_ns=0), clock=[ClockRow(0, 1_000_000, "unsynchronised")])
    refresh, stepped = clocks.Clocks.refresh, []

    def slow(self, db):
        refresh(self, db)
        if not stepped:
            stepped.append(put(store, entry(EVENT, b"after", t_ns=10), clock=[ClockRow(10, 10, "unsynchronised")]))

    monkeypatch.setattr(clocks.Clocks, "refresh", slow)
    seen = {r.body: r.wall_ns for r in all_of(reader, EVENT)}
    assert stepped
    assert seen == {b"before": 1_000_000, b"after": 10}


def test_the_clock_that_comes_right_is_told_once_a_boot_and_only_where_it_was_wrong(path):
    for boot, rows in (
        ("boot-1", ["unsynchronised", "unsynchronised", "synchronised", "synchronised"]),
        ("boot-2", ["synchronised", "unsynchronised", "synchronised"]),
        ("boot-3", ["unsynchronised"]),
        ("boot-3", ["synchronised"]),
    ):
        store = opened(path, boot=boot)
        for n, quality in enumerate(rows):
            put(store, entry(EVENT, b"%d" % n, t_ns=n), clock=[ClockRow(10 * n + 5, 10**18 + n, quality)])
        store.close()
    reader = Reader.open(path)
    told = [r for r in all_of(reader, EVENT) if r.kind == record.CLOCK]
    assert [(r.boot, r.asset, wire.decode(ClockRow, r.body)) for r in told] == [
        ("boot-1", "gateway", ClockRow(25, 10**18 + 2, "synchronised")),
        ("boot-3", "gateway", ClockRow(5, 10**18, "synchronised")),
    ]
    assert [r.clock for r in told] == ["synchronised", "synchronised"]
    reader.close()
