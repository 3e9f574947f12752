"""A child that fills a journal as the daemon does, under whatever is done to it; and what it left behind."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

# Puts ticks, summaries and events for ever, `rate` of each a second, in a journal of its own loop; prints one JSON line
# each tenth of a second: the meters, the last event said to be stored, how late the loop was, and the largest RSS.
CHILD = """
import json, os, resource, sys, time
from pathlib import Path
import anyio
from agent.runtime import clock, meters
from agent.runtime.journal import Journal
from agent.store.record import EVENT, RAW, SUMMARY, Entry

async def main(path, cap, flush_s, rate):
    counters = meters.install(meters.Meters())
    journal = Journal.open(path, cap, flush_s)
    number, late, body = 0, 0.0, os.urandom(400)
    async with anyio.create_task_group() as group:
        group.start_soon(journal.run)
        due = time.monotonic()
        told = due
        while True:
            number += 1
            now = clock.now_ns()
            journal.put(Entry(RAW, "tank", "tick", now, b"%d " % number + body[number % 400:] + os.urandom(200)))
            if number % 10 == 0:
                journal.put(Entry(SUMMARY, "tank", "summary", now, b"%d" % number))
            if number % 10 == 5:
                journal.put(Entry(EVENT, "tank", "event", now, b"%d" % number))
            due += 1 / rate
            await anyio.sleep(max(0.0, due - time.monotonic()))
            late = max(late, time.monotonic() - due)
            if time.monotonic() - told >= 0.1:
                told = time.monotonic()
                names = ("errors", "damaged", "dropped", "commits", "bytes", "queue")
                said = {name: counters.read("journal/" + name) for name in names}
                newest = journal._writer.newest.get("event")
                rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                said |= {"number": number, "late_s": late, "rss_kib": rss, "event": newest}
                print(json.dumps(said), flush=True)

anyio.run(main, Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
"""


class Filler:
    """The child, and what it said last."""

    def __init__(self, process):
        self.process = process

    def said(self):
        """Its next line."""
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()[-2000:]
        return json.loads(line)

    def until(self, holds, seconds=15):
        """Its first line for which this holds."""
        end = time.monotonic() + seconds
        while True:
            said = self.said()
            if holds(said):
                return said
            assert time.monotonic() < end, said


@contextmanager
def filling(path, *, cap=4 << 20, flush_s=0.2, rate=500, before=(), **options):
    """A running child; `before`: of the command line (strace ...). It is killed at the end."""
    command = [*before, sys.executable, "-c", CHILD, str(path), str(cap), str(flush_s), str(rate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    try:
        yield Filler(process)
    finally:
        for child in children(process.pid):
            os.kill(child, 9)
        process.kill()
        process.communicate(timeout=10)


def children(pid):
    """Children of a process: what strace runs."""
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in tasks.read_text().split()] if tasks.exists() else []
