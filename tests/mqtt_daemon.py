"""A journal with an MQTT sink on it, as the daemon has them, and records for it."""

import math
from contextlib import asynccontextmanager

import anyio
import numpy as np
from mqtt_rig import program

from agent.core.nouns import Catalogue, Condition, Event, Mode, Part, Point, Role, Summary
from agent.runtime import clock, meters
from agent.runtime.hub import Hub
from agent.runtime.journal import Journal
from agent.runtime.taps import Taps
from agent.sinks import mqtt
from agent.store import record

POINTS = (
    Point("tank/lower/level", Role.MEASURED, unit="m", eu_lo=0, eu_hi=2, description="Füllstand"),
    Point("tank/lower/level.expected", Role.EXPECTED, of="tank/lower/level", unit="m"),
    Point("tank/drive/state", Role.MEASURED, enum={0: "off", 1: "on"}),
)
CATALOGUE = Catalogue("gw1", 3, POINTS, (Part("tank", 0, 3, "Tank", "two-tank@1", ("site", "area")),))


def event(n):
    state = Condition("tank/lower/level.high", "tank", "tank/lower/level", "limit", "alarm", "high", True, False,
                      clock.now_ns(), value=1.9, limit=1.8)  # fmt: skip
    return record.event(Event(f"tank-{n}-1", "tank", clock.now_ns(), "raised", f"event {n}", condition=state))


def summary(n, names=("lower/level", "lower/flow", "upper/level")):
    end = clock.now_ns()
    column, good = (np.resize(figures, len(names)) for figures in ([1.0 + n, 1 / 3, math.nan], [1.0, 2 / 3, 0.0]))
    return record.summary(Summary("tank", end - 10**10, end, Mode.RUNNING, {"product": "water"}, "window",
                                  names, column, column, column, column,
                                  column / 10, good, math.nan))  # fmt: skip


class Counters(meters.Meters):
    """Zero, too, is a count."""

    def read(self, name):
        return super().read(name) or 0


@asynccontextmanager
async def daemon(folder, port, sooner=None, **options):
    """A journal and an MQTT sink on it, as the daemon has them.

    `port`: of the broker, or a list of several; `sooner`: what a configuration would refuse as too short.
    """
    counters = meters.install(Counters())
    journal, hub = Journal.open(folder / "journal.db", 64 << 20, 10.0, "gw1"), Hub(CATALOGUE)
    there = (
        {"brokers": [f"127.0.0.1:{p}" for p in port]} if isinstance(port, list) else {"host": "127.0.0.1", "port": port}
    )
    config = mqtt.Config(**there, **options).model_copy(update=sooner or {})
    async with anyio.create_task_group() as group:
        group.start_soon(journal.run)
        async with anyio.create_task_group() as sinks:
            sinks.start_soon(mqtt.run, config, Taps("gw1", hub, journal), None)
            yield journal, counters
            sinks.cancel_scope.cancel()
        group.cancel_scope.cancel()


async def until(condition, seconds=20):
    with anyio.fail_after(seconds):
        while not condition():
            await anyio.sleep(0.02)


def texts(listener):
    return {m["text"] for m in listener.of("/event/")}


async def published(port, topic, text):
    pub = program("mosquitto_pub", "mosquitto-clients")
    await anyio.run_process([pub, "-p", str(port), "-t", topic, "-q", "1", "-m", text])
