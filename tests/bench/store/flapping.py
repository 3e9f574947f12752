"""A line that comes and goes: what arrives, what arrives twice, how late, and how often we knock (fault 18).

    python tests/bench/store/flapping.py --minutes 60

Three seconds up, seven down. An event each half second and a summary of 100 tags every ten seconds; a subscriber
behind the line has to get each of them.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import anyio
import numpy as np
import plant
from mqtt_daemon import daemon, event, until
from mqtt_rig import Door, Mosquitto, listening

from agent.runtime import clock

UP_S, DOWN_S = 3.0, 7.0


async def flap(door):
    while True:
        await anyio.sleep(UP_S)
        door.shut()
        await anyio.sleep(DOWN_S)
        door.open = True


async def arrivals(heard, at):
    seen = 0
    while True:
        await heard.news.wait()
        for topic, _, message in heard.messages[seen:]:
            if "/event/" in topic:
                at.setdefault(message["text"], time.monotonic())
        seen = len(heard.messages)


async def main(minutes):
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Mosquitto(Path(folder)) as broker,
            listening(broker.port) as heard,
            anyio.create_task_group() as group,
        ):
            door, put, arrived, made = Door(broker.port), {}, {}, plant.Plant(100)
            group.start_soon(door.run)
            await anyio.sleep(0.1)
            async with daemon(Path(folder), door.port) as (journal, counters):
                group.start_soon(arrivals, heard, arrived)
                await until(lambda: counters.read("mqtt/connected"))
                group.start_soon(flap, door)
                for n in range(int(minutes * 120)):
                    journal.put(event(n))
                    put[f"event {n}"] = time.monotonic()
                    if n % 20 == 0:
                        journal.put(plant.summary("tank", clock.now_ns(), made.seconds(60)))
                    await anyio.sleep(0.5)
                summaries = 1 + (len(put) - 1) // 20
                await until(lambda: counters.read("mqtt/acknowledged") >= len(put) + summaries, 300)
                reconnects, errors = counters.read("mqtt/reconnects"), counters.read("mqtt/errors")
            await anyio.sleep(1)
            group.cancel_scope.cancel()
        got = len(heard.of("/event/")), len(heard.of("/summary/"))
        late = [arrived[text] - at_s for text, at_s in put.items() if text in arrived]
        print(f"{minutes:g} minutes, {UP_S:g} s up and {DOWN_S:g} s down: {len(put)} events, {summaries} summaries")
        there = len({m["seq"] for m in heard.of("/summary/")})
        print(f"missing {len(put) - len(late)} events, {summaries - there} summaries;"
              f" twice {got[0] - len(late)} events, {got[1] - there} summaries")  # fmt: skip
        print(f"late by {np.median(late):.1f} s in the middle, {max(late):.1f} s at worst; "
              f"{reconnects:.0f} attempts after {errors:.0f} errors: {reconnects / minutes:.1f} a minute")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.0)
    anyio.run(main, parser.parse_args().minutes)
