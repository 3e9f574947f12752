"""Faults 11 to 13: a clock a day back, ten years on and stepped back, none at all until NTP comes. The wall clock is
injected (`runtime.clock.wall_ns`); the boot clock, by which everything is ordered, is the real one."""

import random

import anyio
import pytest

from agent.core import wire
from agent.runtime import clock, journal, meters, timesync
from agent.runtime.journal import Journal
from agent.store.read import Reader
from agent.store.record import CLOCK, EVENT, RAW, SUMMARY, Entry

pytestmark = pytest.mark.anyio
DAY_NS, YEAR_NS = 86_400 * 10**9, 365 * 86_400 * 10**9
CAP = 1 << 20


class Clocks:
    """What the wall clock and NTP say now."""

    def __init__(self, monkeypatch):
        self.off_ns, self.quality = 0, "unsynchronised"
        self._true = clock.wall_ns
        monkeypatch.setattr(clock, "wall_ns", lambda: self._true() + self.off_ns)
        monkeypatch.setattr(timesync, "quality", lambda: self.quality)
        monkeypatch.setattr(journal, "TURN_S", 0.02)

    def true_ns(self):
        return self._true()


@pytest.fixture
def clocks(monkeypatch):
    meters.install(meters.Meters())
    return Clocks(monkeypatch)


async def lived(path, steps):
    """(records that a cursor got, in order) of a journal that runs through steps of the clocks, an event in each."""
    records, got = Journal.open(path, CAP, 0.05), []

    async def sink(cursor):
        async for some in cursor:
            got.extend(some)
            cursor.acknowledge(some)

    async with anyio.create_task_group() as group:
        group.start_soon(records.run)
        group.start_soon(sink, records.cursor("mqtt", (EVENT,)))
        for n, step in enumerate(steps):
            step()
            await anyio.sleep(0.08)  # the journal looks at the clocks
            for class_ in (EVENT, SUMMARY):
                records.put(Entry(class_, "tank", class_, clock.now_ns(), b"%d" % n))
            records.put(Entry(RAW, "tank", "tick", clock.now_ns(), b"%d" % n))
            await records.flush()
        assert await records.drain(5)
    return got


def set_to(clocks, off_ns, quality="unsynchronised"):
    def step():
        clocks.off_ns, clocks.quality = off_ns, quality

    return step


async def test_steps_both_ways_reorder_nothing_delete_nothing_and_all_is_placed_once_the_clock_is_right(
    tmp_path, clocks
):
    path, began_ns = tmp_path / "journal.db", clocks.true_ns()
    offs = (0, -DAY_NS, 10 * YEAR_NS, -DAY_NS, 0)
    got = await lived(path, [*(set_to(clocks, off) for off in offs), set_to(clocks, 0, "synchronised")])
    events = [record for record in got if record.kind == EVENT]
    assert [int(record.body) for record in events] == list(range(6))
    assert [record.seq for record in got] == sorted(record.seq for record in got)
    assert [record.clock for record in events] == ["unsynchronised"] * 5 + ["synchronised"]
    assert abs(events[2].wall_ns - began_ns - 10 * YEAR_NS) < DAY_NS  # what the clock said then, and that it is no good
    reader = Reader.open(path)
    assert reader.gaps() == []
    for class_ in (EVENT, SUMMARY):
        again = [r for r in reader.records(class_, "tank") if r.kind != CLOCK]
        assert [int(r.body) for r in again] == list(range(6))
        assert {r.clock for r in again} == {"synchronised"}
        assert all(began_ns <= r.wall_ns <= clocks.true_ns() for r in again)
        assert [r.wall_ns for r in again] == sorted(r.wall_ns for r in again)
    assert [int(m.body) for m in reader.messages("tank", start_ns=began_ns, end_ns=clocks.true_ns())] == list(range(6))
    reader.close()


async def test_a_boot_without_ntp_is_placed_by_a_receiver_from_the_message_that_comes_with_it(tmp_path, clocks):
    began_ns = clocks.true_ns()
    got = await lived(
        tmp_path / "journal.db",
        [*[set_to(clocks, -50 * YEAR_NS)] * 3, *[set_to(clocks, 0, "synchronised")] * 2],
    )
    (told,) = [record for record in got if record.kind == CLOCK]
    row = wire.decode(journal.ClockRow, told.body)
    early = [record for record in got if record.kind == EVENT and record.clock != "synchronised"]
    assert [int(record.body) for record in early] == [0, 1, 2]
    for record in early:
        assert record.wall_ns < began_ns - 49 * YEAR_NS
        placed_ns = row.wall_ns + (record.t_ns - row.mono_ns)
        assert (record.boot == told.boot, began_ns <= placed_ns <= clocks.true_ns()) == (True, True)


async def test_retention_goes_by_sequence_and_bytes_whatever_year_it_is(tmp_path, clocks):
    """Ten years on, then back: what was written in the future is not the newest, what comes after not the oldest."""
    path, records = tmp_path / "journal.db", Journal.open(tmp_path / "journal.db", 1 << 19, 0.02)
    async with anyio.create_task_group() as group:
        group.start_soon(records.run)
        for n in range(120):
            clocks.off_ns = 10 * YEAR_NS if n < 60 else 0
            records.put(
                Entry(SUMMARY, "tank", "summary", clock.now_ns(), bytes([n]) + random.Random(n).randbytes(9000))
            )
            await records.flush()
        group.cancel_scope.cancel()
    reader = Reader.open(path)
    kept = [r.body[0] for r in reader.records(SUMMARY, "tank")]
    assert kept == list(range(kept[0], 120))
    assert kept[0] > 0
    (gap,) = reader.gaps()
    assert (gap.first, gap.last) == (1, kept[0])
    reader.close()
