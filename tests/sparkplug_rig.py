"""A Sparkplug edge node of ours behind a tap that tells each of its packets, with a broker and a host (node, npm)."""

import json
import subprocess
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import numpy as np
from mqtt_rig import free_port

from agent.core import quality
from agent.core.nouns import Answer, Catalogue, Condition, Kind, Mode, Part, Point, Role, Snapshot
from agent.runtime import clock, meters
from agent.runtime.hub import Hub
from agent.runtime.journal import Journal
from agent.runtime.taps import Taps
from agent.sinks import mqtt
from agent.store import record

POINTS = (
    Point("tank/lower/level", Role.MEASURED, unit="m", eu_lo=0, eu_hi=2, description="Füllstand", deadband=0.1),
    Point("tank/lower/count", Role.MEASURED, type="int16"),
    Point("tank/drive/state", Role.MEASURED, kind=Kind.ENUMERATION, enum={0: "off", 1: "on"}, type="uint8"),
    Point("tank/drive/on", Role.MEASURED, type="bool"),
    Point("tank/drive/pulses", Role.MEASURED, type="uint32"),
    Point("tank/drive/speed", Role.MEASURED, type="float32"),
    Point("tank/lower/level.expected", Role.EXPECTED, of="tank/lower/level", unit="m"),
    Point("tank/state/word", Role.STATUS, kind=Kind.TEXT),
    Point("tank/drive/spectrum", Role.MEASURED, kind=Kind.ARRAY),
)
OTHER = (Point("pump/motor/speed", Role.MEASURED),)
OWN = (Point("gateway/process/rss", Role.MEASURED, unit="MiB"),)
CATALOGUE = Catalogue(
    "gw1",
    1,
    (*POINTS, *OTHER, *OWN),
    (Part("tank", 0, 9, "Tank"), Part("pump", 9, 10), Part("gateway", 10, 11)),
)
START = {"level": 1.0, "count": -3.0, "state": 1.0, "on": 1.0, "pulses": 4e9, "speed": 0.5, "expected": 1.25}


class Tap:
    """The node process: packets of the edge node, and what a host hears, in the order of the wire."""

    def __init__(self, folder, broker):
        script = Path(__file__).parent / "integration" / "node" / "sparkplug_tap.js"
        self.port, self.lines, self._seen = free_port(), [], 0
        copy = folder / script.name
        copy.write_text(script.read_text())
        command = ["node", str(copy), str(self.port), str(broker)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reading = threading.Thread(target=self._read)
        self._reading.start()
        while not self.packets("ready"):
            assert self._process.poll() is None, "the tap has ended"
            time.sleep(0.01)

    def _read(self):
        for line in self._process.stdout:
            self.lines.append(json.loads(line))

    def tell(self, **said):
        self._process.stdin.write(json.dumps(said) + "\n")
        self._process.stdin.flush()

    def command(self, topic, *metrics):
        self.tell(command=topic, metrics=list(metrics))

    def rebirth(self, group="plant", node="gw1"):
        self.command(f"spBv1.0/{group}/NCMD/{node}", {"name": "Node Control/Rebirth", "type": "Boolean", "value": True})

    def state(self, online, timestamp, host="scada"):
        self.tell(state=host, online=online, timestamp=timestamp)

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)
        self._reading.join(10)
        self._process.stdout.close()

    def packets(self, cmd="publish", verb="", after=0):
        """Those of the edge node."""
        return [p for p in self.lines[after:] if p["cmd"] == cmd and (not verb or f"/{verb}/" in p["topic"])]

    def heard(self, verb, after=0):
        return self.packets("heard", verb, after)

    async def until(self, enough, seconds=15):
        """Until enough() is true; gives the number of lines then."""
        try:
            with anyio.fail_after(seconds):
                while not enough():
                    await anyio.sleep(0.01)
        except TimeoutError:
            told = [(p["cmd"], p.get("topic")) for p in self.lines[-12:]]
            raise AssertionError(f"waited {seconds} s in vain, last: {told}") from None
        return len(self.lines)


class Machines:
    """Makes snapshots of the three assets, and puts them where the daemon would."""

    def __init__(self, hub, journal):
        self.hub, self.journal, self.seq, self.epoch = hub, journal, 0, 1
        self.conditions = ()

    def tank(self, *, status=0, texts=None, array=(1.0, 2.0), keep=True, publish=True, **values):
        value = [*(START | values).values(), np.nan, np.nan]
        return self._put("tank", value, status, {7: "fine"} if texts is None else texts,
                         {8: np.array(array)}, self.conditions, keep, publish)  # fmt: skip

    def pump(self, *speed, status=0, keep=True, publish=True):
        return self._put("pump", speed or [5.0], status, {}, {}, (), keep, publish)

    def gateway(self, rss=100.0):
        return self._put("gateway", [rss], 0, {}, {}, (), False, True)

    def all(self):
        self.tank()
        self.pump()
        self.gateway()

    def _put(self, asset, value, status, texts, arrays, conditions, keep, publish):
        self.seq += 1
        now, m = clock.now_ns(), len(value)
        status = np.full(m, status, np.uint32) if np.isscalar(status) else np.array(status, np.uint32)
        value = np.where(quality.bad_mask(status), np.nan, np.array(value))
        times = np.full(m, now - 1_000_000), np.zeros(m, np.int64)
        snapshot = Snapshot(asset, self.epoch, self.seq, now, value, status, *times, texts, Mode.RUNNING, {},
                            conditions, None, (), (), (), arrays=arrays)  # fmt: skip
        if keep:
            self.journal.put(record.snapshot(snapshot))
        if publish:
            self.hub.publish(snapshot)
        return snapshot


def condition(active=True, acknowledged=False):
    return Condition("tank/lower/level.high", "tank", "tank/lower/level", "limit", "alarm", "high", active,
                     acknowledged, clock.now_ns() if active else 0)  # fmt: skip


class Asked:
    """Stands for the gate."""

    def __init__(self):
        self.requests = []

    async def __call__(self, request):
        self.requests.append(request)
        return Answer(request.id, False, "writing is off")


@asynccontextmanager
async def edge(folder, port, group="plant", asked=None, flush_s=0.2, id="spb", ports=(), **options):
    """A journal, a hub and the sink, as the daemon has them: (machines, counters)."""
    counters = meters.install(meters.Meters())
    journal, hub = Journal.open(folder / "journal.db", 64 << 20, flush_s, "gw1"), Hub(CATALOGUE)
    keys = ("primary_host", "host_wait_s", "interval_s", "node_interval_s", "rebirth_debounce_s", "history",
            "history_values_per_s", "edge_node_id")  # fmt: skip
    said = {"group_id": group} | {key: options.pop(key) for key in keys if key in options}
    said = {"node_interval_s": 0, "rebirth_debounce_s": 0.2} | said
    where = {"brokers": [f"127.0.0.1:{p}" for p in ports]} if ports else {"host": "127.0.0.1", "port": port}
    config = mqtt.Config(id=id, format="sparkplug_b", sparkplug=said, keepalive_s=5, **where, **options)
    asked = asked or Asked()
    for part in CATALOGUE.parts:
        journal.put(record.layout(part.asset, clock.now_ns(), CATALOGUE.of(part.asset)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(journal.run)
        async with anyio.create_task_group() as sinks:
            sinks.start_soon(mqtt.run, config, Taps("gw1", hub, journal), asked)
            yield Machines(hub, journal), counters
            sinks.cancel_scope.cancel()
        tasks.cancel_scope.cancel()
