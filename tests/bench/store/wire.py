"""Bytes on the wire and on the disk, beside JSON for each sample: 100 tags at 1 Hz, summaries of 60 s.

    python tests/bench/store/wire.py [--tags 100] [--hours 24]

The sink publishes to a real mosquitto through a proxy that counts what passes inside TCP, both ways: MQTT headers and
acknowledgements are in it, TCP/IP headers and TLS records are not (some 80 to 130 bytes a message with its
acknowledgement). A day is played as fast as it goes, so the pings of a quiet line are added by arithmetic. JSON for
each sample goes through the same proxy for some minutes and is scaled up.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import aiomqtt
import anyio
import plant
from mqtt_daemon import Counters, until
from mqtt_rig import Mosquitto, free_port

from agent.core.nouns import Catalogue, Part, Point, Role
from agent.runtime import clock, meters
from agent.runtime.hub import Hub
from agent.runtime.journal import Journal
from agent.runtime.taps import Taps
from agent.sinks import mqtt
from agent.sinks.mqtt.link import LIBRARYS_SHARE

DAY_S = 86400
KEEPALIVE_S = 30
RAW_S = 600  # of raw history on the disk
ABOVE = {"compress_above_bytes": 500}
WAYS = {
    "named": {},
    "named, compressed": ABOVE,
    "columns": {"layout": "columns"},
    "columns, compressed": {"layout": "columns", **ABOVE},
    "columns of mean, min, max, compressed": {"layout": "columns", "figures": ("min", "mean", "max"), **ABOVE},
}


class Counting:
    """A port that leads to another; counts the bytes."""

    def __init__(self, to):
        self.port, self.to, self.bytes = free_port(), to, 0

    async def run(self):
        async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self.port) as server:
            await server.serve(self._lead)

    async def _lead(self, near):
        async with near, await anyio.connect_tcp("127.0.0.1", self.to) as far, anyio.create_task_group() as group:
            group.start_soon(self._copy, near, far, group)
            group.start_soon(self._copy, far, near, group)

    async def _copy(self, source, sink, group):
        try:
            async for chunk in source:
                self.bytes += len(chunk)
                await sink.send(chunk)
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        group.cancel_scope.cancel()


def catalogue(tags):
    points = tuple(Point(f"plant/{name}", Role.MEASURED, unit="m", eu_lo=0, eu_hi=500) for name in plant.names(tags))
    return Catalogue("gw1", 1, points, (Part("plant", 0, tags),))


async def published(broker, tags, windows, **options):
    """(Bytes on the wire of connecting, of the summaries; bytes of the journal that held them)."""
    counters = meters.install(Counters())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        journal, hub, door = Journal.open(path, 1 << 30, 10.0, "gw1"), Hub(catalogue(tags)), Counting(broker.port)
        config = mqtt.Config(host="127.0.0.1", port=door.port, backlog_bytes_per_s=1e9, **options)
        async with anyio.create_task_group() as group:
            group.start_soon(door.run)
            await anyio.sleep(0.1)
            group.start_soon(journal.run)
            group.start_soon(mqtt.run, config, Taps("gw1", hub, journal), None)
            await until(lambda: counters.read("mqtt/connected"))
            await anyio.sleep(0.5)
            at_start, made, now_ns = door.bytes, plant.Plant(tags), clock.now_ns()
            for n in range(windows):
                journal.put(plant.summary("plant", now_ns + n * 60 * plant.SECOND_NS, made.seconds(60)))
                await anyio.sleep(0)
            await until(lambda: counters.read("mqtt/acknowledged") == windows, 600)
            sent = door.bytes - at_start
            await journal.flush()
            group.cancel_scope.cancel()
        size = sum(p.stat().st_size for p in path.parent.glob("journal.db*"))
    return at_start, sent, size


async def raw_on_disk(tags):
    """Bytes a sample of raw history, from a journal and from lines of JSON."""
    meters.install(Counters())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        journal = Journal.open(path, 1 << 30, 60.0, "gw1")
        async with anyio.create_task_group() as group:
            group.start_soon(journal.run)
            await journal.flush()
            before, now_ns, rows = path.stat().st_size, clock.now_ns(), plant.Plant(tags).seconds(RAW_S)
            for n, row in enumerate(rows):
                journal.put(plant.tick("plant", n, now_ns + n * plant.SECOND_NS, row))
                if n % 60 == 59:
                    await journal.flush()
            group.cancel_scope.cancel()
        size = sum(p.stat().st_size for p in path.parent.glob("journal.db*")) - before
    lines = sum(len(said) + 1 for n, row in enumerate(rows) for said in each_sample(tags, n, row))
    return size / rows.size, lines / rows.size


def each_sample(tags, n, row):
    """What a gateway that sends samples says: as Telegraf's json format, without its spaces."""
    for name, value in zip(plant.names(tags), row.tolist(), strict=True):
        said = {
            "name": "plant",
            "tags": {"tag": name},
            "fields": {"value": value},
            "timestamp": 1795348800000 + n * 1000,
        }
        yield json.dumps(said, separators=(",", ":")).encode()


