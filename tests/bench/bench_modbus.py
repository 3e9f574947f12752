"""CPU and jitter of the Modbus driver beside a bare pymodbus loop and an idle ticker, in one run.

    python tests/bench/bench_modbus.py

1000 float32 tags in contiguous registers: 17 requests a poll. The bare loop reads the same blocks and decodes nothing.
"""

import asyncio
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from pymodbus.client import AsyncModbusTcpClient

sys.path.insert(0, str(Path(__file__).parents[1]))

from driver_rig import running
from peers import libmodbus

from agent.core.nouns import Tag
from agent.drivers import modbus
from agent.drivers.modbus.polling import ask_all, scheduled
from agent.drivers.modbus.wire.link import Link

POLLS, ROUNDS = 30, 7


def tags(n, scan_s=1.0):
    return [Tag(f"rig/a/{i}", f"input:{2 * i}", "float32", "CDAB", scan_s) for i in range(n)]


async def bare(port, blocks):
    client = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0)
    await client.connect()
    began = time.process_time()
    for _ in range(POLLS):
        for start, count in blocks:
            await client.read_input_registers(start, count=count, device_id=1)
    used = time.process_time() - began
    client.close()
    return used


async def ours(config, wanted):
    link, batches = Link(config, 1.0), []
    schedule = scheduled(config, wanted, batches.append)
    (scan,) = schedule.classes
    await ask_all(schedule, link)
    began = time.process_time()
    for _ in range(POLLS):
        scan.due = replace(scan.due, ns=0)
        await ask_all(schedule, link)
    used = time.process_time() - began
    link.close()
    assert len(batches) == POLLS + 1
    return used


async def lateness(config, period_s, seconds):
    async with running(modbus, config, tags(1000, period_s)) as rig:
        await asyncio.sleep(seconds)
        arrived = np.array([b.t_ns[0] for b in rig.batches[1:]])
    return late(arrived, period_s)


async def ticker(period_s, seconds):
    """Wakes at whole periods and does nothing."""
    found, period_ns = [], int(period_s * 1e9)
    until_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + int(seconds * 1e9)
    while (now_ns := time.clock_gettime_ns(time.CLOCK_BOOTTIME)) < until_ns:
        await asyncio.sleep((period_ns - now_ns % period_ns) * 1e-9)
        found.append(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    return late(np.array(found), period_s)


def late(times, period_s):
    """Milliseconds after the whole period: p50, p99."""
    offset = (times % int(period_s * 1e9)) * 1e-6
    return [float(np.percentile(offset, q)) for q in (50, 99)]


async def main():
    with libmodbus() as peer:
        config = modbus.Config(id="plc1", type="modbus", host="127.0.0.1", port=peer.port)
        wanted = tags(1000)
        (scan,) = scheduled(config, wanted, list).classes
        blocks = [(request.block.start, request.block.count) for request in scan.plan]
        rounds = [(await bare(peer.port, blocks), await ours(config, wanted)) for _ in range(ROUNDS)]
        per = 1e6 / (POLLS * len(blocks))
        raw, mine = (statistics.median(r[i] for r in rounds) * per for i in (0, 1))
        ratio = statistics.median(m / r for r, m in rounds)
        print(f"1000 float32 in {len(blocks)} requests, CPU ms per 1000 requests (median of {ROUNDS}, interleaved)")
        print(f"  bare pymodbus, nothing decoded  {raw:7.1f}")
        print(f"  this driver, decoded to a batch {mine:7.1f}   ratio {ratio:.2f}")
        for name, found in (
            ("idle ticker", await ticker(0.1, 8)),
            ("driver, response of the first block", await lateness(config, 0.1, 8)),
        ):
            print(f"  100 ms period, {name:37} p50 {found[0]:5.1f} ms  p99 {found[1]:5.1f} ms after the due time")


if __name__ == "__main__":
    asyncio.run(main())
