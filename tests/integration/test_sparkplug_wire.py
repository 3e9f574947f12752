"""The Sparkplug B edge node against mosquitto, read by Eclipse Tahu's decoder and a host in node (needs npm)."""

import sys
import time

import anyio
import pytest
import sparkplug_statements as statements
from mqtt_rig import Mosquitto
from node_packages import installed
from sparkplug_rig import CATALOGUE, Asked, Tap, condition, edge

from agent.core import quality
from agent.core.nouns import Catalogue, Event, Part, Point, Role
from agent.runtime import clock
from agent.runtime.taps import Taps
from agent.sinks import mqtt
from agent.store import record

pytestmark = pytest.mark.anyio
PUMP = "/gw1/pump"


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return installed(tmp_path_factory.mktemp("sparkplug"), "sparkplug-client@3.2.4")


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    broker = Mosquitto(tmp_path_factory.mktemp("broker"))
    anyio.run(broker.start)
    yield broker
    broker.kill()


@pytest.fixture(scope="module")
def tap(packages, broker):
    tap = Tap(packages, broker.port)
    yield tap
    tap.close()


class Run(list):
    """Connections of an edge node, and about when."""

    now_ms = 0


@pytest.fixture(scope="module", params=["5", "3.1.1"])
def recorded(request, tap, tmp_path_factory):
    """A life with all in it: values of all kinds and qualities, rebirth, death of a machine, an outage, a stop."""
    before = len(tap.lines)
    anyio.run(_life, tap, tmp_path_factory.mktemp("life"), request.param)
    run = Run(statements.connections(tap.lines[before:]))
    run.now_ms = time.time() * 1000
    return run


async def _life(tap, folder, version):
    begin = len(tap.lines)
    async with edge(folder, tap.port, version=version) as (machines, _):
        machines.conditions = (condition(False, True),)
        machines.all()
        await tap.until(lambda: tap.packets(verb="NBIRTH", after=begin))
        machines.tank(level=1.5, count=-30000, state=0, on=0, speed=0.25, array=[3.0], texts={7: "änders"})
        machines.conditions = (condition(True, False),)
        machines.gateway(101.0)
        await anyio.sleep(0.05)
        machines.tank(level=1.6, status=quality.UNCERTAIN_SENSOR_NOT_ACCURATE)
        await anyio.sleep(0.02)
        machines.tank(status=[quality.BAD_SENSOR_FAILURE, *[0] * 8])
        await anyio.sleep(0.02)
        await _pump_around(tap, machines)
        tap.rebirth()
        await tap.until(lambda: len(tap.packets(verb="NBIRTH", after=begin)) == 2)
        machines.pump(status=quality.BAD_NO_COMMUNICATION)
        await tap.until(lambda: tap.packets(verb="DDEATH", after=begin))
        machines.pump(6.0)
        await tap.until(lambda: len(tap.packets(verb="DBIRTH", after=begin)) == 5)
        tap.tell(door="shut")
        await tap.until(lambda: tap.packets("end", after=begin))
        for n in range(3):
            machines.tank(level=0.2 * n)
        await machines.journal.flush()
        tap.tell(door="open")
        await tap.until(lambda: len(tap.packets(verb="NBIRTH", after=begin)) == 3)
        await tap.until(lambda: any(m["historical"] for p in tap.packets(verb="DDATA", after=begin)
                                    for m in p["payload"]["raw"]))  # fmt: skip
    await tap.until(lambda: len(tap.packets("end", after=begin)) >= 2)


async def _pump_around(tap, machines):
    """Until the sequence has gone round."""
    for n in range(3000):
        if n % 50 == 0 and any(p["payload"]["seq"] == 5 for p in tap.packets(verb="DDATA")[-50:]) and n > 250:
            return
        machines.pump(float(n))
        await anyio.sleep(0.0005)
    raise AssertionError("256 messages have not gone out")


@pytest.mark.parametrize("statement", sorted(statements.CHECKS))
def test_statement(recorded, statement):
    statements.CHECKS[statement](recorded)


def test_every_statement_of_the_specification_is_accounted_for():
    """The table, printed (pytest -s)."""
    table = statements.accounted()
    assert len({one for one, _ in table}) == len(table) == 300
    assert all(hasattr(sys.modules[__name__], test) for test in statements.ELSEWHERE)
    width = max(len(one) for one, _ in table)
    for one, what in table:
        print(f"tck-id-{one:{width}}  {what}")


