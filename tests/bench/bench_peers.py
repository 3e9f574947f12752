"""The daemon beside its peers, in one run: CPU-seconds and memory as ratios, with their spread.

    python tests/bench/bench_peers.py [--windows 3] [--seconds 20] [--only tb,nodered,bare,memory,jitter]

See README.md in this folder for what each line means. In each round every subject is started anew, runs until its
values arrive at the broker, settles, and is measured for the given seconds; nothing else of the benchmark's own runs
meanwhile but the machines, the broker and the counting subscriber. Peers are installed into a cache outside the
repository: $EDGETWIN_BENCH_CACHE, else ~/.cache/edgetwin-bench.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import daemon_alone
import peer_edgetwin
import peer_nodered
import peer_thingsboard
import pytest
from peer_broker import AbsentError, broker
from peer_machines import FLOATS, machines
from peer_processes import MIB, running, until, used, yardstick
from peers import free_port

CACHE = Path(os.environ.get("EDGETWIN_BENCH_CACHE", Path.home() / ".cache" / "edgetwin-bench"))
SETTLE_S, ARRIVE_S = 6.0, 90.0
AS_MUCH = {"figures": ["last"], "layout": "columns"}  # as Node-RED sends


@dataclass(frozen=True)
class Window:
    """What one subject did in one window. CPU in percent of one core, and of the yardstick; memory in MiB at its end;
    rates a second."""

    cpu: float
    work: float
    rss: float
    pss: float
    requests: float
    messages: float
    kib: float
    values: float
    new: float


@dataclass
class Subject:
    """One program at work. `begin(folder)` gives its command and more of its environment."""

    name: str
    machines: list
    begin: Callable
    topic: str = ""
    values_of: Callable = lambda topic, message: {}
    expected: int = 0  # values a second at the broker
    windows: list[Window] = field(default_factory=list)


@dataclass(frozen=True)
class Goal:
    """`mine` over `peer` in one figure, at most `limit`."""

    mine: Subject
    peer: Subject
    figure: str
    limit: float | None

    def ratios(self):
        pairs = zip(self.mine.windows, self.peer.windows, strict=True)
        return [getattr(m, self.figure) / getattr(p, self.figure) for m, p in pairs]


class Bench:
    """What all cases share."""

    def __init__(self, folder, broker_port, subscriber, seconds):
        self.folder, self.broker_port, self.subscriber, self.seconds = folder, broker_port, subscriber, seconds

    def measure(self, subject, number):
        """Run a subject for one window."""
        folder = self.folder / f"{subject.name.replace(' ', '-').replace(',', '')}-{number}"
        folder.mkdir()
        command, more = subject.begin(folder)
        counts = self.subscriber.count(subject.topic.format(folder=folder.name) or "\0", subject.values_of)
        with running(command, folder / "log", env=os.environ | more, cwd=folder) as process:
            try:
                until(lambda: counts.values >= 2 * subject.expected, ARRIVE_S, f"{subject.name}: values", process)
                time.sleep(SETTLE_S)
                subject.windows.append(self._window(subject, process, counts))
            except RuntimeError as error:
                raise RuntimeError(f"{error}\n{(folder / 'log').read_text(errors='replace')[-2000:]}") from None

    def _window(self, subject, process, counts):
        counts.take()
        before, asked, began = used(process.pid), subject.machines.requests(), time.monotonic()
        unit_ms = yardstick(self.seconds)
        after, passed = used(process.pid), time.monotonic() - began
        requests = (subject.machines.requests() - asked) % 65536
        messages, size, values, new = counts.take()
        rates = [n / passed for n in (requests, messages, size / 1024, values, new)]
        cpu = 100 * (after.cpu_s - before.cpu_s) / passed
        return Window(cpu, cpu / unit_ms, after.rss / MIB, after.pss / MIB, *rates)


def edgetwin(bench, name, them, **chosen):
    def begin(folder):
        return peer_edgetwin.command(folder, them, bench.broker_port, **chosen), {}

    expected = len(them) * (chosen.get("words", 0) + chosen.get("floats", 0))
    return Subject(name, them, begin, "edgetwin/{folder}/summary/", peer_edgetwin.values, expected)


def tb_and_bare(bench, stack, only):
    """1000 float32 tags of one machine each second."""
    them = stack.enter_context(machines(1, floats=1000))
    mine = edgetwin(bench, "edgetwin, 1000 float32", them, floats=1000)
    subjects, goals = [mine], []
    if "tb" in only:
        home = absent_or(peer_thingsboard.installed)
        if home:
            peer = Subject(
                "thingsboard-gateway",
                them,
                lambda folder: peer_thingsboard.command(home, folder, them[0], bench.broker_port, 1000),
                "v1/gateway/telemetry",
                peer_thingsboard.values,
                1000,
            )
            subjects.append(peer)
            goals += [Goal(mine, peer, "work", 1 / 20), Goal(mine, peer, "rss", None)]
    if "bare" in only:
        loop = [sys.executable, Path(__file__).with_name("peer_bare.py"), them[0].port, FLOATS, 2000]
        peer = Subject("bare pymodbus loop", them, lambda folder: (loop, {}))
        subjects.append(peer)
        goals.append(Goal(mine, peer, "work", None))
    return subjects, goals


def nodered(bench, stack):
    """10 machines of 1000 registers each second over MQTT QoS 1."""
    them = stack.enter_context(machines(10, words=1000, floats=500))
    mine = [
        edgetwin(bench, "edgetwin, 10 x 1000 uint16", them, words=1000),
        edgetwin(bench, "edgetwin, 10 x 500 float32", them, floats=500),
        edgetwin(bench, "edgetwin, 10 x 1000 uint16, columns", them, words=1000, **AS_MUCH),
        edgetwin(bench, "edgetwin, 10 x 1000 uint16, columns, no raw", them, words=1000, raw=False, **AS_MUCH),
    ]
    home = absent_or(peer_nodered.installed)
    if not home:
        return mine, []
    peer = Subject(
        "Node-RED, 10 x 1000 registers",
        them,
        lambda folder: (peer_nodered.command(home, folder, them, bench.broker_port, free_port(), 1000), {}),
        "nodered/",
        peer_nodered.values,
        10_000,
    )
    goals = [Goal(m, peer, figure, 0.5) for m in mine for figure in ("work", "rss")]
    return [*mine, peer], goals


def absent_or(install):
    """What `install` gives; None, said aloud, where a peer cannot be had."""
    try:
        return install(CACHE)
    except AbsentError as why:
        print(f"skipped: {why}")
        return None


def spread(values, digits=1):
    """Median (least to most)."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def table(subjects):
    columns = [("CPU % of a core", 20), ("CPU/yard", 10), ("RSS MiB", 9), ("PSS MiB", 9), ("req/s", 8), ("msg/s", 7),
               ("KiB/s", 7), ("values/s", 10), ("new/s", 8)]  # fmt: skip
    print(f"\n{'':44}" + "".join(f"{name:>{width}}" for name, width in columns))
    for subject in subjects:
        w = subject.windows
        middle = {figure: statistics.median(getattr(one, figure) for one in w) for figure in vars(w[0])}
        plain = ("rss", "pss", "requests", "messages", "kib", "values", "new")
        figures = [spread([one.cpu for one in w]), f"{middle['work']:.2f}", *(f"{middle[f]:.0f}" for f in plain)]
        cells = [f"{text:>{width}}" for text, (_, width) in zip(figures, columns, strict=True)]
        print(f"{subject.name:44}" + "".join(cells))


