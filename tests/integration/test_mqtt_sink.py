"""The MQTT sink against a real mosquitto (packages mosquitto and mosquitto-clients; skipped without them)."""

import gc
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import anyio
import pytest
from mqtt_daemon import CATALOGUE, daemon, event, published, summary, texts, until
from mqtt_rig import Door, Mosquitto, free_port, listening, program, subscribed

from agent.runtime import clock, meters
from agent.runtime.hub import Hub
from agent.runtime.journal import Journal
from agent.runtime.taps import Taps
from agent.sinks import mqtt
from agent.sinks.mqtt.faults import Fault
from agent.sinks.mqtt.link import connected
from agent.store.read import Reader

pytestmark = pytest.mark.anyio


async def test_a_subscriber_receives_birth_status_summary_and_event(tmp_path):
    async with (
        Mosquitto(tmp_path) as broker,
        listening(broker.port) as heard,
        daemon(tmp_path, broker.port) as (journal, counters),
    ):
        journal.put(summary(1))
        journal.put(event(1))
        await heard.until(lambda h: h.of("/event/") and h.of("/summary/"))
        topics = [t for t, _, _ in heard.messages if t != "probe"]
        assert set(topics) == {f"edgetwin/gw1/{t}" for t in ("status", "birth", "summary/tank", "event/tank")}
        assert heard.of("/status") == [{"online": True}]
        (birth,), (closed,), (raised,) = heard.of("/birth"), heard.of("/summary/"), heard.of("/event/")
        assert (birth["gateway"], birth["epoch"]) == ("gw1", 3)
        assert birth["points"][0] == {"id": "tank/lower/level", "role": "measured", "kind": "number", "unit": "m",
                                      "low": 0, "high": 2, "description": "Füllstand"}  # fmt: skip
        assert birth["points"][2]["words"] == {"0": "off", "1": "on"}
        assert birth["assets"][0]["path"] == ["site", "area"]
        assert (closed["gateway"], closed["class"], closed["epoch"], closed["seq"]) == ("gw1", "summary", 1, 1)
        assert closed["tags"]["lower/level"] == {"min": 2, "mean": 2, "max": 2, "last": 2, "std": 0.2, "good": 1}
        assert closed["tags"]["upper/level"]["mean"] is None
        assert closed["tags"]["lower/flow"]["min"] == 1 / 3
        assert (closed["mode"], closed["context"], closed["score_max"]) == ("running", {"product": "water"}, None)
        assert closed["end_ns"] - closed["start_ns"] == 10**10
        assert raised["condition"]["since"].endswith("Z")
        assert raised["condition"]["worst"] is None
        at = datetime.fromisoformat(raised["time"])
        assert abs(at.timestamp() - clock.wall_ns() / 1e9) < 30
        assert abs(at.timestamp() - raised["time_ns"] / 1e9) < 0.002
        await until(lambda: counters.read("mqtt/acknowledged") == 2)
        assert (counters.read("mqtt/connected"), counters.read("mqtt/published")) == (1, 2)
        await until(lambda: counters.read("mqtt/pending") == 0)
        async with listening(broker.port) as late:  # birth and status are retained
            await late.until(lambda h: len(h.messages) >= 3)
            assert {(t, r) for t, r, _ in late.messages if t != "probe"} == {
                ("edgetwin/gw1/birth", True),
                ("edgetwin/gw1/status", True),
            }


async def test_columns_come_after_the_names_of_their_tags(tmp_path):
    """Also where the tags change, and over a new connection: the messages alone say what each value is of."""
    other = ("upper/level", "lower/flow", "lower/level")
    async with Mosquitto(tmp_path) as broker, listening(broker.port) as heard, anyio.create_task_group() as group:
        door = Door(broker.port)
        group.start_soon(door.run)
        async with daemon(tmp_path, door.port, layout="columns", figures=["last"]) as (journal, counters):
            for n in range(20):
                journal.put(summary(n) if n % 10 < 5 else summary(n, other))
            await until(lambda: counters.read("mqtt/acknowledged") == 20)
            door.shut()
            door.open = True
            await until(lambda: counters.read("mqtt/reconnects") == 1)
            journal.put(summary(20))
            await heard.until(lambda h: len(h.of("/summary/")) == 21)
        group.cancel_scope.cancel()
        known, last = {}, []
        for topic, _, message in heard.messages:
            if topic == "edgetwin/gw1/names/tank":
                known[message["names"]] = message["tags"]
            if topic == "edgetwin/gw1/summary/tank":
                last.append(dict(zip(known[message["names"]], message["columns"]["last"], strict=True)))
        assert [one["lower/level" if n % 10 < 5 else "upper/level"] for n, one in enumerate(last)] == [*range(1, 22)]
        assert len(heard.of("/names/")) == 5
        async with listening(broker.port) as late:
            await late.until(lambda h: h.of("/names/"))
            assert late.of("/names/") == heard.of("/names/")[-1:]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_nothing_is_missing_after_the_broker_was_stopped_and_started(tmp_path, version):
    broker = Mosquitto(tmp_path)
    async with broker, listening(broker.port, "-c", "-i", "listener") as heard:
        async with daemon(tmp_path, broker.port, version=version) as (journal, counters):
            for n in range(400):
                journal.put(event(n))
                await anyio.sleep(0.002)
                if n == 150:
                    broker.kill(signal.SIGTERM)
                if n == 250:
                    await broker.start()
            await heard.until(lambda h: len(texts(h)) == 400, 40)
            await until(lambda: counters.read("mqtt/pending") == 0)
            assert counters.read("mqtt/reconnects") >= 1
        assert {m["seq"] for m in heard.of("/event/")} == set(range(1, 401))
    reader = Reader.open(tmp_path / "journal.db")
    assert reader.acknowledged("mqtt", "event") == {1: [(1, 400)]}
    reader.close()