async def test_a_host_reads_names_units_values_and_qualities(tap, tmp_path):
    begin = len(tap.lines)
    async with edge(tmp_path, tap.port) as (machines, counters):
        machines.conditions = (condition(False, True),)
        machines.all()
        await tap.until(lambda: len(tap.heard("DBIRTH", begin)) == 2)
        birth, _ = [p["payload"] for p in tap.heard("DBIRTH", begin)]
        known = {m["name"]: m for m in birth["metrics"]}
        assert [known[name]["value"] for name in ("lower/level", "lower/count", "drive/state", "drive/on",
                                                   "drive/pulses", "drive/speed", "state/word")] == [
            1.0, -3, 1, True, 4_000_000_000, 0.5, "fine"]  # fmt: skip
        assert [known[name]["type"] for name in ("lower/level", "lower/count", "drive/state", "drive/on",
                                                  "drive/pulses", "drive/speed", "state/word")] == [
            "Double", "Int16", "UInt8", "Boolean", "Int64", "Float", "String"]  # fmt: skip
        said = {key: p["value"] for key, p in known["lower/level"]["properties"].items()}
        assert said == {"engUnit": "m", "engLow": 0, "engHigh": 2, "documentation": "Füllstand", "role": "measured",
                        "readOnly": True, "Quality": 192}  # fmt: skip
        assert known["drive/state"]["properties"]["enum"]["value"] == "0=off;1=on"
        assert known["conditions/lower/level.high/active"]["value"] is False
        (array,) = [m for m in birth["raw"] if m["name"] == "drive/spectrum"]
        assert bytes.fromhex(array["value"]).hex() == "000000000000f03f0000000000000040"  # 1.0, 2.0, little-endian
        aliases = {m["name"]: m["alias"] for m in birth["metrics"]}

        machines.tank(level=1.05)  # within its deadband
        machines.conditions = (condition(True, False),)
        await anyio.sleep(0.05)
        machines.tank(level=1.09)
        await tap.until(lambda: tap.heard("DDATA", begin))
        machines.tank(level=1.11, status=[quality.UNCERTAIN_SENSOR_NOT_ACCURATE, *[0] * 8])
        await tap.until(lambda: len(tap.heard("DDATA", begin)) == 2)
        alarm, level = [p["payload"]["metrics"] for p in tap.heard("DDATA", begin)]
        by_alias = {m["alias"]: m["value"] for m in alarm}
        assert set(by_alias) == {aliases[f"conditions/lower/level.high/{what}"]
                                 for what in ("active", "acknowledged", "since")}  # fmt: skip
        assert by_alias[aliases["conditions/lower/level.high/active"]] is True
        assert abs(by_alias[aliases["conditions/lower/level.high/since"]] - time.time() * 1000) < 10_000
        (moved,) = level
        assert (moved["alias"], moved["value"]) == (aliases["lower/level"], 1.11)
        assert moved["properties"]["Quality"]["value"] == 500
        assert moved["properties"]["status"]["value"] == "UncertainSensorNotAccurate"
        assert counters.read("spb/births") == 1
        assert not tap.packets("unparsable")


async def test_who_asks_for_a_rebirth_gets_one_and_no_data_before_it(tap, tmp_path):
    """And a hundred who ask at once get one together."""
    begin = len(tap.lines)
    async with edge(tmp_path, tap.port, rebirth_debounce_s=0.4) as (machines, counters):
        machines.all()
        await tap.until(lambda: len(tap.packets(verb="DBIRTH", after=begin)) == 2)
        await anyio.sleep(0.4)
        for _ in range(100):
            tap.rebirth()
        await tap.until(lambda: counters.read("spb/births") == 2)
        await anyio.sleep(0.1)
        asked = len(tap.lines)  # the rest of the hundred is waiting: nothing is told meanwhile
        machines.pump(77.0)
        await tap.until(lambda: counters.read("spb/births") == 3)
        await tap.until(lambda: len(tap.packets(verb="DBIRTH", after=asked)) == 2)
        verbs = [p["topic"].split("/")[2] for p in tap.packets(after=asked)]
        assert verbs == ["NBIRTH", "DBIRTH", "DBIRTH"]
        assert tap.packets(verb="DBIRTH", after=asked)[1]["payload"]["metrics"][0]["value"] == 77
        await anyio.sleep(0.5)
        assert counters.read("spb/births") == 3