def verdicts(goals):
    print("\nratio of each window, median (least to most)")
    for goal in goals:
        ratios = goal.ratios()
        figure = "CPU" if goal.figure == "work" else "memory (RSS)"
        said = ""
        if goal.limit is not None:
            met = statistics.median(ratios) <= goal.limit
            said = f"   goal {goal.limit:.3g}: {'met' if met else 'NOT met'}"
        print(f"  {figure:13} {goal.mine.name} / {goal.peer.name}: {spread(ratios, 3)}{said}")


def header(arguments):
    (model,) = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")][:1] or ["unknown CPU"]  # fmt: skip
    print(
        f"{time.strftime('%Y-%m-%d %H:%M')}  {model}, {os.cpu_count()} cores, Python {platform.python_version()},",
        end="",
    )
    print(f" load {os.getloadavg()[0]:.1f}; {arguments.windows} windows of {arguments.seconds:g} s, interleaved")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--only", default="tb,nodered,bare,memory,jitter", help="cases, with commas between")
    arguments = parser.parse_args()
    only = arguments.only.split(",")
    header(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgetwin-bench-")))
        _, port, subscriber = stack.enter_context(broker(folder))
        bench = Bench(folder, port, subscriber, arguments.seconds)
        subjects, goals = [], []
        if {"tb", "bare"} & {*only}:
            subjects, goals = tb_and_bare(bench, stack, only)
        if "nodered" in only:
            more, wanted = nodered(bench, stack)
            subjects, goals = subjects + more, goals + wanted
        for number in range(arguments.windows):
            for subject in subjects:
                bench.measure(subject, number)
        if subjects:
            table(subjects)
            verdicts(goals)
        if "memory" in only:
            daemon_alone.memory(folder, port, subscriber, arguments.windows)
        if "jitter" in only:
            daemon_alone.jitter(folder, port, arguments.windows, arguments.seconds)


if __name__ == "__main__":
    try:
        main()
    except (AbsentError, pytest.skip.Exception) as why:
        sys.exit(f"cannot be measured here: {why}")
