"""Supervision, routing, the hub and the watchdog, with no peer and no waiting longer than a blink."""

import math
import os
import socket
import time

import anyio
import numpy as np
import pytest
from engine_world import SECOND, asset, batch, tick

from agent.control.gate import Gate
from agent.core import quality
from agent.core.nouns import Batch, Catalogue, Part, Request
from agent.drivers import self as own_meters
from agent.engine import state as states
from agent.engine.step import step
from agent.runtime import clock, meters, supervise, systemd
from agent.runtime.cycle import Cycle
from agent.runtime.hub import Hub
from agent.runtime.inbox import MAX_SAMPLES, Inbox, Intake, Route
from agent.runtime.pace import Pace

pytestmark = pytest.mark.anyio
FAST = supervise.Backoff(0.001, 0.002)


@pytest.fixture(autouse=True)
def counters():
    return meters.install(meters.Meters())


async def test_an_io_error_is_retried_and_told_each_time(counters):
    reasons, tries = [], []

    async def run():
        tries.append(1)
        if len(tries) == 3:
            await anyio.sleep_forever()
        raise ConnectionRefusedError("nobody there")

    with anyio.move_on_after(0.5):
        await supervise.keep("plc", run, down=reasons.append, backoff=FAST, strict=True)
    assert reasons == ["ConnectionRefusedError: nobody there"] * 2
    assert counters.read("plc/failures") == 2


async def test_a_group_of_io_errors_is_expected_a_mixed_one_is_a_bug(counters):
    assert supervise.expected(ExceptionGroup("g", [OSError(), TimeoutError()]))
    assert not supervise.expected(ExceptionGroup("g", [OSError(), ValueError()]))


async def test_a_bug_is_counted_and_restarted_and_raised_when_strict(counters, caplog):
    async def run():
        raise ZeroDivisionError("ours")

    with anyio.move_on_after(0.05):
        await supervise.keep("plc", run, backoff=FAST)
    assert counters.read("plc/bugs") >= 2
    assert "ours" in caplog.text
    with pytest.raises(ZeroDivisionError):
        await supervise.keep("plc", run, backoff=FAST, strict=True)


async def test_a_driver_that_ends_by_itself_is_down_and_comes_again():
    reasons = []

    async def run():
        return

    with anyio.move_on_after(0.05):
        await supervise.keep("plc", run, down=reasons.append, backoff=FAST)
    assert len(reasons) >= 2


def samples(rows, values, status=quality.GOOD, texts=()):
    n = len(rows)
    zeros = np.zeros(n, np.int64)
    return Batch("plc", np.array(rows, np.int32), np.array(values, float), np.full(n, status, np.uint32),
                 zeros, zeros, texts)  # fmt: skip


def test_batches_are_routed_by_row_to_each_asset_that_uses_the_tag(counters):
    inboxes = {"a": Inbox("a"), "b": Inbox("b")}
    routes = [Route("a", np.array([1, -1, 0], np.int32)), Route("b", np.array([-1, 5, -1], np.int32))]
    intake = Intake("plc", 3, routes, inboxes)
    intake.put(samples([0, 1, 2], [10, 11, math.nan], texts=((2, "x"),)))
    (a,), _ = inboxes["a"].take()
    (b,), _ = inboxes["b"].take()
    assert (a.tag.tolist(), a.value[0], a.texts) == ([1, 0], 10, ((1, "x"),))
    assert (b.tag.tolist(), b.value.tolist()) == ([5], [11])
    assert inboxes["a"].take() == ((), ())
    assert counters.read("plc/samples") == 3


def test_a_source_is_up_with_a_good_value_and_down_when_its_driver_ends(counters):
    inboxes = {"a": Inbox("a")}
    intake = Intake("plc", 2, [Route("a", np.array([0, 1], np.int32))], inboxes)
    assert counters.read("plc/connected") is None  # no event before anything was tried
    intake.put(samples([0], [1.0]))
    assert counters.read("plc/connected") == 1.0
    intake.put(samples([1], [math.nan], quality.BAD_NODE_ID_UNKNOWN))
    assert counters.read("plc/connected") == 1.0
    intake.put(samples([0, 1], [math.nan] * 2, quality.BAD_NO_COMMUNICATION))
    assert counters.read("plc/connected") == 1.0  # one unit behind an endpoint that answers for others
    intake.down("cut")
    assert counters.read("plc/connected") == 0.0
    marked = inboxes["a"].take()[0][-1]
    assert (marked.status == quality.BAD_NO_COMMUNICATION).all()
    assert marked.tag.tolist() == [0, 1]


def test_an_inbox_nobody_empties_is_bounded_and_counts_what_it_drops(counters):
    inbox = Inbox("a")
    big = samples(range(50_000), np.zeros(50_000))
    for _ in range(10):
        inbox.put(big)
    taken, _ = inbox.take()
    assert sum(len(b.tag) for b in taken) <= MAX_SAMPLES
    assert counters.read("a/dropped") == 10 * 50_000 - sum(len(b.tag) for b in taken)


def catalogue(epoch=1):
    built = asset()
    return Catalogue("g", epoch, built.points, (Part("rig", 0, len(built.points)),))


async def test_a_slow_reader_of_the_hub_gets_the_newest_and_never_delays():
    built, hub = asset(), Hub(catalogue())
    state, seen = states.initial(built), []

    async def read():
        async for noun in hub.latest():
            seen.append(noun)
            await anyio.sleep(0.01)

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        for t in range(1, 31):
            state, snapshot = step(built, state, tick(t, batch(t, level=1.0, state=2)))
            hub.publish(snapshot)
            if t % 10 == 0:
                await anyio.sleep(0.03)
        hub.catalogue = catalogue(2)
        hub.close()
    assert isinstance(seen[0], Catalogue)
    shots = [s for s in seen if not isinstance(s, Catalogue)]
    assert shots[-1].seq == 300
    assert len(shots) < 20
    assert [s.seq for s in shots[:-1]] == sorted({s.seq for s in shots[:-1]})


