"""Reading back what a point was and what happened, page by page, whatever the clock and the configuration did."""

import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from history_rig import SECOND, WALL, keep, points, seconds, snapshot

from agent.core import wire
from agent.core.nouns import Event, Snapshot
from agent.store import history, record
from agent.store.history import After
from agent.store.read import Reader
from agent.store.write import Store, Work


@pytest.fixture
def path():
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder) / "journal.db"


def pages(reader, point, start, end, most, **over):
    """All of a range, page by page."""
    found, after = [], None
    while True:
        page = history.values(reader, point, start, end, most, after, **over)
        assert len(page.value) <= most
        found += list(zip(page.time_ns.tolist(), page.value.tolist(), page.status.tolist(), strict=True))
        if page.after is None:
            return found
        after = After.of(str(page.after))


@pytest.fixture
def hour(path):
    keep(path, seconds(95))
    reader = Reader.open(path)
    yield reader
    reader.close()


def at(n):
    return WALL + n * SECOND - 7


@pytest.mark.parametrize("most", [1, 7, 10, 1000])
@pytest.mark.parametrize("backward", [False, True])
def test_a_range_page_by_page_is_the_range(hour, most, backward):
    expected = [(at(n), float(n), n % 3) for n in range(21, 64)]
    found = pages(hour, "m/x/a", at(21), at(64), most, backward=backward)
    assert found == (expected[::-1] if backward else expected)


def test_bounds_are_closed_at_the_start_and_open_at_the_end(hour):
    assert [n for _, n, _ in pages(hour, "m/x/a", at(5), at(5) + 1, 9)] == [5.0]
    assert pages(hour, "m/x/a", at(5) + 1, at(6), 9) == []
    assert len(pages(hour, "m/x/a", 0, 1 << 62, 50)) == 95


def test_where_nothing_new_came_there_is_no_second_value(path):
    shots = [snapshot(n, t_ns=n * SECOND, sample_ns=(n - n % 4) * SECOND + 1) for n in range(40)]
    keep(
        path, [Snapshot(**{f: getattr(s, f) for f in s.__slots__} | {"status": np.zeros(4, np.uint32)}) for s in shots]
    )
    reader = Reader.open(path)
    found = pages(reader, "m/x/b", 0, 1 << 62, 3)
    assert [value for _, value, _ in found] == [float(n) for n in range(10)]
    assert [t for t, _, _ in found] == [WALL + 4 * n * SECOND + 1 for n in range(10)]
    reader.close()


def test_texts_arrays_and_source_stamps(hour):
    texts = history.values(hour, "m/x/text", at(3), at(5))
    assert (dict(texts.texts), texts.after) == ({0: "t3", 1: "t4"}, None)
    arrays = history.values(hour, "m/x/row", at(3), at(5))
    assert [a.tolist() for a in arrays.arrays.values()] == [[3, 4], [4, 5]]
    assert history.values(hour, "m/x/a", at(3), at(5)).source_ns.tolist() == [3 * SECOND - 2, 4 * SECOND - 2]


def test_large_assets_in_blocks_of_differences_are_read_too(path):
    keep(path, seconds(12, size=500))
    reader = Reader.open(path)
    assert [v for _, v, _ in pages(reader, "m/x/a", at(2), at(11), 4)] == [float(n) for n in range(2, 11)]
    reader.close()


def test_a_point_is_found_where_it_stood_at_that_time(path):
    keep(path, seconds(20))
    keep(path, seconds(20, first=21, names=("row", "b", "a")), names=("row", "b", "a"))
    keep(path, seconds(20, first=41, names=("b",)), names=("b",))
    reader = Reader.open(path)
    assert [v for _, v, _ in pages(reader, "m/x/a", 0, 1 << 62, 6)] == [float(n) for n in range(1, 41)]
    assert len(pages(reader, "m/x/b", 0, 1 << 62, 50)) == 60
    assert pages(reader, "m/x/nothing", 0, 1 << 62, 6) == []
    assert [len(p) for _, p in reader.layouts("m")] == [4, 3, 1]
    reader.close()


def test_the_same_layout_is_kept_once_and_old_ones_go_with_the_history(path):
    for n in range(3):
        keep(path, seconds(3, first=1 + 3 * n))
    store, _ = Store.open(path, 50_000_000, "boot-1", "g")
    store._db.execute("DELETE FROM record WHERE class = 'raw'")
    store.commit(Work(entries=[record.layout("m", 0, points(("b",)))]))
    store.close()
    reader = Reader.open(path)
    assert [len(p) for _, p in reader.layouts("m")] == [1]
    reader.close()


def test_a_boot_whose_clock_was_years_off_is_in_the_way_of_none(path):
    keep(path, seconds(20))
    keep(path, seconds(20), boot="boot-2", offset=0, quality="unsynchronised")  # 1970, never set right
    keep(path, seconds(20), boot="boot-3", offset=5 * WALL, quality="unsynchronised")  # then in the year 2239 ...
    keep(path, [], boot="boot-3", offset=WALL + 100 * SECOND)  # ... and set right
    keep(path, seconds(20), boot="boot-4", quality="")
    reader = Reader.open(path)
    found = pages(reader, "m/x/a", WALL, WALL + 1000 * SECOND, 7)
    assert [t for t, _, _ in found] == [at(n) for n in range(1, 21)] + [at(n + 100) for n in range(1, 21)]
    assert history.values(reader, "m/x/a", WALL, WALL + 1000 * SECOND).clock == "synchronised"
    assert history.values(reader, "m/x/a", 0, 100 * SECOND).clock == "unknown"
    reader.close()


def test_reading_goes_on_while_the_oldest_is_deleted(hour, path):
    page = history.values(hour, "m/x/a", 0, 1 << 62, 15)
    store, _ = Store.open(path, 50_000_000, "boot-1", "g")
    store._db.execute(
        "DELETE FROM record WHERE class = 'raw' AND id < (SELECT max(id) FROM record WHERE class = 'raw')"
    )
    store.close()
    rest = history.values(hour, "m/x/a", 0, 1 << 62, 100, page.after)
    assert rest.value.tolist() == [91.0, 92.0, 93.0, 94.0, 95.0]


def test_events_of_several_assets_in_the_order_in_which_they_were_written(path):
    told = [Event(f"e{n}", ("m", "other")[n % 2], n * SECOND, "raised", f"event {n}") for n in range(1, 30)]
    random.Random(1).shuffle(told)
    keep(path, [], events=told)
    reader = Reader.open(path)
    found, after = [], 0
    while after is not None:
        some, after = history.events(reader, ("m", "other"), WALL, WALL + 100 * SECOND, 4, after)
        found += some
    assert [h.event for h in found] == told
    only, _ = history.events(reader, ("m",), WALL, WALL + 100 * SECOND)
    assert {h.record.asset for h in only} == {"m"}
    assert wire.encode(found[0].event) == found[0].record.body
    reader.close()


def test_a_token_that_names_no_place_is_refused():
    assert After.of("12.3") == (12, 3)
    for token in ("", "12", "a.b", "1.2.3"):
        with pytest.raises(ValueError, match="int"):
            After.of(token)
