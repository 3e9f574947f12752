"""The Modbus driver on a bad wire to a server that is not ours (fault table rows 21, 22, 23): never a wrong value."""

import anyio
import numpy as np
import pytest
import wire_proxy as wires
from driver_rig import SLACK_S, running

from agent.core import quality
from agent.core.nouns import Tag, Write
from agent.drivers import modbus

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_traceback")]

PERIOD_S = 0.15
TAGS = (
    Tag("rig/a", "input:1", "uint16", scan_s=PERIOD_S),
    Tag("rig/b", "input:300", "uint16", scan_s=PERIOD_S),
    Tag("rig/c", "input:600", "uint32", scan_s=PERIOD_S),
)
TRUE = (7.0, 2100.0, float(4200 << 16 | 4207))


def config(port, **more):
    return modbus.Config(**{"id": "plc1", "type": "modbus", "host": "127.0.0.1", "port": port, **more})


def values_seen(rig):
    pairs = {(int(t), float(v)) for b in rig.batches for t, v in zip(b.tag, b.value, strict=True)}
    return {(t, v) for t, v in pairs if v == v}


BROKEN = {
    "delayed": wires.delayed(0.6 * PERIOD_S),
    "frozen": wires.frozen,
    "cut": wires.cut,
    "cut within an answer": wires.cut_within,
    "trickled too slowly": wires.trickled(0.5 * PERIOD_S / 10),
    "truncated, still open": wires.changed(lambda f: f[:-1]),
    "transaction flipped": wires.changed(wires.flipped(1)),
    "transaction 0": wires.changed(wires.replaced(0, 0, 0)),
    "another protocol": wires.changed(wires.flipped(3)),
    "length too small": wires.changed(wires.replaced(4, 0, 4)),
    "length too great": wires.changed(wires.flipped(4)),
    "length 0": wires.changed(wires.replaced(4, 0, 0)),
    "another unit": wires.changed(wires.flipped(6, 0x02)),
    "another function": wires.changed(wires.replaced(7, 3)),
    "a function that has no length": wires.changed(wires.replaced(7, 43)),
    "an exception by one bit": wires.changed(wires.flipped(7, 0x80)),
    "byte count too small": wires.changed(wires.replaced(8, 1)),
    "byte count too great": wires.changed(wires.flipped(8)),
    "a byte too few": wires.changed(lambda f: wires.resized(f, -1)),
    "a byte too many": wires.changed(lambda f: wires.resized(f, 1)),
    "a register too many, counted": wires.changed(
        lambda f: wires.replaced(8, f[8] + 2)(wires.resized(f, 2)),
    ),
    "a register too few, counted": wires.changed(lambda f: wires.replaced(8, f[8] - 2)(wires.resized(f, -2))),
    "a register too many": wires.changed(lambda f: wires.resized(f, 2)),
    "garbage": wires.changed(lambda f: b"\xa5" * 40),
    "garbage longer than any frame": wires.changed(lambda f: b"\x00\x01" * 400),
}


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
async def test_a_broken_wire_gives_no_value_and_the_connection_is_renewed(server, fault):
    async with wires.wire_to(server.port) as wire, running(modbus, config(wire.port), TAGS) as rig:
        await rig.until(lambda: rig.good)
        connections = wire.connections
        wire.fault = fault
        await rig.until(lambda: rig.bad, within_s=2 * PERIOD_S + SLACK_S)
        wire.fault = wires.clean
        await rig.until(lambda: rig.good, within_s=2 * PERIOD_S + SLACK_S)
        assert rig.meters.read("plc1/errors") >= 1
        assert wire.connections > connections
        assert values_seen(rig) == set(enumerate(TRUE))


HARMLESS = {
    "late, but in time": wires.delayed(0.02),
    "trickled": wires.trickled(0.0),
    "each answer twice": wires.twice,
    "each answer after the last one": wires.with_the_last,
}


@pytest.mark.parametrize("fault", HARMLESS.values(), ids=HARMLESS)
async def test_a_wire_that_is_only_odd_is_read_through(server, fault):
    async with wires.wire_to(server.port) as wire, running(modbus, config(wire.port, timeout_s=0.5), TAGS) as rig:
        wire.fault = fault
        await rig.until(lambda: len(rig.batches) >= 4)
        assert rig.good
        assert not rig.downs
        assert values_seen(rig) == set(enumerate(TRUE))


