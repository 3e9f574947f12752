"""How fast records get through store and broker, and what waits while a backlog drains.

    python tests/bench/store/drain.py                    both
    python tests/bench/store/drain.py --samples 1000000 --rate 250000      as configured by default: 7 minutes

1. Records a CPU-second of this process, through the journal (synced commits, read by cursor, acknowledged) and a
   mosquitto, beside the same payloads published by bare aiomqtt with as many in flight: made before, and made by
   json.dumps as it goes. In turns, each several times.
2. Summaries of 100 tags are stored while there is no broker: 1,000,000 samples of them. Then the broker comes, and
   beside the backlog an event each half second and a summary each second go their way. How late they arrive is
   measured at a subscriber of its own process, from the moment in which they were put into the journal. Without --rate
   the backlog goes as fast as it can, which is the worst that can happen to what is new.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import aiomqtt
import anyio
import numpy as np
import plant
from mqtt_daemon import CATALOGUE, Counters, event, until
from mqtt_rig import Mosquitto

from agent.core.nouns import Event
from agent.runtime import clock, meters
from agent.runtime.hub import Hub
from agent.runtime.journal import Journal
from agent.runtime.taps import Taps
from agent.sinks import mqtt
from agent.sinks.mqtt import payload
from agent.store import record

TAGS, IN_FLIGHT = 100, 20
SUBSCRIBER = """
import sys, time
import paho.mqtt.client as paho
client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
client.on_connect = lambda c, *rest: (c.subscribe("edgetwin/gw1/+/live", 1), print("ready", flush=True))
client.on_message = lambda c, u, m: print(m.topic.split("/")[2], time.clock_gettime_ns(time.CLOCK_BOOTTIME),
                                          m.payload[:600].decode(errors="replace"), flush=True)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_forever()
