"""Faults 14 to 18 and 20: brokers that stop, freeze, never acknowledge, flap, or are used under our name.

With a real mosquitto (skipped without it), but for the one that never acknowledges.
"""

import json
import signal
import struct
import subprocess
import zlib

import anyio
import pytest
from mqtt_daemon import daemon, event, summary, texts, until
from mqtt_rig import Door, Mosquitto, free_port, listening, program

from agent.sinks import mqtt
from agent.sinks.mqtt.faults import Fault
from agent.sinks.mqtt.link import connected

pytestmark = pytest.mark.anyio
KEEPALIVE_S = 2


@pytest.fixture
def brokers(tmp_path):
    found = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        found.append(Mosquitto(tmp_path / name))
    return found


async def test_a_frozen_broker_is_left_for_the_next_one_and_taken_back(tmp_path, brokers):
    """Half open: the connection stands, the process does not answer. Nothing is on its way, so only the keep-alive
    can find it. The kernel of a frozen broker still accepts connections: that is not being there."""
    first, second = brokers
    async with first, second, listening(second.port) as heard:
        options = {"acknowledge_timeout_s": 1, "return_after_s": 1, "sooner": {"keepalive_s": KEEPALIVE_S}}
        async with daemon(tmp_path, [first.port, second.port], **options) as (journal, counters):
            await until(lambda: counters.read("mqtt/broker") == 1)
            first.process.send_signal(signal.SIGSTOP)
            with anyio.fail_after(1.5 * KEEPALIVE_S + 2.5):  # and one attempt at the first: another second
                await until(lambda: counters.read("mqtt/broker") == 2)
            assert counters.read("mqtt/fault") == Fault.SILENT
            journal.put(event(1))
            await heard.until(lambda h: "event 1" in texts(h))
            first.process.send_signal(signal.SIGCONT)
            async with listening(first.port) as back:
                await until(lambda: counters.read("mqtt/broker") == 1)
                journal.put(event(2))
                await back.until(lambda h: "event 2" in texts(h))
            await heard.until(lambda h: h.of("/status")[-1] == {"online": False})  # it was told goodbye
            assert "event 2" not in texts(heard)
            assert counters.read("mqtt/errors") == 1


async def test_a_stopped_broker_is_followed_by_the_next_one_and_nothing_is_missing(tmp_path, brokers):
    first, second = brokers
    async with (
        first,
        second,
        listening(first.port) as one,
        listening(second.port) as two,
        daemon(tmp_path, [free_port(), first.port, second.port]) as (journal, counters),
    ):
        for n in range(200):
            journal.put(event(n))
            await anyio.sleep(0.001)
            if n == 80:
                await until(lambda: counters.read("mqtt/broker") == 2)
                first.kill(signal.SIGKILL)
        await until(lambda: counters.read("mqtt/acknowledged") == 200)
        assert counters.read("mqtt/broker") == 3
        await two.until(lambda h: len(texts(h) | texts(one)) == 200)


class Mute:
    """A broker of MQTT 3.1.1 that lets everybody in and acknowledges what is retained, and nothing else."""

    def __init__(self):
        self.port, self.clients, self.most = free_port(), 0, 0

    async def run(self):
        async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self.port) as server:
            await server.serve(self._serve)

    async def _serve(self, stream):
        self.clients, silent = self.clients + 1, 0
        async with stream:
            try:
                while True:
                    (first,) = await stream.receive(1)
                    (length,) = await stream.receive(1)
                    if length & 0x80:  # up to 16 kB
                        length += ((await stream.receive(1))[0] << 7) - 128
                    body = b""
                    while len(body) < length:
                        body += await stream.receive(length - len(body))
                    if first >> 4 == 1:
                        await stream.send(b"\x20\x02\x00\x00")
                    elif first >> 4 == 3 and first & 1:
                        (size,) = struct.unpack_from(">H", body)
                        await stream.send(b"\x40\x02" + body[2 + size : 4 + size])
                    elif first >> 4 == 3:
                        silent += 1
                        self.most = max(self.most, silent)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return


async def test_a_broker_that_never_acknowledges_is_left_and_gets_no_more_than_fits(tmp_path):
    broker = Mute()
    async with anyio.create_task_group() as group:
        group.start_soon(broker.run)
        options = {"version": "3.1.1", "acknowledge_timeout_s": 0.5, "max_in_flight": 7}
        async with daemon(tmp_path, broker.port, **options) as (journal, counters):
            await until(lambda: counters.read("mqtt/connected"))
            for n in range(100):
                journal.put(event(n))
            await until(lambda: broker.clients == 2)
            assert broker.most == 7
            assert counters.read("mqtt/fault") == Fault.SILENT
            assert counters.read("mqtt/acknowledged") == 0
            await until(lambda: counters.read("mqtt/pending") == 100)
        group.cancel_scope.cancel()


