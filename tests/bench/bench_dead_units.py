"""What dead devices and many tags cost: scan jitter beside an idle ticker in the same run, CPU, memory.

    python tests/bench/bench_dead_units.py [seconds]

50 endpoints, all healthy and then 10 of 50 dead (5 refuse the connection, 5 accept it and never answer); one endpoint
of 10 units, all healthy and then 2 of 10 dead; 10,000 tags each second from 10 devices, driver and engine in one
process. The jitter of a poll is how long after its due time its first answer came. What follows "idle" are ten loops
that only sleep until the same due times, at the same time in a process of their own.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import driver_rig
from driver_rig import running
from peers import free_port, libmodbus

from agent.core.nouns import Mode, Names, Point, Role, Tag
from agent.drivers import modbus
from agent.engine import state as states
from agent.engine.asset import Asset, Modes
from agent.runtime import meters, supervise
from agent.runtime.cycle import Cycle
from agent.runtime.inbox import Inbox, Intake, Route
from agent.runtime.pace import Pace

driver_rig.QUICK = supervise.Backoff()  # as the daemon waits before it starts a driver again
PERIOD_S = 1.0
RESTS_S, ROUNDS = 3.0, 5


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def tags(n, unit=1, period_s=PERIOD_S):
    """`n` float32 in contiguous registers of a unit."""
    return [Tag(f"rig/u{unit}/{i}", f"{unit}/input:{2 * i}", "float32", "CDAB", period_s) for i in range(n)]


def config(port, **more):
    return modbus.Config(id="plc", type="modbus", host="127.0.0.1", port=port, **more)


def late_ms(times, period_s=PERIOD_S):
    """p50, p99 of how long after the whole period: milliseconds."""
    off = (np.array(times) % int(period_s * 1e9)) * 1e-6
    return np.percentile(off, [50, 99])


async def idle(seconds):
    """Print when ten idle loops came round."""
    found = []

    async def tick():
        pace = Pace(PERIOD_S, "idle/missed")
        while True:
            await pace.next()
            found.append(now_ns())

    tasks = [asyncio.create_task(tick()) for _ in range(10)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    print(*found)


class Window:
    """Times within which samples count, and the CPU used meanwhile beside an idle ticker."""

    def __init__(self, seconds):
        self.seconds, self.idle, self.cpu = seconds, [], 0.0

    async def __aenter__(self):
        await asyncio.sleep(RESTS_S)
        command = [sys.executable, __file__, "idle", str(self.seconds)]
        ticker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.start_ns, began, clock = now_ns(), time.process_time(), time.monotonic()
        await asyncio.sleep(self.seconds)
        self.end_ns, self.cpu = now_ns(), (time.process_time() - began) / (time.monotonic() - clock)
        self.idle = [int(word) for word in (await asyncio.to_thread(ticker.communicate))[0].split()]
        return self

    async def __aexit__(self, *_):
        pass

    def first_answers(self, rigs, healthy=lambda tag: True):
        """The time of the first answer to each poll of healthy tags."""
        times = []
        for rig in rigs:
            good = np.array([healthy(tag) for tag in rig.tags])
            found = [b.t_ns[good[b.tag]] for b in rig.batches]
            times += [t.min() for t in found if len(t) and self.start_ns < t.min() < self.end_ns]
        return times


def line(name, window, times, samples):
    p50, p99 = late_ms(times)
    idle50, idle99 = late_ms(window.idle)
    print(
        f"  {name:34} p50 {p50:6.2f} ms  p99 {p99:6.2f} ms   idle {idle50:5.2f} {idle99:6.2f} ms   "
        f"p99 {p99 / idle99:4.2f} times   polls {len(times):5} of {samples:5}   CPU {100 * window.cpu:4.1f} %"
    )
    return p99, p99 / idle99


async def endpoints(peers, dead, seconds):
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.socket()) for _ in range(dead // 2)]
        for one in silent:
            one.bind(("127.0.0.1", 0))
            one.listen(100)
        ports = [s.getsockname()[1] for s in silent] + [free_port() for _ in range(dead - dead // 2)]
        alive = [peers[i % len(peers)].port for i in range(50 - dead)]
        async with AsyncExitStack() as rigs:
            start = partial(running, modbus)
            for port in ports:
                await rigs.enter_async_context(start(config(port), tags(100)))
            healthy = [await rigs.enter_async_context(start(config(port), tags(100))) for port in alive]
            async with Window(seconds) as window:
                times = window.first_answers(healthy)
                return line(f"50 endpoints, {dead} dead", window, times, int(len(healthy) * seconds / PERIOD_S))


async def units(peer, dead, seconds):
    numbers = [1, 2, 3, 4, 5, 6, 7, 8, *((9, 19) if dead else (11, 12))]
    wanted = [tag for unit in numbers for tag in tags(100, unit)]
    async with running(modbus, config(peer.port), wanted) as rig, Window(seconds) as window:
        times = window.first_answers([rig], lambda tag: not tag.id.startswith(("rig/u9/", "rig/u19/")))
        return line(f"1 endpoint of 10 units, {dead} dead", window, times, int(seconds / PERIOD_S))


def asset(number, wanted):
    measured = tuple(Point(t.id, Role.MEASURED) for t in wanted)
    return Asset(
        id=f"rig{number}",
        epoch=1,
        period_s=PERIOD_S,
        tags=tuple(wanted),
        names=Names(t.id.removeprefix("rig/") for t in wanted),
        points=(*measured, Point(f"rig{number}/state/mode", Role.MODE)),
        modes=Modes(otherwise=Mode.RUNNING),
        stale_s=(3.0,) * len(wanted),
    )


async def whole(group, ports, n):
    """For each port a driver with `n` tags and the cycle of an asset that takes them: the first sample of each poll."""
    meters.install(meters.Meters())
    first, inboxes = [], {}
    for number, port in enumerate(ports):
        wanted = tags(n)
        built = asset(number, wanted)
        inboxes[built.id] = Inbox(built.id)
        intake = Intake("plc", n, [Route(built.id, np.arange(n, dtype=np.int32))], inboxes)

        def put(batch, intake=intake):
            first.append(batch.t_ns.min())
            intake.put(batch)

        group.create_task(modbus.run(config(port), wanted, put, nothing()))
        group.create_task(Cycle(built, states.initial(built), inboxes[built.id], lambda *_: None).run())
    return first


async def nothing():
    await asyncio.Event().wait()
    yield


async def many(peers, seconds):
    async with asyncio.TaskGroup() as group:
        first = await whole(group, [peers[i % len(peers)].port for i in range(10)], 1000)
        async with Window(seconds) as window:
            times = [t for t in first if window.start_ns < t < window.end_ns]
            found = line("10,000 tags/s from 10 devices", window, times, int(10 * seconds / PERIOD_S))
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        return found


async def resident(port, n):
    """MiB of this process with one device of `n` tags, after some polls."""
    async with asyncio.TaskGroup() as group:
        await whole(group, [port], n)
        await asyncio.sleep(4)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        print(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


def memory(port):
    """MiB a further 1000 tags, from processes with 1000 and with 9000."""
    found = [
        float(
            subprocess.run([sys.executable, __file__, "rss", str(port), str(n)], capture_output=True, check=True).stdout
        )
        for n in (1000, 9000)
    ]
    print(f"  memory with 1000 tags {found[0]:.1f} MiB, each further 1000 tags {(found[1] - found[0]) / 8:.2f} MiB")


async def compared(measured, dead, seconds):
    """Without and with so many dead, in turn: a machine that others use is not the same for long."""
    rounds = [(await measured(0, seconds), await measured(dead, seconds)) for _ in range(ROUNDS)]
    print(
        f"    p99 with {dead} dead / without, median of {ROUNDS}: {np.median([d / h for (h, _), (d, _) in rounds]):.2f}"
    )


async def main(seconds):
    with libmodbus() as one, libmodbus() as two, libmodbus() as three:
        peers = [one, two, three]
        print(f"{seconds:g} s each in {ROUNDS} rounds, period {PERIOD_S:g} s, 100 float32 a device")
        await compared(partial(endpoints, peers), 10, seconds / ROUNDS)
        await compared(partial(units, one), 2, seconds / ROUNDS)
        shares = [(await many(peers, seconds / ROUNDS))[1] for _ in range(ROUNDS)]
        print(f"    p99 / idle p99, median of {ROUNDS}: {np.median(shares):.2f}")
        memory(one.port)


if __name__ == "__main__":
    if sys.argv[1:2] == ["rss"]:
        asyncio.run(resident(int(sys.argv[2]), int(sys.argv[3])))
    elif sys.argv[1:2] == ["idle"]:
        asyncio.run(idle(float(sys.argv[2])))
    else:
        asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 100.0))
