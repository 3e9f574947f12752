"""The processes of a benchmark: started, waited for, measured from procfs, stopped by their pid."""

import json
import statistics
import subprocess
import time
import zlib
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

MIB = 2**20

# Work of the yardstick: something of what all the subjects do.
TREE = [{"a": n, "b": n / 7} for n in range(2000)]
PAUSE_S = 0.25


@dataclass(frozen=True)
class Used:
    """What a process and its children have used so far: CPU-seconds; memory now, in bytes."""

    cpu_s: float
    rss: int
    pss: int


def used(pid):
    """Of the process, its living children and those it has waited for."""
    parent = psutil.Process(pid)
    family = [parent, *parent.children(recursive=True)]
    cpu_s = sum(sum(one.cpu_times()[:4]) for one in family)  # user, system, and those of reaped children
    memory = [one.memory_full_info() for one in family]
    return Used(cpu_s, sum(m.rss for m in memory), sum(m.pss for m in memory))


@contextmanager
def running(command, log, **options):
    """A process with its log; ended at the end, with its children, whatever happened."""
    with log.open("ab") as out:
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=out, stderr=out, **options)
    try:
        yield process
    finally:
        _end(process)


def _end(process):
    family = []
    if process.poll() is None:
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
    for child in family:
        if child.is_running():
            child.kill()


def until(what, seconds, why, process=None):
    """Wait until `what()` holds. RuntimeError says what did not come, or that the process ended before."""
    end = time.monotonic() + seconds
    while not what():
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{why}: the process ended with {process.returncode}")
        if time.monotonic() > end:
            raise RuntimeError(f"{why}: not within {seconds} s")
        time.sleep(0.1)


def yardstick(seconds):
    """Let so many seconds pass; the CPU-milliseconds that a fixed piece of work took meanwhile, on average.

    A shared machine gives a CPU-second more or less work from one minute to the next: caches, clock and the host's
    other guests. What two windows cost is compared in this unit.
    """
    end, found = time.monotonic() + seconds, []
    while time.monotonic() < end:
        began = time.thread_time()
        text = json.dumps(TREE)
        json.loads(text)
        zlib.compress(text[:20_000].encode(), 6)
        found.append(1e3 * (time.thread_time() - began))
        time.sleep(PAUSE_S)
    return statistics.fmean(found)