async def test_nothing_is_missing_after_the_broker_was_killed_in_mid_flight(tmp_path):
    """The listener is back before the sink is let in: what a broker has acknowledged and forgotten is its own."""
    broker = Mosquitto(tmp_path)
    async with broker, listening(broker.port) as heard, anyio.create_task_group() as group:
        door = Door(broker.port)
        group.start_soon(door.run)
        async with daemon(tmp_path, door.port) as (journal, counters):
            for n in range(600):
                journal.put(event(n))
            await heard.until(lambda h: len(texts(h)) > 100)
            broker.kill()
            door.shut()
            sent = counters.read("mqtt/acknowledged")
            assert sent < 600
            await broker.start()
            await subscribed(broker.port, heard)
            door.open = True
            await heard.until(lambda h: len(texts(h)) == 600, 30)
            await until(lambda: counters.read("mqtt/pending") == 0)
            doubles = len(heard.of("/event/")) - 600
            assert 0 <= doubles <= 60  # what was in flight or not yet noted, not everything again
        group.cancel_scope.cancel()


async def test_a_frozen_broker_is_left_and_what_it_did_not_acknowledge_is_sent_again(tmp_path):
    async with Mosquitto(tmp_path) as broker, listening(broker.port) as heard, anyio.create_task_group() as group:
        door = Door(broker.port)
        group.start_soon(door.run)
        async with daemon(tmp_path, door.port, acknowledge_timeout_s=0.5) as (journal, counters):
            await until(lambda: counters.read("mqtt/connected"))
            door.frozen = True
            for n in range(5):
                journal.put(event(n))
            await until(lambda: counters.read("mqtt/errors") >= 1)
            assert counters.read("mqtt/acknowledged") == 0
            door.frozen = False
            await heard.until(lambda h: len(texts(h)) == 5)
            await until(lambda: counters.read("mqtt/acknowledged") == 5)
        group.cancel_scope.cancel()


async def test_events_go_before_a_backlog_of_summaries(tmp_path):
    broker = Mosquitto(tmp_path)
    async with daemon(tmp_path, broker.port) as (journal, counters):
        for n in range(300):
            journal.put(summary(n))
        journal.put(event(1))
        await journal.flush()
        await until(lambda: counters.read("mqtt/pending") == 301)
        async with broker, listening(broker.port) as heard:
            await heard.until(lambda h: len(h.of("/summary/")) == 300)
            order = [m["class"] for t, _, m in heard.messages if "/summary/" in t or "/event/" in t]
            assert order.index("event") < 60  # those that the sink had in hand came first
    assert counters.read("mqtt/connected") == 0


async def test_the_last_will_tells_of_a_sink_that_died(tmp_path):
    script = (
        "import anyio, pathlib, sys\n"
        "from test_mqtt_sink import daemon\n"
        "async def main():\n"
        "    async with daemon(pathlib.Path(sys.argv[1]), int(sys.argv[2])):\n"
        "        await anyio.sleep(60)\n"
        "anyio.run(main)\n"
    )
    async with Mosquitto(tmp_path) as broker, listening(broker.port) as heard:
        here = Path(__file__).parent
        path = {**os.environ, "PYTHONPATH": f"{here}:{here.parent}:{here.parents[1]}"}
        child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(broker.port)], env=path)
        try:
            await heard.until(lambda h: h.of("/status"))
        finally:
            child.kill()
            child.wait()
        await heard.until(lambda h: len(h.of("/status")) == 2)
        assert heard.of("/status") == [{"online": True}, {"online": False}]


async def test_a_sink_that_is_stopped_says_goodbye(tmp_path):
    async with Mosquitto(tmp_path) as broker, listening(broker.port) as heard:
        async with daemon(tmp_path, broker.port):
            await heard.until(lambda h: h.of("/status"))
        await heard.until(lambda h: len(h.of("/status")) == 2, 5)
        assert heard.of("/status")[-1] == {"online": False}


async def test_draining_sends_all_and_ends_the_sink(tmp_path):
    async with Mosquitto(tmp_path) as broker, listening(broker.port) as heard:
        meters.install(meters.Meters())
        journal, hub = Journal.open(tmp_path / "journal.db", 64 << 20, 10.0), Hub(CATALOGUE)
        config = mqtt.Config(host="127.0.0.1", port=broker.port)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(journal.run)
                group.start_soon(mqtt.run, config, Taps("gw1", hub, journal), None)
                for n in range(200):
                    journal.put(event(n))
                assert await journal.drain(10)
        await heard.until(lambda h: len(texts(h)) == 200)
        await heard.until(lambda h: h.of("/status")[-1] == {"online": False})


