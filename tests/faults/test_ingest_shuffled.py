"""Fault 19: a log delivered twice, in any order and in any batches, gives the same tables (a real PostgreSQL)."""

import asyncio
from itertools import cycle

import psycopg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from ingest_rig import event, names, summary
from postgres_rig import Postgres

from agent.ingest.flow import Arrived, Database

TAGS, OTHER = ["level", "flow"], ["flow", "state", "level"]
EARLY = {"clock": "unsynchronised", "shift_ns": -(10**17)}

LOG = [
    *(("event/tank", event(n)) for n in (1, 2, 4, 5, 9)),
    ("event/tank", event(4, clock="unsynchronised", at_ns=5)),
    ("event/tank", event(5, text="event 5, stamped anew")),
    ("event/tank", event(1, epoch=2)),
    *(("summary/tank", summary(n, TAGS, layout="columns")) for n in (2, 3, 6)),
    *(("summary/tank", summary(n, OTHER, layout="columns", **EARLY)) for n in (3, 7)),
    ("summary/tank", summary(7, OTHER, layout="named")),
    ("names/tank", names(TAGS)),
    ("names/tank", names(OTHER)),
    ("event/tank", event(3)[:-9]),
]
TABLES = {
    "event": "epoch, seq, hash, time",
    "summary": "epoch, seq, hash, time, pending",
    "tag_summary": "epoch, seq, time, tag, mean",
    "stream": "class, epoch, last",
    "gap": "class, epoch, first, last",
    "names": "key",
    "rejected": "topic, digest",
}


class Tables:
    """One receiver's connection, and what the tables say after a log."""

    def __init__(self, url, runner):
        self.url, self.database, self.runner = url, Database(url), runner

    def after(self, log, sizes):
        """A log that comes in batches of these sizes, over and over, into empty tables."""
        arrived = [Arrived("edgetwin/gw1", tuple(topic.split("/")), payload) for topic, payload in log]
        self.runner.run(self._deliver(arrived, sizes))
        with psycopg.connect(self.url) as db:
            db.execute("SET search_path = edgetwin")
            found = {t: db.execute(f"SELECT {of} FROM {t} ORDER BY {of}").fetchall() for t, of in TABLES.items()}
            for table in TABLES:
                db.execute(f"DELETE FROM {table}")  # a TRUNCATE of small tables takes longer
        return found

    async def _deliver(self, arrived, sizes):
        for size in cycle(sizes):
            if not arrived:
                return
            await self.database.store(arrived[:size])
            arrived = arrived[size:]


@pytest.fixture(scope="module")
def tables():
    with Postgres("fsync=off") as server, asyncio.Runner() as runner:
        tables = Tables(server.new_database(), runner)
        yield tables
        runner.run(tables.database.close())


@pytest.fixture(scope="module")
def once(tables):
    return tables.after(LOG, [1])


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.generate])  # no shrinking: it takes minutes
@given(st.permutations([*LOG, *LOG]), st.lists(st.integers(2, 12), min_size=1, max_size=4))
def test_the_order_of_delivery_leaves_no_trace(tables, once, shuffled, sizes):
    assert tables.after(shuffled, sizes) == once


def test_what_the_tables_say_of_that_log(once):
    assert [row[:2] for row in once["event"]] == [(1, 1), (1, 2), (1, 4), (1, 5), (1, 9), (2, 1)]
    assert once["gap"] == [("event", 1, 3, 3), ("event", 1, 6, 8), ("summary", 1, 1, 1), ("summary", 1, 4, 5)]
    assert [row[-1] for row in once["summary"]] == [False] * 4
    rows = {2: TAGS, 3: TAGS, 6: TAGS, 7: OTHER}
    assert [(row[1], row[3]) for row in once["tag_summary"]] == [(n, t) for n in rows for t in sorted(rows[n])]
