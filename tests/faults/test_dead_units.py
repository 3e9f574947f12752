"""Row 21 of the fault table: what is dead or slow harms only itself. Real endpoints, counts instead of times."""

import socket
from contextlib import AsyncExitStack, ExitStack, contextmanager

import anyio
import pytest
import wire_proxy as wires
from driver_rig import running
from peers import free_port
from rtu_rig import bus

from agent.core.nouns import Tag
from agent.drivers import modbus

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_traceback")]

PERIOD_S = 0.5
WINDOW = 12  # periods that are counted
ENOUGH = 8  # of them: a loaded machine may lose some, a reader that waits for the dead loses more than half


def config(port, name="plc", **more):
    return modbus.Config(id=name, type="modbus", host="127.0.0.1", port=port, **more)


def tag(unit, offset, **more):
    return Tag(f"rig/u{unit}/{offset}", f"{unit}/input:{offset}", "uint16", **{"scan_s": PERIOD_S, **more})


@contextmanager
def silent_ports(count):
    """Ports that accept a connection and never answer."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
            one.listen(100)
        yield [one.getsockname()[1] for one in sockets]


async def counted(rigs, rows):
    """How many samples each tag of `rows` got within the window, by rig."""
    before = [rig.counts[rows].copy() for rig in rigs]
    await anyio.sleep(WINDOW * PERIOD_S)
    return [(rig.counts[rows] - start).min() for rig, start in zip(rigs, before, strict=True)]


async def test_forty_healthy_endpoints_keep_their_period_beside_ten_dead(server):
    tags = [tag(1, 50 * n) for n in range(4)]
    async with AsyncExitStack() as stack:
        silent = stack.enter_context(silent_ports(5))
        dead_ports = [*(free_port() for _ in range(5)), *silent]
        dead = [await stack.enter_async_context(running(modbus, config(p), tags)) for p in dead_ports]
        healthy = [await stack.enter_async_context(running(modbus, config(server.port), tags)) for _ in range(40)]
        for rig in healthy:
            await rig.until(lambda rig=rig: rig.good and rig.counts.min() >= 2, within_s=30)
        counts = await counted(healthy, range(4))
        assert min(counts) >= ENOUGH
        assert all(rig.good and not rig.downs for rig in healthy)
        assert all(rig.bad and rig.downs for rig in dead)
        assert {rig.meters.read("plc/breaker") for rig in dead} <= {1.0, 2.0}


async def test_eight_healthy_units_keep_their_period_beside_two_dead_on_their_endpoint(server):
    """A reader that waits for both dead units in each poll needs 0.9 s for one of 0.5 s."""
    units = [1, 2, 9, 3, 4, 5, 19, 6, 7, 8]
    tags = [tag(unit, 50 * n) for unit in units for n in range(2)]
    alive = [row for row, one in enumerate(tags) if not one.id.startswith(("rig/u9/", "rig/u19/"))]
    async with running(modbus, config(server.port, timeout_s=0.45, retries=0), tags) as rig:
        await rig.until(lambda: rig.counts.min() >= 4)
        (least,) = await counted([rig], alive)
        assert least >= ENOUGH
        assert {rig.named()[row] for row in alive} == {"Good"}
        assert {name for row, name in enumerate(rig.named()) if row not in alive} == {"BadNoCommunication"}
        assert not rig.downs
        told = {n: rig.meters.read(f"plc/unit_{n}_breaker") for n in units}
        assert {n for n, position in told.items() if position} == {9, 19}
        assert rig.meters.read("plc/unit_9_age_s") > WINDOW * PERIOD_S > rig.meters.read("plc/unit_1_age_s")
        assert rig.meters.read("plc/breaker") in (1.0, 2.0)


async def test_a_slow_device_harms_only_itself(server):
    """Each answer of one endpoint takes longer than its timeout; the other is a wire of the same kind."""
    async with wires.wire_to(server.port) as slow, wires.wire_to(server.port) as quick:
        slow.fault = wires.delayed(5.0)
        tags = [tag(1, 0), tag(1, 50)]
        async with running(modbus, config(slow.port), tags) as late, running(modbus, config(quick.port), tags) as fine:
            await fine.until(lambda: fine.good and fine.counts.min() >= 2)
            assert min(await counted([fine], range(2))) >= ENOUGH
            assert not fine.downs
            assert late.bad


async def test_a_unit_that_comes_back_is_read_again_without_a_restart(server):
    async with wires.wire_to(server.port) as wire:
        tags = [tag(unit, 0, scan_s=0.2) for unit in (1, 2, 3)]

        async def unit_2_lost(to, frame):
            await (wires.frozen(to, frame) if frame[6] == 2 else wires.clean(to, frame))

        async with running(modbus, config(wire.port, retry_unit_s=1.0), tags) as rig:
            await rig.until(lambda: rig.good)
            wire.fault = unit_2_lost
            await rig.until(lambda: rig.named() == ["Good", "BadNoCommunication", "Good"])
            await rig.until(lambda: rig.meters.read("plc/unit_2_errors") >= 3)
            assert rig.named() == ["Good", "BadNoCommunication", "Good"]
            wire.fault = wires.clean
            await rig.until(lambda: rig.good)
            await rig.until(lambda: rig.meters.read("plc/breaker") == 0.0)
            assert not rig.downs


async def test_a_dead_unit_of_a_serial_bus_harms_no_other_and_is_read_when_it_returns():
    with bus() as line:
        line.delay_s = {2: None}
        tags = [
            Tag(f"rig/u{u}/{n}", f"{u}/holding:{20 * n}", scan_s=PERIOD_S, type="uint16")
            for u in (1, 2, 3)
            for n in (1, 2)
        ]
        given = {"transport": "rtu", "parity": "N", "device": line.port, "timeout_s": 0.1, "retry_unit_s": 1.0}
        config = modbus.Config(id="plc", type="modbus", **given)
        async with running(modbus, config, tags) as rig:
            await rig.until(lambda: rig.counts.min() >= 2)
            (least,) = await counted([rig], [0, 1, 4, 5])
            assert least >= ENOUGH
            assert rig.named() == ["Good", "Good", "BadNoCommunication", "BadNoCommunication", "Good", "Good"]
            assert not rig.downs
            line.delay_s = {}
            await rig.until(lambda: rig.good)
            values = {(int(t), float(v)) for b in rig.batches for t, v in zip(b.tag, b.value, strict=True) if v == v}
            assert values == {(0, 140.0), (1, 280.0), (2, 140.0), (3, 280.0), (4, 140.0), (5, 280.0)}
