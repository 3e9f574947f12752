"""Fault 1: SIGKILL at any moment. What the journal has said to be stored is there afterwards, in order, undamaged."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

from agent.store.read import Reader
from agent.store.record import EVENT

CYCLES = 20

# Puts numbered events and ticks for ever; prints a number once it and all before it are stored.
CHILD = """
import sys
from pathlib import Path
import anyio
from agent.runtime import clock
from agent.runtime.journal import Journal
from agent.store.record import EVENT, RAW, SUMMARY, Ack, Entry

async def main(path, number):
    journal = Journal.open(path, 4 << 20, 10.0)
    async with anyio.create_task_group() as group:
        group.start_soon(journal.run)
        cursor = journal.cursor("mqtt", (EVENT,))
        while True:
            for _ in range(5):
                number += 1
                journal.put(Entry(RAW, "tank", "tick", clock.now_ns(), b"%d" % number))
                journal.put(Entry(EVENT, "tank", "event", clock.now_ns(), b"%d" % number))
            await journal.flush()
            print(number, flush=True)
            cursor.acknowledge(await anext(cursor))

anyio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
"""


def run_and_kill(path, number, chance):
    """The largest number said to be stored before the child was killed, a random time after its first word."""
    command = [sys.executable, "-c", CHILD, str(path), str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        first = child.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.15))
        child.send_signal(signal.SIGKILL)
        whole_lines = child.stdout.read().split("\n")[:-1]
    return int(([first, *whole_lines])[-1])


def read_all(path):
    """The numbers of all events, and of all ticks."""
    reader = Reader.open(path)
    events, after = [], (0, 0)
    while (found := reader.unacknowledged("nobody", EVENT, after)).records:
        assert found.damaged == []
        events, after = events + [int(r.body) for r in found.records], found.after
    ticks = [int(m.body) for m in reader.messages("tank")]
    assert (reader.epoch(), reader.gaps()) == (1, [])
    assert reader.counts()[EVENT] == len(events)
    reader.close()
    return events, ticks


def test_nothing_that_was_said_to_be_stored_is_lost(tmp_path):
    path, chance, promised, newest = tmp_path / "journal.db", random.Random(1), set(), 0
    for _ in range(CYCLES):
        said = run_and_kill(path, newest, chance)
        promised |= set(range(newest + 1, said + 1))
        events, ticks = read_all(path)
        for numbers in (events, ticks):
            assert promised <= set(numbers)
            assert numbers == sorted(set(numbers))
        newest = max(events[-1], ticks[-1])
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    print(f"{CYCLES} kills; {len(promised)} events and as many ticks were said to be stored, none is missing")
