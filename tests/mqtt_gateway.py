"""A gateway with a journal, a gate and an MQTT sink on a broker, and what a listener hears of it."""

import math
from contextlib import asynccontextmanager
from types import SimpleNamespace

import anyio
import numpy as np
from mqtt_rig import listening

from agent.control.gate import Gate
from agent.core import quality
from agent.core.nouns import Batch, Catalogue, Condition, Event, Mode, Part, Point, Role, Snapshot, Tick
from agent.runtime import clock, meters
from agent.runtime.hub import Hub
from agent.runtime.inbox import Inbox
from agent.runtime.journal import Journal
from agent.runtime.restore import RUN_BITS
from agent.runtime.taps import Taps
from agent.sinks import mqtt
from agent.store import record

SECOND = 1_000_000_000
POINTS = (
    Point("tank/lower/level", Role.MEASURED),
    Point("tank/process/product", Role.MEASURED),
    Point("tank/state/mode", Role.MODE),
)
HIGH = Condition("tank/lower/level.high", "tank", "tank/lower/level", "limit", "alarm", "high", True, False)
RUN = 5 << RUN_BITS


def snapshot(seq=RUN + 1):
    none, zero = np.full(3, math.nan), np.zeros(3, np.int64)
    return Snapshot("tank", 1, seq, clock.now_ns(), none, np.zeros(3, np.uint32), zero, zero, {}, Mode.RUNNING, {},
                    (HIGH,), None, (), (), ())  # fmt: skip


def tick(n, t_ns, level=None, seq=RUN, status=quality.GOOD):
    batch = Batch("plc", np.array([0, 1], np.int32), np.array([n + 0.5 if level is None else level, math.nan]),
                  np.array([status, quality.GOOD], np.uint32), np.full(2, t_ns, np.int64), np.zeros(2, np.int64),
                  texts=((1, "water"),))  # fmt: skip
    return record.tick(Tick("tank", 1, seq + n, t_ns, (batch,)))


def event(n, t_ns=None, change="raised", condition=HIGH):
    return record.event(Event(f"tank-{n}-1", "tank", t_ns or clock.now_ns(), change, f"event {n}", condition=condition))


@asynccontextmanager
async def gateway(folder, broker, name, born=None, catalogue=None, flush_s=0.2, **options):
    """`born`: part of the topic of what it says first."""
    counters = meters.install(meters.Meters())
    catalogue = catalogue or Catalogue(name, 1, POINTS, (Part("tank", 0, 3, "Tank"),))
    journal, hub = Journal.open(folder / f"{name}.db", 64 << 20, flush_s, name), Hub(catalogue)
    hub.publish(snapshot())
    inbox, audits = Inbox("tank"), []
    gate = Gate({"tank": inbox}, hub.newest, audits.append)
    config = mqtt.Config(host="127.0.0.1", port=broker.port, **options)
    async with listening(broker.port) as heard, anyio.create_task_group() as group:
        group.start_soon(journal.run)
        async with anyio.create_task_group() as sinks:
            sinks.start_soon(mqtt.run, config, Taps(name, hub, journal), gate.ask)
            await heard.until(lambda h: h.of(born or f"{name}/birth"))
            own = SimpleNamespace(name=name, port=broker.port, journal=journal, heard=heard, inbox=inbox, hub=hub,
                                  audits=audits, counters=counters)  # fmt: skip
            yield own
            sinks.cancel_scope.cancel()
        group.cancel_scope.cancel()
