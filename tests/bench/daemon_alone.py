"""The daemon without a peer: memory as tags are added, and its jitter beside an idle ticker's in the same seconds."""

import json
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import peer_edgetwin
from peer_machines import machines
from peer_processes import MIB, running, until, used

from agent.core import wire
from agent.core.nouns import Tick
from agent.store.read import Reader

MACHINES = 10
TAGS = (1000, 2000, 5000, 10_000)
WARM_S = 25.0  # two flushes of raw history


def memory(folder, broker_port, subscriber, rounds):
    """Print RSS and PSS of the daemon for each number of tags, and what a further 1000 tags take."""
    print(f"\nmemory of the daemon, uint16 tags of {MACHINES} machines each second, after {WARM_S:g} s")
    found = {tags: [] for tags in TAGS}
    with machines(MACHINES, words=max(TAGS) // MACHINES) as them:
        for number in range(rounds):
            for tags in TAGS:
                found[tags].append(_settled(folder / f"memory-{tags}-{number}", broker_port, subscriber, them, tags))
    for tags, windows in found.items():
        rss, pss = ([getattr(one, figure) / MIB for one in windows] for figure in ("rss", "pss"))
        print(f"  {tags:6} tags   RSS {_spread(rss)} MiB   PSS {_spread(pss)} MiB")
    pairs = zip(found[TAGS[0]], found[TAGS[-1]], strict=True)
    further = [(most.pss - least.pss) / MIB / (TAGS[-1] - TAGS[0]) * 1000 for least, most in pairs]
    met = "met" if statistics.median(further) < 2 else "NOT met"
    print(f"  a further 1000 tags: {_spread(further, 2)} MiB   goal under 2: {met}")


def _settled(folder, broker_port, subscriber, them, tags):
    folder.mkdir()
    counts = subscriber.count(f"edgetwin/{folder.name}/summary/", peer_edgetwin.values)
    command = peer_edgetwin.command(folder, them, broker_port, tags // MACHINES)
    with running(command, folder / "log", cwd=folder) as process:
        until(lambda: counts.values >= 2 * tags, 60, "values of the daemon", process)
        time.sleep(WARM_S)
        return used(process.pid)


def jitter(folder, broker_port, rounds, seconds):
    """Print how far the time between two polls strays from 1 s at 10,000 tags/s, and an idle ticker's beside it."""
    print(f"\njitter at 10,000 tags/s from {MACHINES} machines: |time between two polls - 1 s|, all machines, ms")
    ratios = []
    with machines(MACHINES, words=1000) as them:
        for number in range(rounds):
            ours, idle = _gaps(folder / f"jitter-{number}", broker_port, them, seconds)
            ratios.append(ours[1] / idle[1])
            figures = "p50 {:.2f} p99 {:.2f}"
            print(f"  round {number}: daemon {figures.format(*ours)}; ticker {figures.format(*idle)}")
    met = "met" if statistics.median(ratios) <= 2 else "NOT met"
    print(f"  p99, daemon / ticker: {_spread(ratios, 2)}   goal 2: {met}")


def _gaps(folder, broker_port, them, seconds):
    folder.mkdir()
    ticker = [sys.executable, str(Path(__file__).with_name("peer_ticker.py")), str(seconds)]
    with running(peer_edgetwin.command(folder, them, broker_port, 1000), folder / "log", cwd=folder):
        time.sleep(WARM_S / 2)
        since_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        said = subprocess.run(ticker, capture_output=True, text=True, timeout=seconds + 30, check=True).stdout
        until_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return _percentiles(_polls(folder, since_ns, until_ns)), _percentiles(json.loads(said))


def _polls(folder, since_ns, until_ns):
    """Nanoseconds between the first responses of two polls, of each machine, from the daemon's own raw history."""
    reader, gaps = Reader.open(folder / "state" / "journal.db"), []
    for n in range(MACHINES):
        ticks = [wire.decode(Tick, message.body) for message in reader.messages(f"m{n}")]
        times = [min(batch.t_ns.min() for batch in tick.batches) for tick in ticks if tick.batches]
        gaps += [later - sooner for sooner, later in pairwise(times) if since_ns <= sooner and later <= until_ns]
    reader.close()
    return gaps


def _percentiles(gaps):
    """ms: p50, p99."""
    stray_ms = np.abs(np.array(gaps) - 1e9) * 1e-6
    return [float(np.percentile(stray_ms, q)) for q in (50, 99)]


def _spread(values, digits=0):
    """Median (least to most)."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