async def test_a_machine_that_is_not_heard_dies_and_is_born_again(tap, tmp_path):
    begin = len(tap.lines)
    async with edge(tmp_path, tap.port) as (machines, _):
        machines.tank()
        machines.gateway()
        machines.pump(status=quality.BAD_WAITING_FOR_INITIAL_DATA)
        await tap.until(lambda: tap.packets(verb="DBIRTH", after=begin))
        machines.pump(1.0)
        await tap.until(lambda: len(tap.packets(verb="DBIRTH", after=begin)) == 2)
        machines.pump(status=quality.BAD_NO_COMMUNICATION)
        await tap.until(lambda: tap.packets(verb="DDEATH", after=begin))
        machines.pump(status=quality.BAD_TIMEOUT)
        tap.rebirth()
        await tap.until(lambda: len(tap.packets(verb="NBIRTH", after=begin)) == 2)
        machines.pump(2.0)
        await tap.until(lambda: len(tap.packets(verb="DBIRTH", after=begin)) == 4)
        verbs = ["/".join([p["topic"].split("/")[2], *p["topic"].split("/")[4:]])
                 for p in tap.packets(after=begin)]  # fmt: skip
        assert verbs == ["NBIRTH", "DBIRTH/tank", "DBIRTH/pump", "DDEATH/pump", "NBIRTH", "DBIRTH/tank", "DBIRTH/pump"]


async def test_another_catalogue_is_a_birth_of_all(tap, tmp_path):
    """With its own metrics, under their own numbers; nothing of it is told before."""
    begin = len(tap.lines)
    async with edge(tmp_path, tap.port) as (machines, _):
        machines.all()
        await tap.until(lambda: len(tap.packets(verb="DBIRTH", after=begin)) == 2)
        more = Point("pump/motor/current", Role.MEASURED, unit="A")
        parts = (*CATALOGUE.parts[:1], Part("pump", 9, 11), Part("gateway", 11, 12))
        points = (*CATALOGUE.points[:10], more, *CATALOGUE.points[10:])
        machines.hub.catalogue = Catalogue("gw1", 2, points, parts)
        machines.pump(6.0)  # of before: its rows mean something else
        machines.epoch, here = 2, len(tap.lines)
        machines.tank()
        machines.pump(7.0, 0.5)
        machines.gateway()
        await tap.until(lambda: len(tap.packets(verb="DBIRTH", after=here)) == 2)
        machines.pump(7.0, 0.75)
        await tap.until(lambda: tap.packets(verb="DDATA", after=here))
        *births, news = tap.packets(after=here)
        assert [p["topic"].split("/")[2] for p in births] == ["NBIRTH", "DBIRTH", "DBIRTH"]
        assert [(m["name"], m["alias"], m["value"]) for m in births[2]["payload"]["metrics"]] == [
            ("motor/speed", 10, 7), ("motor/current", 11, 0.5)]  # fmt: skip
        assert [m["alias"] for m in births[0]["payload"]["raw"]][-1] == 12
        assert [(m["alias"], m["value"]) for m in news["payload"]["raw"]] == [(11, 0.75)]


async def test_nothing_is_published_until_the_primary_host_is_there_nor_once_it_has_gone(tap, tmp_path):
    begin = len(tap.lines)
    tap.state(True, 900, host="another")
    async with edge(tmp_path, tap.port, primary_host="scada") as (machines, counters):
        machines.all()
        await tap.until(lambda: len(tap.packets("subscribe", after=begin)) == 3)
        tap.state(False, 1000)
        await anyio.sleep(0.2)
        assert tap.packets(after=begin) == []
        tap.state(True, 999)  # of before: not the host that is
        await anyio.sleep(0.2)
        assert tap.packets(after=begin) == []
        tap.state(True, 1001)
        await tap.until(lambda: len(tap.packets(verb="DBIRTH", after=begin)) == 2)
        tap.state(False, 1000)  # the will of a connection that it has replaced
        machines.pump(8.0)
        await tap.until(lambda: tap.packets(verb="DDATA", after=begin))
        here = len(tap.lines)
        tap.state(False, 1001)
        await tap.until(lambda: tap.packets("connect", after=here))  # at once, to wait
        cmds = [p["cmd"] for p in tap.lines[here:] if p["cmd"] in ("publish", "disconnect", "end", "connect")]
        assert cmds == ["publish", "disconnect", "end", "connect"]
        assert tap.packets(verb="NDEATH", after=here)
        machines.pump(9.0)
        await anyio.sleep(0.2)
        assert len(tap.packets(after=here)) == 1
        away = len(tap.lines)
        tap.state(True, 1002)
        await tap.until(lambda: tap.packets(verb="DBIRTH", after=away))
        first, second = statements.connections(tap.lines[begin:])
        numbers = [c.of("NBIRTH")[0].named("bdSeq")["value"] for c in (first, second)]
        assert numbers == [0, 1]
        assert counters.read("spb/errors") == 0
    tap.tell(topic="spBv1.0/STATE/scada", bytes="7b")  # no JSON: the next to wait is not misled