async def test_a_flapping_line_makes_progress_and_sends_little_twice(tmp_path, brokers):
    broker, flaps = brokers[0], 2
    async with broker, listening(broker.port) as heard, anyio.create_task_group() as group:
        door = Door(broker.port)
        group.start_soon(door.run)
        async with daemon(tmp_path, door.port, max_in_flight=10, backlog_bytes_per_s=1e7) as (journal, counters):
            for n in range(500):
                journal.put(event(n))
            for _ in range(flaps):
                sent = counters.read("mqtt/acknowledged")
                await until(lambda sent=sent: counters.read("mqtt/acknowledged") > sent)
                door.shut()
                door.open = True
            await heard.until(lambda h: len(texts(h)) == 500, 40)
            await until(lambda: counters.read("mqtt/pending") == 0)
            doubles = len(heard.of("/event/")) - 500
            assert doubles <= flaps * 10
        group.cancel_scope.cancel()


async def test_another_client_with_our_id_is_told_in_words(tmp_path, brokers, caplog):
    """mosquitto 2.0.11 hangs up without saying why, to clients of MQTT 5 too."""
    broker = brokers[0]
    command = [program("mosquitto_sub", "mosquitto-clients"), "-p", str(broker.port), "-t", "x", "-i", "gw1", "-V", "5"]
    async with broker, daemon(tmp_path, broker.port) as (_, counters):
        await until(lambda: counters.read("mqtt/connected"))
        with subprocess.Popen(command) as other:
            try:
                await until(lambda: counters.read("mqtt/taken_over") == 1)
                assert counters.read("mqtt/fault") == Fault.TAKEN_OVER
                assert other.poll() is None
            finally:
                other.kill()
    assert "another client seems to use our client id" in caplog.text


async def test_what_happens_now_does_not_wait_for_what_is_stored(tmp_path, brokers):
    """A backlog of summaries that would take minutes; new summaries and an event pass it."""
    broker = brokers[0]
    async with daemon(tmp_path, broker.port, backlog_bytes_per_s=20_000) as (journal, counters):
        for n in range(1000):
            journal.put(summary(n))
        await journal.flush()
        await until(lambda: counters.read("mqtt/pending") == 1000)
        async with broker, listening(broker.port) as heard:
            await heard.until(lambda h: h.of("/summary/"))
            for n in range(1000, 1010):
                journal.put(summary(n))
            journal.put(event(1))
            await heard.until(lambda h: {m["seq"] for m in h.of("/summary/")} >= set(range(1001, 1011)))
            await heard.until(lambda h: h.of("/event/"))
            assert counters.read("mqtt/pending") > 900
            assert min(m["seq"] for m in heard.of("/summary/")) == 1  # and the backlog goes on from its beginning


async def test_a_broker_that_refuses_us_is_told_from_one_that_is_not_there(tmp_path, brokers):
    (tmp_path / "users").write_text("")
    refusing = Mosquitto(brokers[1].folder, "allow_anonymous false", f"password_file {tmp_path}/users")
    async with daemon(tmp_path, free_port()) as (_, counters):
        await until(lambda: counters.read("mqtt/fault") == Fault.UNREACHABLE)
    async with refusing, daemon(tmp_path, refusing.port) as (_, counters):
        await until(lambda: counters.read("mqtt/fault") == Fault.REFUSED_US)
    async with daemon(tmp_path, free_port(), user="a", password_file=tmp_path / "none") as (_, counters):
        await until(lambda: counters.read("mqtt/fault") == Fault.FILE)


async def test_a_record_too_large_for_the_broker_holds_up_nothing(tmp_path, brokers):
    """It says so by itself (MQTT 5), and how much it takes: compressed first, then only that there is something."""
    narrow, taken = Mosquitto(brokers[0].folder, "max_packet_size 1000", "max_inflight_messages 2"), {}

    def take(topic, payload):
        text = payload if payload[:1] == b"{" else zlib.decompress(payload)
        taken[topic.split("/")[2], json.loads(text)["seq"]] = payload[:1], json.loads(text)

    async with narrow, connected(mqtt.Config(host="127.0.0.1", port=narrow.port), "listener", None) as link:
        await link.subscribe("edgetwin/gw1/+/tank", take)
        async with daemon(tmp_path, narrow.port) as (journal, counters):
            for n, tags in enumerate((3, 20, 3000)):
                journal.put(summary(n, tuple(f"unit/tag{tag * tag}" for tag in range(tags))))
            for n in range(50):
                journal.put(event(n))
            await until(lambda: counters.read("mqtt/acknowledged") == 53)
            assert counters.read("mqtt/too_large") == 2
            assert counters.read("mqtt/errors") == 0
        await until(lambda: len(taken) == 53)
    first, second, third = (taken["summary", seq] for seq in (1, 2, 3))
    assert (first[0], second[0], third[0]) == (b"{", b"x", b"{")
    assert len(second[1]["tags"]) == 20
    assert "and the broker takes" in third[1]["unreadable"]
