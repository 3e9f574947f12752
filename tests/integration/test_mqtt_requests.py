"""What the cloud asks of the MQTT sink, and the raw history that it gets, over a real mosquitto.

mosquitto_pub and mosquitto_rr (which asks as MQTT 5 has it: response topic, correlation data) are the cloud.
"""

import json
import math
from datetime import UTC, datetime

import anyio
import pytest
from mqtt_gateway import RUN_BITS, SECOND, event, gateway, tick
from mqtt_rig import Mosquitto, program

from agent.core import quality, wire
from agent.runtime import clock
from agent.runtime.journal import Entry
from agent.sinks.mqtt import raw

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    broker = Mosquitto(tmp_path_factory.mktemp("broker"))
    anyio.run(broker.start)
    yield broker
    broker.kill()


async def put(gateway, request):
    payload = request if isinstance(request, str) else json.dumps(request)
    command = [program("mosquitto_pub", "mosquitto-clients"), "-p", str(gateway.port), "-q", "1", "-m", payload]
    await anyio.run_process([*command, "-t", f"edgetwin/{gateway.name}/request"])


async def ask(gateway, request):
    """The answer to a request, as whoever listens to the answers hears it."""
    known = len(gateway.heard.of(f"{gateway.name}/answer"))
    await put(gateway, request)
    await gateway.heard.until(lambda h: len(h.of(f"{gateway.name}/answer")) > known)
    return gateway.heard.of(f"{gateway.name}/answer")[-1]


def of(gateway, kind):
    return gateway.heard.of(f"edgetwin/{gateway.name}/{kind}/tank")


async def test_a_range_is_sent_again_byte_for_byte_and_written_down(tmp_path, broker):
    async with gateway(tmp_path, broker, "again") as own:
        for n in range(1, 41):
            own.journal.put(event(n))
        await own.heard.until(lambda _: len(of(own, "event")) == 40)
        first = {m["seq"]: m for m in of(own, "event")}
        asked = {"id": "7", "do": "resend", "class": "event", "epoch": 1, "from": 3, "to": 38}
        answer = await ask(own, asked)
        assert answer == {"id": "7", "do": "resend", "ok": True, "sent": 36,
                          "text": "36 records of class event were sent again"}  # fmt: skip
        again = of(own, "event")[40:]
        assert [m["seq"] for m in again] == list(range(3, 39))
        assert all(m == first[m["seq"]] for m in again)
        (audit,) = own.audits
        assert (audit.user, audit.text) == ("cloud:again", "resend event/1/3-38 : allowed")
        assert await ask(own, asked) == answer  # the same id: delivered twice, done once
        assert (len(of(own, "event")), len(own.audits)) == (76, 1)
        beyond = await ask(own, asked | {"id": "8", "from": 39, "to": 45})
        assert (beyond["sent"], beyond["missing"]) == (2, [[41, 45]])
        assert "not in the journal any more" in beyond["text"]


async def test_raw_history_of_a_time_comes_as_columns_each_block_once(tmp_path, broker):
    async with gateway(tmp_path, broker, "raw", flush_s=3600) as own:
        now_ns = clock.now_ns()
        for n in range(30):  # three blocks, ten samples each
            bad = n == 12
            own.journal.put(tick(n, now_ns + n * SECOND, math.nan if bad else None,
                                 status=quality.BAD_SENSOR_FAILURE if bad else quality.GOOD))  # fmt: skip
            if n % 10 == 9:
                await own.journal.flush()
        wall_ns = clock.wall_ns() - clock.now_ns() + now_ns
        asked = {"id": "1", "do": "raw", "asset": "tank", "from": wall_ns + 12 * SECOND, "to": wall_ns + 22 * SECOND}
        answer = await ask(own, asked)
        assert (answer["ok"], answer["blocks"], answer["text"]) == (True, 2, "2 blocks of raw history were sent")
        second, third = of(own, "raw")
        assert (second["gateway"], second["class"], second["epoch"], second["asset"]) == ("raw", "raw", 1, "tank")
        assert third["seq"] == second["seq"] + 1
        level = second["tags"]["lower/level"]
        assert level["value"] == [10.5, 11.5, None, *(n + 0.5 for n in range(13, 20))]
        assert level["status"] == [0, 0, quality.BAD_SENSOR_FAILURE, *[0] * 7]
        assert level["t_ns"] == [n * SECOND for n in range(10)]
        assert second["tags"]["process/product"] == {"t_ns": level["t_ns"], "value": ["water"] * 10}
        assert "status" not in third["tags"]["lower/level"]
        assert abs(second["start_ns"] - (wall_ns + 10 * SECOND)) < SECOND // 100
        assert second["samples"] == 20
        times = {k: datetime.fromtimestamp(asked[k] / 1e9, UTC).isoformat() for k in ("from", "to")}
        assert (await ask(own, {**asked, **times, "id": "2"}))["blocks"] == 2
        assert of(own, "raw")[2:] == [second, third]  # who asks again gets the same again
        asked = {"id": "3", "do": "resend", "class": "raw", "epoch": 1, "from": second["seq"], "to": second["seq"]}
        assert (await ask(own, asked))["sent"] == 1
        assert of(own, "raw")[4:] == [second]
        early = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}
        nothing = await ask(own, {"id": "4", "do": "raw", "asset": "tank", **early})
        assert (nothing["ok"], nothing["text"]) == (False, "there is no raw history of that time")


