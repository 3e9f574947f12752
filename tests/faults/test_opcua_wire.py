"""A bad wire between the OPC UA driver and a real server: no crash, tags Bad, back by itself, no wrong value."""

import random

import anyio
import numpy as np
import pytest
import wire_proxy
from driver_rig import running
from peers import opcua_server

from agent.core.nouns import Tag
from agent.drivers import opcua

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_traceback")]

URI = "http://edgetwin.test/plc"
FIXED = list(range(8))


@pytest.fixture(scope="module")
def plc():
    with opcua_server() as peer:
        yield peer


def driver(port, **more):
    more = {"check_s": 0.5, "publishing_s": 0.1, "connect_timeout_s": 2.0, "retry_refused_s": 1.0, **more}
    return opcua.Config(id="plc", type="opcua", endpoint=f"opc.tcp://127.0.0.1:{port}/plc", **more)


def tags():
    fixed = [Tag(f"rig/a/{i}", f"nsu={URI};s=fixed{i}", scan_s=0.5) for i in FIXED]
    only = Tag("rig/a/only", f"nsu={URI};s=fixed9", scan_s=0.5, options={"acquire": "subscribe"})
    return [*fixed, Tag("rig/a/ramp", f"nsu={URI};s=ramp", scan_s=0.5), only]


def right(rig):
    """No value but the right one was ever Good."""
    for batch in rig.batches:
        for row, value, status in zip(batch.tag, batch.value, batch.status, strict=True):
            if status >> 30 == 0 and row < len(FIXED):
                assert value == row
            if status >> 30 == 0 and row == len(FIXED):
                assert 0 <= value < 1e6
                assert value == round(value)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(wire_proxy.cut, id="cut"),
        pytest.param(wire_proxy.cut_within, id="cut within a chunk"),
        pytest.param(wire_proxy.frozen, id="frozen"),
        pytest.param(wire_proxy.delayed(5.0), id="late by 5 s"),
        pytest.param(wire_proxy.changed(lambda frame: b"\xff" * len(frame)), id="garbage"),
        pytest.param(wire_proxy.changed(lambda frame: b"GET / HTTP/1.1\r\n\r\n"), id="another protocol"),
        pytest.param(wire_proxy.changed(wire_proxy.flipped(0)), id="unknown message"),
        pytest.param(wire_proxy.changed(wire_proxy.flipped(7)), id="a chunk of 4 GiB"),
        pytest.param(wire_proxy.changed(wire_proxy.flipped(12)), id="another token"),
        pytest.param(wire_proxy.changed(wire_proxy.flipped(16)), id="another sequence"),
        pytest.param(wire_proxy.changed(wire_proxy.flipped(20)), id="another request"),
        pytest.param(wire_proxy.changed(wire_proxy.flipped(26)), id="another type of answer"),
        pytest.param(wire_proxy.twice, id="each answer twice"),
    ],
)
async def test_a_bad_wire_is_bad_and_heals(plc, fault):
    async with (
        wire_proxy.wire_to(plc.port, wire_proxy.opcua_chunk) as wire,
        running(opcua, driver(wire.port), tags()) as rig,
    ):
        await rig.until(lambda: rig.good, within_s=15)
        wire.fault = fault
        await rig.until(lambda: rig.bad, within_s=5)
        await anyio.sleep(0.5)
        wire.fault = wire_proxy.clean
        await rig.until(lambda: rig.good, within_s=20)
        right(rig)


async def test_a_slow_wire_is_only_slow(plc):
    async with (
        wire_proxy.wire_to(plc.port, wire_proxy.opcua_chunk) as wire,
        running(opcua, driver(wire.port, check_s=3.0), tags()) as rig,
    ):
        await rig.until(lambda: rig.good, within_s=15)
        downs = len(rig.downs)
        wire.fault = wire_proxy.trickled(0.0001)
        told = rig.meters.read("plc/notifications")
        await rig.until(lambda: rig.meters.read("plc/notifications") > told + 20, within_s=20)
        wire.fault = wire_proxy.delayed(0.15)
        told = rig.meters.read("plc/notifications")
        await rig.until(lambda: rig.meters.read("plc/notifications") > told + 20, within_s=20)
        assert len(rig.downs) == downs
        right(rig)


@pytest.mark.parametrize("seed", range(4))
async def test_flipped_bits_crash_nothing_and_it_comes_back(plc, seed):
    """Without security a flipped bit in a value cannot be told from another value: only what surrounds it is."""
    chance = random.Random(seed)

    def flipped(frame):
        if len(frame) < 30 or chance.random() < 0.5:
            return frame
        return wire_proxy.flipped(chance.randrange(24, len(frame)), 1 << chance.randrange(8))(frame)

    async with (
        wire_proxy.wire_to(plc.port, wire_proxy.opcua_chunk) as wire,
        running(opcua, driver(wire.port), tags()) as rig,
    ):
        await rig.until(lambda: rig.good, within_s=15)
        wire.fault = wire_proxy.changed(flipped)
        with anyio.move_on_after(4.0):
            await rig.until(lambda: len(rig.downs) > 5, within_s=60)
        wire.fault = wire_proxy.clean
        await rig.until(lambda: rig.good and rig.value[:8].tolist() == FIXED, within_s=20)
        assert np.isfinite(rig.value).all()


async def test_a_publish_answer_that_is_lost_is_asked_for_again(plc):
    """The wire swallows one chunk with notifications and numbers those after it anew: only the message lacks."""
    ramp = [Tag("rig/a/ramp", f"nsu={URI};s=ramp", scan_s=5.0, options={"acquire": "subscribe"})]
    swallow = Swallower()
    async with (
        wire_proxy.wire_to(plc.port, wire_proxy.opcua_chunk) as wire,
        running(opcua, driver(wire.port, check_s=5.0), ramp) as rig,
    ):
        wire.fault = swallow
        await rig.until(lambda: rig.counts[0] > 10, within_s=15)
        swallow.armed = True
        await rig.until(lambda: rig.meters.read("plc/republished"), within_s=15)
        await rig.until(lambda: rig.counts[0] > 60, within_s=15)
        seen = {int(v) for b in rig.batches for v in b.value}
        assert seen == set(range(min(seen), max(seen) + 1))
        assert not rig.meters.read("plc/resubscribed")
        assert not rig.downs


class Swallower:
    """Loses the next chunk with a PublishResponse that carries data; sequence numbers of the channel stay whole."""

    def __init__(self):
        self.armed, self.lost = False, 0

    async def __call__(self, to, frame):
        publish = frame[24:28] == b"\x01\x00" + (829).to_bytes(2, "little")
        if self.armed and publish and len(frame) > 100:
            self.armed, self.lost = False, self.lost + 1
            return
        if frame[:3] == b"MSG":
            sequence = int.from_bytes(frame[16:20], "little") - self.lost
            frame = frame[:16] + sequence.to_bytes(4, "little") + frame[20:]
        await to.send(frame)