async def test_of_two_brokers_the_one_with_the_host_and_never_both(packages, tap, broker, tmp_path):
    (tmp_path / "other").mkdir()
    async with Mosquitto(tmp_path / "other") as other:
        second = Tap(packages, other.port)
        try:
            begin = len(tap.lines)
            tap.state(False, 5000, host="walker")
            second.state(True, 5000, host="walker")
            options = {"primary_host": "walker", "host_wait_s": 0.5}
            async with edge(tmp_path, 0, ports=(tap.port, second.port), **options) as (machines, _):
                machines.all()
                await second.until(lambda: len(second.packets(verb="DBIRTH")) == 2)
                assert tap.packets(after=begin) == []
                assert len(tap.packets("end", after=begin)) == len(tap.packets("connect", after=begin)) == 1
                second.state(False, 6000, host="walker")
                tap.state(True, 6000, host="walker")
                await tap.until(lambda: len(tap.packets(verb="DBIRTH", after=begin)) == 2)
                assert [p["cmd"] for p in second.lines if "connection" in p][-3:] == ["publish", "disconnect", "end"]
        finally:
            second.close()


async def test_a_restart_goes_on_counting_and_a_kill_leaves_the_will(tap, tmp_path):
    begin = len(tap.lines)
    async with edge(tmp_path, tap.port) as (machines, _):
        machines.all()
        await tap.until(lambda: tap.heard("NBIRTH", begin))
        tap.tell(door="shut")  # as a kill looks from the broker
        await tap.until(lambda: tap.heard("NDEATH", begin))
        tap.tell(door="open")
        await tap.until(lambda: len(tap.packets("connect", after=begin)) == 2)
    async with edge(tmp_path, tap.port) as (machines, _):
        machines.all()
        await tap.until(lambda: len(tap.heard("NBIRTH", begin)) >= 2 and len(tap.packets("connect", after=begin)) >= 3)
        await tap.until(lambda: tap.heard("NBIRTH", begin)[-1]["payload"]["metrics"][0]["value"] >= 2)
    run = statements.connections(tap.lines[begin:])
    statements.bdseq_grows_by_one_with_each_connect(run)
    assert tap.heard("NDEATH", begin)[0]["payload"]["metrics"][0]["value"] == 0