async def test_raw_history_that_is_not_written_yet_is_written_first(tmp_path, broker):
    async with gateway(tmp_path, broker, "fresh", flush_s=3600) as own:
        own.journal.put(tick(1, clock.now_ns()))
        now_ns = clock.wall_ns()
        asked = {"id": "1", "do": "raw", "asset": "tank", "from": now_ns - SECOND, "to": now_ns + SECOND}
        assert (await ask(own, asked))["blocks"] == 1
        assert of(own, "raw")[0]["tags"]["lower/level"]["value"] == [1.5]


async def test_raw_history_of_an_older_run_has_the_names_of_that_run_or_none(tmp_path, broker):
    old = raw._Named(("other/name", "process/product"))
    async with gateway(tmp_path, broker, "older") as own:
        now_ns = clock.now_ns()
        own.journal.put(tick(1, now_ns, seq=2 << RUN_BITS))
        await own.journal.flush()
        own.journal.put(Entry("raw", "tank", "state", now_ns + 1, wire.encode(old)))
        own.journal.put(tick(1, now_ns + SECOND, seq=3 << RUN_BITS))
        await own.journal.flush()
        own.journal.put(tick(2, now_ns + 2 * SECOND, seq=3 << RUN_BITS))
        await own.journal.flush()
        wall_ns = clock.wall_ns() - clock.now_ns() + now_ns
        span = {"from": wall_ns - SECOND, "to": wall_ns + 9 * SECOND}
        await ask(own, {"id": "1", "do": "raw", "asset": "tank", **span})
        lost, first, second = of(own, "raw")
        assert "nobody knows any more" in lost["unreadable"]
        assert set(first["tags"]) == set(second["tags"]) == {"other/name", "process/product"}