async def test_a_refused_message_is_not_marked_sent(tmp_path):
    (tmp_path / "acl").write_text("topic readwrite edgetwin/gw1/status\ntopic readwrite edgetwin/gw1/birth\n")
    acl = f"acl_file {tmp_path}/acl"
    async with Mosquitto(tmp_path, acl) as broker, daemon(tmp_path, broker.port) as (journal, counters):
        journal.put(event(1))
        await until(lambda: counters.read("mqtt/errors") >= 1)
        assert counters.read("mqtt/acknowledged") == 0
        await until(lambda: counters.read("mqtt/pending") == 1)


@pytest.mark.filterwarnings("ignore:.*unclosed <ssl.SSLSocket")  # paho, after a handshake that failed
async def test_password_and_tls_with_client_certificates(tmp_path):
    program("mosquitto_passwd", "mosquitto")
    certificates(tmp_path)
    subprocess.run(["mosquitto_passwd", "-c", "-b", tmp_path / "users", "gw", "secret word"], check=True)
    (tmp_path / "password").write_text("secret word\n")
    tls_port = free_port()
    lines = ["allow_anonymous true", f"listener {tls_port} 127.0.0.1", f"cafile {tmp_path}/ca.crt",
             f"certfile {tmp_path}/server.crt", f"keyfile {tmp_path}/server.key", "require_certificate true",
             "allow_anonymous false", f"password_file {tmp_path}/users"]  # fmt: skip
    broker = Mosquitto(tmp_path, *lines, first=["per_listener_settings true"])
    names = {"ca_file": tmp_path / "ca.crt", "cert_file": tmp_path / "gw.crt", "key_file": tmp_path / "gw.key"}
    async with broker, listening(broker.port) as heard:
        # A certificate that nobody we know has vouched for is refused before anything is said.
        async with daemon(tmp_path, tls_port, tls=True, user="gw", password_file=tmp_path / "password") as (
            _,
            counters,
        ):
            await until(lambda: counters.read("mqtt/errors") >= 1)
            assert counters.read("mqtt/fault") == Fault.TLS
        async with daemon(tmp_path, tls_port, tls=True, ca_file=tmp_path / "ca.crt") as (_, counters):
            await until(lambda: counters.read("mqtt/fault") == Fault.TURNED_AWAY)
        (tmp_path / "wrong").write_text("wrong")
        async with daemon(tmp_path, tls_port, tls=True, user="gw", password_file=tmp_path / "wrong", **names) as (
            _,
            counters,
        ):
            await until(lambda: counters.read("mqtt/errors") >= 1)
            assert counters.read("mqtt/fault") == Fault.REFUSED_US
        async with daemon(tmp_path, tls_port, tls=True, user="gw", password_file=tmp_path / "password", **names) as (
            journal,
            _,
        ):
            journal.put(event(7))
            await heard.until(lambda h: "event 7" in texts(h))
    gc.collect()


def certificates(folder):
    """An authority, a server for 127.0.0.1 and a client, by openssl."""
    openssl = program("openssl", "openssl")

    def run(*arguments):
        subprocess.run([openssl, *arguments], check=True, capture_output=True, cwd=folder)

    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca",
        "-days", "2", "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    for name in ("server", "gw"):
        (folder / "ext").write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
        run(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={name}",
        )
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-out", f"{name}.crt", "-extfile", "ext")  # fmt: skip


async def test_it_works_with_amqtt_too(tmp_path):
    pytest.importorskip("amqtt", reason="the Python package amqtt is not installed")
    port = free_port()
    broker = subprocess.Popen([sys.executable, "-m", "hil.broker", "--listen", f"127.0.0.1:{port}"])
    try:
        with anyio.fail_after(20):
            while True:
                try:
                    await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                    break
                except OSError:
                    await anyio.sleep(0.05)
        async with listening(port) as heard, daemon(tmp_path, port, version="3.1.1") as (journal, counters):
            for n in range(20):
                journal.put(event(n))
                journal.put(summary(n))
            await heard.until(lambda h: len(texts(h)) == 20 and len(h.of("/summary/")) == 20)
            await until(lambda: counters.read("mqtt/acknowledged") == 40)
    finally:
        broker.terminate()
        broker.wait(10)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_what_others_publish_is_taken_and_what_came_while_we_were_away_too(tmp_path, version):
    taken = []
    async with Mosquitto(tmp_path) as broker:
        config = mqtt.Config(host="127.0.0.1", port=broker.port, version=version)
        for text in ("at once", "meanwhile"):
            async with connected(config, "gw1", None) as link:
                await link.subscribe("x/+/request", lambda *message: taken.append(message))
                if text == "at once":
                    await published(broker.port, "x/y/request", text)
                await until(lambda: taken, 5)
                assert taken == [("x/y/request", text.encode())]
            taken.clear()
            await published(broker.port, "x/y/request", "meanwhile")
            await published(broker.port, "x/y/z/request", "of nobody")