async def test_what_happened_during_an_outage_is_told_as_history(tap, tmp_path):
    begin = len(tap.lines)
    async with edge(tmp_path, tap.port) as (machines, counters):
        machines.all()
        await tap.until(lambda: len(tap.packets(verb="DBIRTH", after=begin)) == 2)
        await machines.journal.flush()
        await tap.until(lambda: counters.read("spb/acknowledged") >= 2)  # told as it happened: nothing again
        tap.tell(door="shut")
        await tap.until(lambda: tap.packets("end", after=begin))
        was_ms = time.time() * 1000
        for n in range(20):
            machines.pump(100.0 + n // 2, publish=False)
        machines.pump(200.0)
        await machines.journal.flush()
        tap.tell(door="open")
        back = len(tap.lines)
        await tap.until(lambda: len(_history(tap, back)) >= 10)
        await tap.until(lambda: counters.read("spb/acknowledged") >= 3)
        speeds = [m["value"] for m in _history(tap, back) if m["alias"] == 10]
        assert speeds == [100.0 + n for n in range(10)]
        assert all(abs(m["timestamp"] - was_ms) < 3000 for m in _history(tap, back))
        birth = [p for p in tap.packets(verb="DBIRTH", after=back) if p["topic"].endswith(PUMP)]
        assert birth[0]["payload"]["metrics"][0]["value"] == 200
        machines.pump(300.0)  # and of now there is no history
        await tap.until(lambda: any(m["value"] == 300 for p in tap.packets(verb="DDATA", after=back)
                                    for m in p["payload"]["raw"]))  # fmt: skip
        await machines.journal.flush()
        await tap.until(lambda: counters.read("spb/acknowledged") >= 4)
        assert 300.0 not in [m["value"] for m in _history(tap, back)]
        assert counters.read("spb/untold") == 0


async def test_what_a_frozen_connection_swallowed_is_told_again(tap, tmp_path):
    """Data are QoS 0: nobody acknowledges them. What the broker has not been heard of after counts as untold."""
    begin = len(tap.lines)
    async with edge(tmp_path, tap.port, acknowledge_timeout_s=0.3) as (machines, counters):
        machines.all()
        await tap.until(lambda: len(tap.packets(verb="DBIRTH", after=begin)) == 2)
        tap.tell(door="frozen")
        await anyio.sleep(0.1)
        for n in range(5):
            machines.pump(1000.0 + n)
            await anyio.sleep(0.02)
        assert counters.read("spb/errors") == 0  # handed over, and nobody has said otherwise
        assert counters.read("spb/published") >= 8
        await machines.journal.flush()
        await tap.until(lambda: counters.read("spb/errors") >= 1)
        tap.tell(door="thawed")
        await tap.until(lambda: len(_history(tap, begin)) >= 4)
        speeds = [m["value"] for m in _history(tap, begin) if m["alias"] == 10]
        assert [speed for speed in speeds if speed >= 1000] == [1000.0, 1001.0, 1002.0, 1003.0]
        birth = [p for p in tap.packets(verb="DBIRTH", after=begin) if p["topic"].endswith(PUMP)][-1]
        assert birth["payload"]["metrics"][0]["value"] == 1004


def _history(tap, after):
    return [m for p in tap.packets(verb="DDATA", after=after) for m in p["payload"]["raw"] if m["historical"]]


async def test_whatever_else_is_commanded_is_refused_and_asked_of_the_gate(tap, tmp_path):
    begin, asked = len(tap.lines), Asked()
    async with edge(tmp_path, tap.port, asked=asked) as (machines, counters):
        machines.all()
        await tap.until(lambda: len(tap.packets(verb="DBIRTH", after=begin)) == 2)
        tap.command("spBv1.0/plant/DCMD/gw1/tank", {"name": "lower/level", "type": "Double", "value": 9.5})
        tap.command("spBv1.0/plant/NCMD/gw1", {"name": "Node Control/Reboot", "type": "Boolean", "value": True},
                    {"name": "x", "alias": 11, "type": "Int32", "value": 1})  # fmt: skip
        many = [{"name": f"m{n}", "type": "Int32", "value": n} for n in range(1000)]
        tap.command("spBv1.0/plant/DCMD/gw1/pump", *many)
        tap.tell(topic="spBv1.0/plant/NCMD/gw1", bytes="ffffffff")
        await tap.until(lambda: counters.read("spb/refused") == 15)
        first, second = asked.requests[:2]
        assert (first.do, first.target, first.user, dict(first.args)) == (
            "write", "tank/lower/level", "cloud:gw1", {"value": "9.5"})  # fmt: skip
        assert second.target == "Node Control/Reboot"
        assert asked.requests[-1].target == "pump/and 990 more"
        assert counters.read("spb/births") == 1


async def test_a_broker_that_is_killed_and_comes_back_is_told_all_again(packages, tmp_path):
    (tmp_path / "own").mkdir()
    broker = Mosquitto(tmp_path / "own")
    async with broker, edge(tmp_path, broker.port) as (machines, counters):
        machines.all()
        with anyio.fail_after(10):
            while not counters.read("spb/births"):
                await anyio.sleep(0.01)
        broker.kill()
        machines.pump(50.0)
        await machines.journal.flush()
        await broker.start()
        tap = Tap(packages, broker.port)
        try:
            await tap.until(lambda: tap.packets("host connected"))
            if not tap.heard("NBIRTH"):
                tap.rebirth()
            await tap.until(lambda: len(tap.heard("DBIRTH")) == 2)
            assert tap.heard("NBIRTH")[-1]["payload"]["metrics"][0]["value"] >= 1
        finally:
            tap.close()


async def test_beside_our_own_format_on_the_same_broker(tap, broker, tmp_path):
    """Two sinks of one gateway: neither pushes the other out, each has its own place in the journal."""
    begin = len(tap.lines)
    async with (
        edge(tmp_path, tap.port) as (machines, counters),
        anyio.create_task_group() as group,
    ):
        own = mqtt.Config(host="127.0.0.1", port=broker.port)
        group.start_soon(mqtt.run, own, Taps("gw1", machines.hub, machines.journal), None)
        machines.all()
        machines.journal.put(record.event(Event("e1", "tank", clock.now_ns(), "raised", "hello")))
        await tap.until(lambda: len(tap.packets(verb="DBIRTH", after=begin)) == 2)
        await tap.until(lambda: counters.read("mqtt/acknowledged") == 1)
        machines.pump(3.0)
        await tap.until(lambda: tap.packets(verb="DDATA", after=begin))
        assert (counters.read("mqtt/connected"), counters.read("spb/connected")) == (1, 1)
        assert (counters.read("mqtt/reconnects"), counters.read("spb/reconnects")) == (0, 0)
        group.cancel_scope.cancel()