"""


@asynccontextmanager
async def sink(folder, port, **options):
    counters = meters.install(Counters())
    journal = Journal.open(Path(folder) / "journal.db", 1 << 31, 10.0, "gw1")
    config = mqtt.Config(host="127.0.0.1", port=port, max_in_flight=IN_FLIGHT, **options)
    async with anyio.create_task_group() as group:
        group.start_soon(journal.run)
        await journal.flush()
        group.start_soon(mqtt.run, config, Taps("gw1", Hub(CATALOGUE), journal), None)
        yield journal, counters
        group.cancel_scope.cancel()


async def through_store(broker, entries):
    with tempfile.TemporaryDirectory() as folder:
        async with sink(folder, broker.port, backlog_bytes_per_s=1e9) as (journal, counters):
            await until(lambda: counters.read("mqtt/connected"))
            cpu_s, at_s = time.process_time(), time.monotonic()
            for entry in entries:
                journal.put(entry)
            await until(lambda: counters.read("mqtt/acknowledged") == len(entries), 600)
            await journal.flush()
            return len(entries) / (time.process_time() - cpu_s), len(entries) / (time.monotonic() - at_s)


async def bare(broker, contents, say=lambda content: content):
    rest = iter(contents)
    async with aiomqtt.Client(
        "127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5, max_inflight_messages=IN_FLIGHT
    ) as client:
        client.pending_calls_threshold = 2 * IN_FLIGHT  # else it logs each

        async def publish():
            for content in rest:
                await client.publish("edgetwin/gw1/event/tank", say(content), 1)

        cpu_s = time.process_time()
        async with anyio.create_task_group() as group:
            for _ in range(IN_FLIGHT):
                group.start_soon(publish)
        return len(contents) / (time.process_time() - cpu_s)


def contents_of(entries):
    kept = (record.Record(n, e.class_, 1, n, "b", e.t_ns, clock.wall_ns(), "synchronised", e.asset, e.kind, e.body)
            for n, e in enumerate(entries, 1))  # fmt: skip
    return [payload.message("gw1", one).content for one in kept]


async def ratios(broker, count, rounds):
    made = plant.Plant(TAGS)
    now_ns = clock.now_ns()
    kinds = {
        "events": [event(n) for n in range(count)],
        f"summaries of {TAGS} tags": [plant.summary("tank", now_ns + n, made.seconds(60)) for n in range(count // 4)],
    }
    print(f"{'records a CPU-second':24}{'store + broker':>15}{'bare aiomqtt':>14}{'ratio (spread)':>20}"
          f"{'+ json.dumps':>14}{'ratio (spread)':>20}{'a second':>10}")  # fmt: skip
    for name, entries in kinds.items():
        contents, found = contents_of(entries), []
        trees = [json.loads(content) for content in contents]
        for _ in range(rounds):
            ours, a_second = await through_store(broker, entries)
            found.append((ours, await bare(broker, contents), await bare(broker, trees, json.dumps), a_second))
        ours, alone, dumped, a_second = np.array(found).T
        print(f"{name:24}{np.median(ours):15.0f}{np.median(alone):14.0f}{spread(ours / alone):>20}"
              f"{np.median(dumped):14.0f}{spread(ours / dumped):>20}{np.median(a_second):10.0f}",
              flush=True)  # fmt: skip


def spread(ratios):
    return f"{np.median(ratios):.2f} ({ratios.min():.2f}-{ratios.max():.2f})"


async def drained(broker, samples, rate):
    windows, made = samples // TAGS, plant.Plant(TAGS)
    with tempfile.TemporaryDirectory() as folder:
        async with sink(folder, broker.port, backlog_bytes_per_s=rate or 1e12) as (journal, counters):
            now_ns = clock.now_ns()
            for n in range(windows):
                journal.put(plant.summary("tank", now_ns + n, made.seconds(60)))
                if n % 500 == 499:
                    await journal.flush()
            await journal.flush()
            await until(lambda: counters.read("mqtt/pending") == windows)
            print(f"stored: {windows} summaries of {TAGS} tags, {windows * TAGS} samples, "
                  f"{(Path(folder) / 'journal.db').stat().st_size / 1e6:.0f} MB; memory {rss_mb():.0f} MB",
                  flush=True)  # fmt: skip
            await broker.start()
            command = [sys.executable, "-c", SUBSCRIBER, str(broker.port)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as subscriber:
                try:
                    assert subscriber.stdout.readline() == "ready\n"
                    await measured(journal, counters, made, windows, subscriber)
                finally:
                    subscriber.kill()
            broker.kill()


async def measured(journal, counters, made, windows, subscriber):
    await until(lambda: counters.read("mqtt/connected"), 60)
    put, most, at_s, done_s = {"event": {}, "summary": {}}, 0.0, time.monotonic(), 0.0
    for n in range(1_000_000):
        now_ns = clock.now_ns()
        journal.put(record.event(Event(f"live-{n}", "live", now_ns, "mode", f"live {n}")))
        put["event"][f"live-{n}"] = now_ns
        if n % 2 == 0:
            journal.put(plant.summary("live", now_ns - 60 * plant.SECOND_NS, made.seconds(60)))
            put["summary"][n // 2] = now_ns
        await anyio.sleep(0.5)
        most = max(most, rss_mb())
        if counters.read("mqtt/acknowledged") >= windows + sum(map(len, put.values())) - 4:
            done_s = time.monotonic() - at_s
            break
    await anyio.sleep(1)
    subscriber.kill()
    late = {"event": [], "summary": []}
    for line in subscriber.stdout.read().splitlines():
        class_, at_ns, said = line.split(" ", 2)
        if class_ == "event":
            late[class_].append((int(at_ns) - put[class_].pop(json.loads(said)["id"])) / 1e9)
        else:
            late[class_].append((int(at_ns) - put[class_].pop(len(late[class_]))) / 1e9)
    print(f"drained in {done_s:.0f} s, {windows * TAGS / done_s:.0f} samples a second; memory at most {most:.0f} MB")
    for class_, found in late.items():
        print(f"meanwhile {len(found)} {class_}s, {len(put[class_])} missing; late by "
              f"{np.median(found):.3f} s in the middle, {np.quantile(found, 0.99):.3f} s for 1 %, "
              f"{max(found):.3f} s at worst")  # fmt: skip


def rss_mb():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


async def main(count, rounds, samples, rate):
    with tempfile.TemporaryDirectory() as folder:
        if count:
            async with Mosquitto(Path(folder)) as broker:
                await ratios(broker, count, rounds)
        if samples:
            await drained(Mosquitto(Path(folder)), samples, rate)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=4000, help="events of a round, 0 for none of it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=1_000_000, help="stored samples to drain, 0 for none of it")
    parser.add_argument("--rate", type=float, default=0.0, help="backlog_bytes_per_s; 0: no limit")
    a = parser.parse_args()
    anyio.run(main, a.count, a.rounds, a.samples, a.rate)