async def test_a_slow_device_never_gives_the_values_of_another_request_and_harms_no_other(server):
    """Each answer comes later than the timeout, now before and now after the next request went out."""
    late = [0.04, 0.09, 0.14, 0.0, 0.06]

    async def slow(to, frame):
        await anyio.sleep(late[to.wire.answers % len(late)])
        await to.send(frame)

    healthy_tags = [Tag("rig/h", "input:5", "uint16", scan_s=0.1)]
    async with (
        wires.wire_to(server.port) as wire,
        running(modbus, config(server.port, id="healthy"), healthy_tags) as healthy,
        running(modbus, config(wire.port, timeout_s=0.05), TAGS) as rig,
    ):
        await rig.until(lambda: rig.good and healthy.good)
        wire.fault = slow
        first = len(healthy.batches)
        await anyio.sleep(2.0)
        gaps_s = np.diff([b.t_ns[0] for b in healthy.batches[first:]]) * 1e-9
        wire.fault = wires.clean
        await rig.until(lambda: rig.good)
    assert values_seen(rig) <= set(enumerate(TRUE))
    assert rig.meters.read("plc1/errors") >= 3
    assert not healthy.downs
    assert len(gaps_s) >= 14
    assert np.median(abs(gaps_s - 0.1)) < 0.02


@pytest.mark.parametrize("fault", [wires.changed(lambda f: wires.resized(f, 1)), wires.cut], ids=["nonsense", "cut"])
async def test_one_unit_of_several_that_is_not_understood_does_not_stop_the_others(server, fault):
    async def of_unit_2(to, frame):
        await (fault if frame[6] == 2 else wires.clean)(to, frame)

    tags = [Tag(f"rig/{u}", f"{u}/input:1", "uint16", scan_s=PERIOD_S) for u in (1, 2, 3)]
    settled = {"retry_unit_s": 0.3, "timeout_s": 0.5}
    async with wires.wire_to(server.port) as wire, running(modbus, config(wire.port, **settled), tags) as rig:
        wire.fault = of_unit_2
        await rig.until(lambda: len(rig.batches) >= 6)
        assert rig.named() == ["Good", "BadNoCommunication", "Good"]
        assert not rig.downs
        wire.fault = wires.clean
        await rig.until(lambda: rig.good)


@pytest.mark.parametrize(
    "fault",
    [wires.changed(lambda f: wires.resized(f, 1)), wires.changed(wires.flipped(0)), wires.frozen, wires.cut],
    ids=["nonsense", "another transaction", "silence", "cut"],
)
async def test_one_request_without_an_answer_is_repeated_at_once(server, fault):
    async def once(to, frame):
        to.wire.fault = wires.clean
        await fault(to, frame)

    async with wires.wire_to(server.port) as wire, running(modbus, config(wire.port, timeout_s=0.3), TAGS) as rig:
        await rig.until(lambda: rig.good)
        errors = rig.meters.read("plc1/errors") or 0
        wire.fault = once
        await rig.until(lambda: rig.meters.read("plc1/errors") == errors + 1)
        more = len(rig.batches) + 2
        await rig.until(lambda: len(rig.batches) >= more)
        assert not rig.downs
        assert all(quality.good_mask(b.status).all() for b in rig.batches)


@pytest.mark.parametrize("pause_s", [0.0, 0.02])
async def test_a_peer_that_talks_first_harms_nothing(server, pause_s):
    """Another service listens on the port, or a gateway greets: no answer, and no traceback."""
    async with wires.wire_to(server.port) as wire:
        wire.greeting = b"\x00\x01\x00\x00\x00\x03\x01\x04\x02"
        async with running(modbus, config(wire.port, pause_after_connect_s=pause_s), TAGS) as rig:
            await rig.until(lambda: wire.connections >= 3 or len(rig.batches) >= 2)
            wire.greeting = b""
            await rig.until(lambda: rig.good)
            assert values_seen(rig) == set(enumerate(TRUE))


async def test_a_peer_that_hangs_up_at_once_harms_nothing():
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)

        async def hang_up(client):
            await client.aclose()

        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, hang_up)
            async with running(modbus, config(port, pause_after_connect_s=0.02), TAGS) as rig:
                await rig.until(lambda: len(rig.downs) >= 3)
                assert not rig.batches
            group.cancel_scope.cancel()


@pytest.mark.parametrize("held", [wires.delayed(0.15), wires.frozen, wires.changed(wires.flipped(8))])
async def test_a_write_whose_answer_is_lost_is_not_called_written(server, held):
    tags = [Tag("rig/w", "holding:700", "uint16", scan_s=PERIOD_S, writable=True)]
    async with wires.wire_to(server.port) as wire, running(modbus, config(wire.port), tags) as rig:
        await rig.until(lambda: rig.good)
        wire.fault = held
        answer = await rig.write(Write("w", 0, 1234.0))
        wire.fault = wires.clean
        assert not answer.ok, answer
        assert "written" in answer.text or "stopped" in answer.text
        await rig.until(lambda: rig.good and rig.value[0] == 1234.0)
