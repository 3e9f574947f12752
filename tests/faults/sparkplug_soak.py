"""Cuts the connection of a Sparkplug edge node again and again, and counts what its host has missed at the end.

    python tests/faults/sparkplug_soak.py                20 faults
    python tests/faults/sparkplug_soak.py --faults 200 --seed 3

A machine counts up, every 50 ms. At random moments the connection is cut (and no broker listens for a while), or it
freezes: what is handed over then goes nowhere, and nobody says so. What the host has been told, live or as history, is
compared with what there was: each number once at least. Needs mosquitto, node and npm.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))

from mqtt_rig import Mosquitto
from node_packages import installed
from sparkplug_rig import Tap, edge

PERIOD_S = 0.05


async def soak(folder, faults, chance):
    installed(folder, "sparkplug-client@3.2.4")
    (folder / "broker").mkdir()
    async with Mosquitto(folder / "broker") as broker:
        tap = Tap(folder, broker.port)
        try:
            await tap.until(lambda: tap.packets("host connected"))
            async with edge(folder, tap.port, acknowledge_timeout_s=0.5, version=chance.choice(("5", "3.1.1"))) as (
                machines,
                counters,
            ):
                count = await _counting(machines, tap, faults, chance)
                await tap.until(lambda: told(tap) >= set(range(1, count + 1)) or _settled(counters), 60)
                return count, told(tap), tap
        finally:
            tap.close()


def _settled(counters):
    """Nothing more is coming: all there was has been acknowledged for a while."""
    now = counters.read("spb/acknowledged")
    before, counters.seen = getattr(counters, "seen", None), (now, time.monotonic())
    if before is not None and before[0] == now:
        counters.seen = before
        return time.monotonic() - before[1] > 5
    return False


async def _counting(machines, tap, faults, chance):
    """Count until so many faults have happened, and 2 s longer; gives the last number."""
    count = 0

    async def breaking():
        for n in range(faults):
            await anyio.sleep(chance.uniform(1, 6))
            kind = chance.choice((("shut", "open"), ("frozen", "thawed")))
            tap.tell(door=kind[0])
            await anyio.sleep(chance.uniform(0.1, 2))
            tap.tell(door=kind[1])
            if n % 20 == 19:
                print(f"  {n + 1} faults, {count} numbers", flush=True)
        await anyio.sleep(2)
        counting.cancel()

    async def counting_up():
        nonlocal count
        with counting:
            while True:
                count += 1
                machines.gateway()
                machines.tank()
                machines.pump(float(count))
                await anyio.sleep(PERIOD_S)

    counting = anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(counting_up)
        group.start_soon(breaking)
    await machines.journal.flush()
    return count


def told(tap):
    """Every number that the host has heard of, in births, data or history."""
    messages = [
        p for p in list(tap.lines) if p["cmd"] == "heard" and p["topic"].endswith("/pump") and "metrics" in p["payload"]
    ]
    return {int(m["value"]) for p in messages for m in p["payload"]["raw"] if m["value"] is not None}


def main(faults, seed):
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        count, heard, tap = anyio.run(soak, Path(folder), faults, chance)
    missing = sorted(set(range(1, count + 1)) - heard)
    births = [p["payload"]["metrics"][0]["value"] for p in tap.heard("NBIRTH")]
    history = sum(m["historical"] for p in tap.heard("DDATA") for m in p["payload"]["raw"])
    print(f"{faults} faults, {count} numbers, {len(births)} births heard, {history} values told as history")
    print(f"missing at the host: {len(missing)} {missing[:10] or ''}")
    return 1 if missing else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    sys.exit(main(**vars(parser.parse_args())))