async def test_an_alarm_brings_the_raw_history_around_it(tmp_path, broker):
    window = {"before_s": 5, "after_s": 0.5, "categories": ["alarm"]}
    async with gateway(tmp_path, broker, "around", flush_s=3600, raw_around_event=window) as own:
        start_ns = clock.now_ns()
        for n in range(-20, 0):
            own.journal.put(tick(20 + n, start_ns + n * SECOND))
            if n % 10 == 9:
                await own.journal.flush()
        own.journal.put(event(1, start_ns, "cleared"))
        own.journal.put(event(2, start_ns, condition=None, change="mode"))
        own.journal.put(event(3, start_ns))
        for n in range(12):
            own.journal.put(tick(20 + n, start_ns + n * SECOND // 10))
            await anyio.sleep(0.05)
        wanted = {n + 0.5 for n in range(15, 25)}  # five before it, and five tenths of a second after it

        def values():
            return [v for r in of(own, "raw") for v in r["tags"]["lower/level"]["value"]]

        await own.heard.until(lambda _: wanted <= set(values()))
        assert len({r["seq"] for r in of(own, "raw")}) == len(of(own, "raw"))
        assert min(values()) == 10.5  # the block before the one that reaches into it is not there
        with anyio.fail_after(5):  # and it counts as done only then
            while await own.journal.read(lambda reader: reader.pending("mqtt/raw", "event")):
                await anyio.sleep(0.02)


async def test_at_a_stop_a_window_that_is_still_open_is_sent_as_far_as_it_goes(tmp_path, broker):
    window = {"before_s": 5, "after_s": 600}
    async with gateway(tmp_path, broker, "stop", raw_around_event=window) as own:
        own.journal.put(tick(1, clock.now_ns()))
        own.journal.put(event(1))
        await own.heard.until(lambda _: of(own, "event"))
        assert not of(own, "raw")
        assert await own.journal.drain(10)
        await own.heard.until(lambda _: of(own, "raw"))


async def test_acknowledging_is_off_unless_it_is_switched_on(tmp_path, broker):
    asked = {"id": "1", "do": "ack", "condition": "tank/lower/level.high", "comment": "seen by Ann"}
    async with gateway(tmp_path, broker, "off") as own:
        answer = await ask(own, asked)
        assert (answer["ok"], answer["text"]) == (
            False, "ack is not switched on here, expected one of resend, raw, status")  # fmt: skip
        assert own.inbox.take() == ((), ())
    async with gateway(tmp_path, broker, "on", requests=["ack"]) as own:
        assert (await ask(own, asked))["text"] == "ack tank/lower/level.high: passed to tank"
        (command,) = own.inbox.take()[1]
        assert (command.do, command.user, command.args) == ("ack", "cloud:on", {"comment": "seen by Ann"})
        answer = await ask(own, asked | {"id": "2", "condition": "tank/x"})
        assert (answer["ok"], answer["text"]) == (False, "no condition 'tank/x' here")
        assert [a.user for a in own.audits] == ["cloud:on"] * 2
    async with gateway(tmp_path, broker, "deaf", requests=[]) as own:
        await put(own, asked)
        own.journal.put(event(1))
        await own.heard.until(lambda _: of(own, "event"))
        assert not own.heard.of("deaf/answer")


async def test_what_is_wrong_is_answered_with_what_was_expected(tmp_path, broker):
    async with gateway(tmp_path, broker, "wrong") as own:
        resend = {"id": "1", "do": "resend", "class": "event", "epoch": 1, "from": 1, "to": 2}
        for asked, text in (
            ("?", 'not JSON (Expecting value: line 1 column 1 (char 0)), expected {"id": "1", "do": "status"}'),
            ("[1]", 'not an object, expected {"id": "1", "do": "status"}'),
            ("x" * 5000, "5000 bytes, expected a request of at most 4096"),
            ({"do": "status"}, "id: nothing, expected a text of 1 to 200 characters"),
            ({"id": "1", "do": "write", "target": "tank/drive/speed", "value": 50},
             "no message from the cloud writes a register: a person at the gateway may"),
            ({"id": "1", "do": "reboot"}, "'reboot' is not known, expected one of resend, raw, status"),
            ({"id": "1", "do": "status", "extra": 1}, "'extra' is not known, expected id, do"),
            (resend | {"class": "audit"}, "class: 'audit', expected one of raw, summary, event"),
            (resend | {"to": 0}, "from 1 is behind to 0, expected the first number of a range and its last"),
            (resend | {"epoch": True}, "epoch: True, expected a whole number"),
            ({"id": "1", "do": "raw", "asset": "pump", "from": 1, "to": 2},
             "asset: 'pump' is not here, expected one of tank"),
            ({"id": "1", "do": "raw", "asset": "tank", "from": "10:00", "to": 2},
             "from: '10:00', expected a time such as 2026-11-24T10:00:00Z or nanoseconds"),
        ):  # fmt: skip
            answer = await ask(own, asked)
            assert (answer["ok"], answer["text"]) == (False, text), asked
        (tried,) = own.audits
        assert tried.text.startswith("write 'tank/drive/speed' : refused: writing is off")
        assert own.inbox.take() == ((), ())


async def test_status_tells_what_there_is_and_too_many_requests_are_told_when_to_come_back(tmp_path, broker):
    async with gateway(tmp_path, broker, "many") as own:
        own.journal.put(event(1))
        await own.heard.until(lambda _: of(own, "event"))
        answer = await ask(own, {"id": "0", "do": "status"})
        assert (answer["records"], answer["assets"]) == ({"event": [[1, 1, 1]], "summary": [], "raw": []}, ["tank"])
        for first in (1, 15):  # no more than 16 may wait
            lines = "\n".join(json.dumps({"id": str(n), "do": "status"}) for n in range(first, first + 14))
            command = [program("mosquitto_pub", "mosquitto-clients"), "-p", str(own.port), "-q", "1", "-l"]
            await anyio.run_process([*command, "-t", "edgetwin/many/request"], input=lines.encode())
            await own.heard.until(lambda h, first=first: len(h.of("many/answer")) == first + 14)
        refused = [m["text"] for m in own.heard.of("many/answer") if not m["ok"]]
        assert 5 <= len(refused) <= 9
        assert refused[0].startswith("too many requests, expected 30 a minute at most: ask again in ")


async def rr(port, name, reply_to, request):
    command = [program("mosquitto_rr", "mosquitto-clients"), "-p", str(port), "-V", "5", "-W", "5", "-q", "1",
               "-t", f"edgetwin/{name}/request", "-e", reply_to, "-m", json.dumps(request)]  # fmt: skip
    return await anyio.run_process(command, check=False)


async def test_an_answer_goes_where_mqtt5_says_but_not_to_another_gateway(tmp_path, broker):
    async with gateway(tmp_path, broker, "five") as own:
        done = await rr(own.port, "five", "cloud/desk/9", {"id": "1", "do": "status"})
        assert json.loads(done.stdout)["ok"]
        done = await rr(own.port, "five", "edgetwin/five/answer/ann", {"id": "2", "do": "status"})
        assert json.loads(done.stdout)["id"] == "2"
        assert not [t for t, _, _ in own.heard.messages if t == "edgetwin/five/answer"]
        await own.heard.until(lambda h: h.of("cloud/desk/9"))
        async with anyio.create_task_group() as group:  # nobody answers there: mosquitto_rr would wait for ever
            group.start_soon(rr, own.port, "five", "edgetwin/other/request", {"id": "3", "do": "status"})
            await own.heard.until(lambda h: any(m["id"] == "3" for m in h.of("edgetwin/five/answer")))
            group.cancel_scope.cancel()
        assert not own.heard.of("edgetwin/other/")
