"""`acknowledge: end_to_end`: a broker that has acknowledged, and then forgets, loses nothing. With a real mosquitto."""

import json
from contextlib import asynccontextmanager

import anyio
import pytest
from mqtt_daemon import daemon, event, texts, until
from mqtt_rig import Mosquitto, listening

from agent.sinks import mqtt
from agent.sinks.mqtt.link import connected
from agent.store.read import Reader

pytestmark = pytest.mark.anyio
END_TO_END = {"acknowledge": "end_to_end", "confirm_timeout_s": 1}


@asynccontextmanager
async def receiver(port, taken):
    """Confirms each event once it has it."""
    config = mqtt.Config(host="127.0.0.1", port=port)
    news = anyio.Event()

    def take(topic, payload):
        taken.append(json.loads(payload))
        news.set()

    async def confirm(link):
        nonlocal news
        done = 0
        while True:
            await news.wait()
            news = anyio.Event()
            seqs, done = [m["seq"] for m in taken[done:]], len(taken)
            stored = {"epoch": 1, "class": "event", "ranges": [[seq, seq] for seq in seqs]}
            await link.publish("edgetwin/gw1/stored", json.dumps(stored).encode())

    async with connected(config, "receiver", None) as link, anyio.create_task_group() as group:
        await link.subscribe("edgetwin/gw1/event/+", take)
        group.start_soon(confirm, link)
        yield
        group.cancel_scope.cancel()


async def test_a_record_is_kept_until_the_receiving_end_has_it(tmp_path):
    async with (
        Mosquitto(tmp_path) as broker,
        listening(broker.port) as heard,
        daemon(tmp_path, broker.port, **END_TO_END) as (journal, counters),
    ):
        for n in range(50):
            journal.put(event(n))
        await heard.until(lambda h: len(texts(h)) == 50)
        await until(lambda: counters.read("mqtt/unconfirmed") == 50)
        assert counters.read("mqtt/acknowledged") == 0
        taken = []
        async with receiver(broker.port, taken):
            await until(lambda: counters.read("mqtt/acknowledged") == 50)
    reader = Reader.open(tmp_path / "journal.db")
    assert reader.acknowledged("mqtt", "event") == {1: [(1, 50)]}
    reader.close()


async def test_what_a_killed_broker_has_acknowledged_and_forgotten_is_sent_again(tmp_path):
    """mosquitto writes what it holds for an absent subscriber each half hour: kill -9 takes all of it."""
    broker, taken = Mosquitto(tmp_path), []
    async with broker:
        async with receiver(broker.port, taken):
            pass  # subscribed, and gone
        async with daemon(tmp_path, broker.port, **END_TO_END) as (journal, counters):
            for n in range(30):
                journal.put(event(n))
            await until(lambda: counters.read("mqtt/unconfirmed") == 30)
            broker.kill()
            await broker.start()
            async with receiver(broker.port, taken):
                journal.put(event(30))
                await until(lambda: counters.read("mqtt/acknowledged") == 31)
            assert {m["text"] for m in taken} == {f"event {n}" for n in range(31)}
            assert counters.read("mqtt/published") <= 31 + 31


async def test_a_broken_line_alone_sends_nothing_again(tmp_path):
    async with Mosquitto(tmp_path) as broker, listening(broker.port, "-c", "-i", "listener") as heard:
        options = END_TO_END | {"confirm_timeout_s": 600}
        async with daemon(tmp_path, broker.port, **options) as (journal, counters):
            for n in range(40):
                journal.put(event(n))
            await until(lambda: counters.read("mqtt/unconfirmed") == 40)
            broker.process.terminate()
            broker.process.wait(10)
            await broker.start()
            await until(lambda: counters.read("mqtt/reconnects") and counters.read("mqtt/connected"))
            journal.put(event(40))
            await heard.until(lambda h: "event 40" in texts(h))
            await until(lambda: counters.read("mqtt/unconfirmed") == 41)
            assert len(heard.of("/event/")) == 41
            taken = []
            async with receiver(broker.port, taken):
                config = mqtt.Config(host="127.0.0.1", port=broker.port)
                async with connected(config, "hand", None) as link:
                    await link.publish("edgetwin/gw1/stored", b'"junk"')
                    await link.publish("edgetwin/gw1/stored", b'{"epoch":1,"class":"event","ranges":[[1,999]]}')
                await until(lambda: counters.read("mqtt/acknowledged") == 41)


async def test_draining_waits_for_the_receiving_end(tmp_path):
    async with (
        Mosquitto(tmp_path) as broker,
        daemon(tmp_path, broker.port, **END_TO_END) as (journal, counters),
        receiver(broker.port, []),
    ):
        await until(lambda: counters.read("mqtt/connected"))
        for n in range(20):
            journal.put(event(n))
        assert await journal.drain(10)
        assert counters.read("mqtt/acknowledged") == 20