async def samples_published(broker, tags, seconds):
    """Bytes on the wire of a message for each sample, and of one for all tags of a second."""
    found = []
    for together in (False, True):
        door = Counting(broker.port)
        async with anyio.create_task_group() as group:
            group.start_soon(door.run)
            await anyio.sleep(0.1)
            async with aiomqtt.Client("127.0.0.1", door.port) as client:
                for n, row in enumerate(plant.Plant(tags).seconds(seconds)):
                    said = list(each_sample(tags, n, row))
                    if together:
                        values = dict(zip(plant.names(tags), row.tolist(), strict=True))
                        said = [json.dumps({"timestamp": n, "fields": values}, separators=(",", ":")).encode()]
                    for one in said:
                        await client.publish("edgetwin/gw1/plant", one, 1)
                found.append(door.bytes / seconds)
            group.cancel_scope.cancel()
    return found


async def main(tags, hours):
    windows = int(hours * 60)
    pings = DAY_S / int(LIBRARYS_SHARE * KEEPALIVE_S) * 4
    with tempfile.TemporaryDirectory() as folder:
        async with Mosquitto(Path(folder)) as broker:
            print(f"{tags} tags at 1 Hz, {windows} windows of 60 s; a day has 1440", flush=True)
            alone, at_once = await samples_published(broker, tags, 20)
            print(f"{'':44}{'MB a day':>10}{'to JSON/sample':>16}{'B a window':>15}{'to connect, birth':>19}")
            print(f"{'JSON for each sample, QoS 1':44}{alone * DAY_S / 1e6:10.2f}{'1':>16}")
            print(f"{'JSON for all tags of a second, QoS 1':44}{at_once * DAY_S / 1e6:10.2f}{at_once / alone:16.4f}")
            for words, options in WAYS.items():
                connecting, sent, size = await published(broker, tags, windows, **options)
                a_day = sent * 1440 / windows + pings + connecting
                print(f"{words:44}{a_day / 1e6:10.2f}{a_day / (alone * DAY_S):16.4f}", end="")
                print(f"{sent / windows:15.0f}{connecting:19}", flush=True)
            print(f"summaries on the disk: {size / windows:.0f} B a window, {size * 1440 / windows / 1e6:.2f} MB a day")
    raw, lines = await raw_on_disk(tags)
    print(f"raw history on the disk: {raw:.2f} B a sample, {raw * tags * DAY_S / 1e6:.1f} MB a day; "
          f"lines of JSON {lines:.1f} B a sample: {raw / lines:.4f} of it")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tags", type=int, default=100)
    parser.add_argument("--hours", type=float, default=24.0)
    arguments = parser.parse_args()
    anyio.run(main, arguments.tags, arguments.hours)
