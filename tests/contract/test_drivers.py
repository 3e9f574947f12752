"""What every driver owes to the daemon, on real peers: one suite, each driver a case."""

import time
from dataclasses import dataclass
from typing import Any

import anyio
import numpy as np
import pytest
from driver_rig import running
from peers import libmodbus, opcua_server

from agent.core import quality
from agent.core.nouns import Tag, Write
from agent.drivers import modbus, opcua
from agent.drivers import self as own

pytestmark = pytest.mark.anyio

PERIOD_S = 0.5


@dataclass
class Case:
    """A driver, what it is given, and the peer it reads (None: it has none)."""

    driver: Any
    config: Any
    tags: list[Tag]
    peer: Any


def modbus_case():
    peer = libmodbus()
    tags = [Tag(f"rig/a/{i}", f"input:{3 * i}", "uint16", scan_s=PERIOD_S) for i in range(8)]
    return Case(modbus, modbus.Config(id="plc", type="modbus", host="127.0.0.1", port=peer.port), tags, peer)


def opcua_case():
    peer = opcua_server()
    uri = "http://edgetwin.test/plc"
    tags = [Tag(f"rig/a/{i}", f"nsu={uri};s=fixed{i}", scan_s=PERIOD_S) for i in range(8)]
    config = opcua.Config(id="plc", type="opcua", endpoint=f"opc.tcp://127.0.0.1:{peer.port}")
    return Case(opcua, config, tags, peer)


def self_case():
    names = ("process/rss_mib", "process/cpu_percent", "process/uptime_s", "self/missed")
    tags = [Tag(f"gateway/a/{i}", name, scan_s=PERIOD_S) for i, name in enumerate(names)]
    return Case(own, own.Config(id="self", type="self"), tags, None)


CASES = {"modbus": modbus_case, "opcua": opcua_case, "self": self_case}


@pytest.fixture(scope="module", params=list(CASES))
def started(request):
    """A case whose peer runs, shared by the tests that leave it alone."""
    made = CASES[request.param]()
    if made.peer is not None:
        made.peer.start()
    yield made
    if made.peer is not None:
        made.peer.kill()


@pytest.fixture(params=["modbus", "opcua"])
def with_peer(request):
    """A case with a peer of its own, not yet started."""
    made = CASES[request.param]()
    yield made
    made.peer.kill()


async def test_every_tag_comes_in_well_formed_batches(started):
    async with running(started.driver, started.config, started.tags) as rig:
        await rig.until(lambda: rig.good and rig.counts.min() >= 3)
        assert {b.source for b in rig.batches} == {started.config.id}
        assert not rig.downs
        first = [b.t_ns[b.tag == 0][-1] for b in rig.batches if (b.tag == 0).any()]
        assert (np.diff(first) > 0).all()


async def test_it_turns_for_the_watchdog(started):
    async with running(started.driver, started.config, started.tags) as rig:
        await rig.until(lambda: rig.counts.min() >= 2)
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        assert rig.meters.stuck(now_ns + 1, 0) == (started.config.id,)
        assert rig.meters.stuck(now_ns, int(3e9)) == ()


async def test_it_starts_though_the_machine_is_off_and_finds_it_when_it_comes(with_peer):
    async with running(with_peer.driver, with_peer.config, with_peer.tags) as rig:
        await rig.until(lambda: len(rig.downs) >= 2)
        assert rig.bad
        with_peer.peer.start()
        await rig.until(lambda: rig.good)


async def test_a_killed_peer_is_bad_within_two_periods_and_returns_without_a_restart_of_ours(with_peer):
    with_peer.peer.start()
    async with running(with_peer.driver, with_peer.config, with_peer.tags) as rig:
        await rig.until(lambda: rig.good and rig.counts.min() >= 2)
        with_peer.peer.kill()
        await rig.until(lambda: rig.bad, within_s=2 * PERIOD_S + 0.1)
        with_peer.peer.start()
        await rig.until(lambda: rig.good)


async def test_a_frozen_peer_is_bad_within_two_periods(with_peer):
    with_peer.peer.start()
    async with running(with_peer.driver, with_peer.config, with_peer.tags) as rig:
        await rig.until(lambda: rig.good and rig.counts.min() >= 2)
        with_peer.peer.freeze()
        try:
            await rig.until(lambda: rig.bad, within_s=2 * PERIOD_S + 0.1)
        finally:
            with_peer.peer.thaw()
        await rig.until(lambda: rig.good, within_s=15.0)


async def test_cancellation_is_clean_at_any_moment(started):
    for delay in (0.0, 0.001, 0.005, 0.02, 0.05, 0.11, 0.23, 0.5, 0.61):
        began = time.monotonic()
        with anyio.move_on_after(delay):
            async with running(started.driver, started.config, started.tags):
                await anyio.sleep_forever()
        assert time.monotonic() - began < delay + 1.5


async def test_every_write_is_answered(started):
    async with running(started.driver, started.config, started.tags) as rig:
        await rig.until(lambda: rig.good)
        answer = await rig.write(Write("w1", 0, 1.0))
        assert answer.id == "w1"
        assert not answer.ok
        assert "writ" in answer.text


async def test_a_loop_that_is_late_costs_no_drift(started):
    """The event loop blocked for 2.3 periods: the phase is kept, what was missed is counted."""
    async with running(started.driver, started.config, started.tags) as rig:
        await rig.until(lambda: rig.counts.min() >= 2)
        time.sleep(2.3 * PERIOD_S)
        await anyio.sleep(2.2 * PERIOD_S)
        assert rig.meters.read(f"{started.config.id}/missed") >= 1
        late = np.array([b.t_ns[0] for b in rig.batches[-2:]]) % int(PERIOD_S * 1e9)
        assert (np.minimum(late, PERIOD_S * 1e9 - late) < 0.3e9).all()


async def test_a_meter_that_nobody_touched_waits_for_initial_data():
    tags = [Tag("gateway/a/b", "mqtt/acknowledged", scan_s=0.05), Tag("gateway/a/c", "machine/temperature_c")]
    async with running(own, own.Config(id="self", type="self"), tags) as rig:
        await rig.until(lambda: rig.counts[0] >= 1)
        assert rig.status[0] == quality.BAD_WAITING_FOR_INITIAL_DATA
        rig.meters.add("mqtt/acknowledged", 3)
        await rig.until(lambda: rig.value[0] == 3.0)
        assert rig.named()[0] == "Good"