async def test_a_loop_keeps_its_phase_and_counts_what_it_missed(counters):
    pace, off_s = Pace(0.02, "loop/missed", 0.01), []
    for _ in range(5):
        await pace.next()
        off_s.append((clock.now_ns() * 1e-9 - 0.01) % 0.02)
    assert min(off_s) < 0.008  # at least one round of a loaded machine begins near its due time
    assert counters.read("loop/missed") is not None
    before = counters.read("loop/missed")
    time.sleep(0.05)
    await pace.next()
    assert counters.read("loop/missed") >= before + 2


async def test_a_cycle_ticks_through_an_engine_and_ends_with_shutdown():
    from dataclasses import replace

    built, shots = replace(asset(), period_s=0.02), []
    cycle = Cycle(built, states.initial(built), Inbox("rig"), lambda t, s: shots.append((t, s)))
    with anyio.move_on_after(0.3):
        await cycle.run()
    cycle.end()
    times = [t.now_ns for t, _ in shots[:-1]]
    assert len(times) >= 5
    late_ns = sorted((t - 4_000_000) % 20_000_000 for t in times)  # phase 0.2 of 20 ms
    assert late_ns[len(late_ns) // 4] < 10_000_000  # of a loaded machine not all rounds begin in time
    assert [t.seq for t, _ in shots] == list(range(1, len(shots) + 1))
    assert shots[-1][1].last


async def test_the_gate_passes_commands_refuses_writes_and_audits_both():
    built = asset()
    from engine_world import high

    built = asset([high()])
    _, shot = step(built, states.initial(built), tick(1, batch(1, level=11.0, state=2)))
    inboxes, audit = {"rig": Inbox("rig")}, []
    gate = Gate(inboxes, {"rig": shot}, audit.append)
    assert (await gate.ask(Request("1", "ack", "rig/tank/level.high", "ann"))).ok
    assert inboxes["rig"].take()[1][0].do == "ack"
    answers = [
        await gate.ask(Request("2", "write", "rig/tank/level", "ann")),
        await gate.ask(Request("3", "dance", "rig", "ann")),
        await gate.ask(Request("4", "ack", "rig/none", "ann")),
        await gate.ask(Request("5", "ack", "rig/tank/level.high", "")),
        await gate.ask(Request("6", "close", "case", "ann")),
        await gate.ask(Request("7", "maintenance", "rgi", "ann", {"step": "begin"})),
    ]
    assert [a.ok for a in answers] == [False] * 6
    assert "off" in answers[0].text
    assert "expected one of rig" in answers[5].text
    assert len(audit) == 7
    assert [e.asset for e in audit] == ["rig"] + ["gateway"] * 6
    assert inboxes["rig"].take() == ((), ())
    assert (await gate.ask(Request("8", "maintenance", "rig", "ann", {"step": "begin"}))).ok
    (command,) = inboxes["rig"].take()[1]
    assert (command.do, command.target, command.args) == ("maintenance", "rig", {"step": "begin"})
    assert "maintenance rig {'step': 'begin'}: allowed" in audit[-1].text


async def test_the_watchdog_is_fed_while_all_turn_and_not_when_one_is_stuck(tmp_path, monkeypatch, counters, caplog):
    path = str(tmp_path / "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(1.0)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.setenv("WATCHDOG_USEC", "60000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        assert systemd.notify("READY=1")
        assert listener.recv(100) == b"READY=1"
        counters.turn("cycle rig")
        with anyio.move_on_after(0.05):
            await systemd.feed_watchdog(stuck_s=10.0)
        assert listener.recv(100) == b"WATCHDOG=1"
        listener.setblocking(False)
        while True:
            try:
                listener.recv(100)
            except BlockingIOError:
                break
        await anyio.sleep(0.02)
        with anyio.move_on_after(0.05):
            await systemd.feed_watchdog(stuck_s=0.01)
        with pytest.raises(BlockingIOError):
            listener.recv(100)
    assert "cycle rig" in caplog.text


async def test_a_slow_scan_is_allowed_its_time_and_a_sink_is_not_watched(counters):
    counters.turn("slow")
    counters.allow("slow", 60.0)
    counters.turn("quick")
    now_ns = clock.now_ns()
    assert counters.stuck(now_ns + 30 * SECOND, 20 * SECOND) == ("quick",)
    assert counters.stuck(now_ns + 90 * SECOND, 20 * SECOND) == ("quick", "slow")
    with anyio.move_on_after(0.01):
        await supervise.keep("sink", anyio.sleep_forever, watched=False)
    assert "sink" not in counters.stuck(now_ns + 90 * SECOND, 0)


def test_without_systemd_nothing_is_sent(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert not systemd.notify("READY=1")
    assert systemd.watchdog_s() is None


def test_what_is_measured_of_ourselves_is_rounded_and_counts_are_not():
    value = np.array([0.0123456789, -3.14159265, 12345678901.0, 0.0, np.nan, np.inf, 1e-30, 86400.123456])
    rounded = own_meters.rounded(value)
    assert np.array_equal(rounded[[2, 3, 4, 5]], value[[2, 3, 4, 5]], equal_nan=True)
    np.testing.assert_allclose(rounded, value, rtol=2**-14)
    assert rounded[0] != value[0]
