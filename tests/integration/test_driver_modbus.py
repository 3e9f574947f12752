"""The Modbus driver against a server that is not ours: libmodbus in C."""

import socket
import struct
import time

import anyio
import numpy as np
import pytest
from anyio.abc import SocketAttribute
from driver_rig import SLACK_S, running
from peers import free_port, libmodbus

from agent.core import quality
from agent.core.nouns import Tag, Write
from agent.drivers import modbus

pytestmark = pytest.mark.anyio


def config(port, **more):
    return modbus.Config(id="plc1", type="modbus", host="127.0.0.1", port=port, **more)


def tag(name, address, kind="uint16", **more):
    more = {"scan_s": 0.2, **more}
    return Tag(f"rig/{name}", address, kind, **more)


@pytest.fixture(scope="module")
def shared():
    with libmodbus() as peer:
        yield peer


async def test_reads_all_four_tables_in_the_fewest_requests(shared):
    tags = [tag(f"i{i}", f"input:{i}") for i in range(0, 200, 2)]
    tags += [tag(f"d{i}", f"discrete:{i}", "bool") for i in range(10)]
    tags += [tag("c", "coil:5", "bool"), tag("h", "400001", "float32", order="CDAB")]
    async with running(modbus, config(shared.port), tags) as rig:
        await rig.until(lambda: rig.good)
        assert rig.value[:100].tolist() == [7.0 * i for i in range(0, 200, 2)]
        assert rig.value[100:110].tolist() == [1, 0, 0, 1, 0, 0, 1, 0, 0, 1]
        await rig.until(lambda: len(rig.batches) == 3)
        assert rig.meters.read("plc1/requests") == 3 * 5  # input in 2, discrete, coil, holding
        assert not rig.meters.read("plc1/errors")
        assert 0 < rig.meters.read("plc1/rtt_s") < 0.2


async def test_a_list_that_counts_from_1_with_parts_of_registers_and_decimals(shared):
    """Input register i holds 7 i: offset 40 is 280 = 0x0118, offset 3 is 21 = 0x15, offset 2 is 14 = 0x0E."""
    tags = [tag("number", "input:41"), tag("modicon", "3x41"), tag("hex", "input:0x29"), tag("far", "2/input:41")]
    tags += [tag("low", "input:41", "uint8l"), tag("high", "input:41", "int8h"), tag("turned", "30041", order="BADC")]
    tags += [tag("decimal", "input:4", "bcd16"), tag("none", "input:3", "bcd16")]
    tags += [tag("bit", "discrete:1", "bool"), tag("coil", "00008", "bool", writable=True)]
    tags += [tag("set", "holding:101", "bcd32", order="CDAB", writable=True), tag("raw", "400101", "uint32")]
    tags += [tag("half", "holding:103", "float16", writable=True), tag("last", "input:65536")]
    async with running(modbus, config(shared.port, address_base=1), tags) as rig:
        await rig.until(lambda: len(rig.batches) >= 1)
        assert rig.value[:8].tolist() == [280, 280, 280, 280, 24, 1, 0x1801, 15]
        assert rig.value[9] == 1
        assert rig.named()[8] == "BadOutOfRange"  # a digit over 9
        assert rig.named()[14] == "BadConfigurationError"  # offset 65535: the server has no such register
        for write in (Write("1", 11, 12345678.0), Write("2", 13, -1.5), Write("3", 10, 1.0)):
            answer = await rig.write(write)
            assert answer.ok, answer
        before = len(rig.batches)
        await rig.until(lambda: len(rig.batches) > before + 1)
        assert rig.value[10:14].tolist() == [1, 12345678, 0x56781234, -1.5]


async def test_one_bad_address_harms_only_its_tag_and_is_remembered(shared):
    tags = [tag(f"h{i}", f"holding:{i}") for i in range(50, 90)] + [tag("wrong", "holding:x"), tag("n", "input:1")]
    async with running(modbus, config(shared.port), tags) as rig:
        await rig.until(lambda: len(rig.batches) >= 1)
        bad = {tags[i].address for i in np.flatnonzero(quality.bad_mask(rig.status))}
        assert bad == {"holding:60", "holding:x"}
        assert set(rig.named()) == {"Good", "BadConfigurationError"}
        asked = rig.meters.read("plc1/requests")
        await rig.until(lambda: len(rig.batches) >= 4)
        each = (rig.meters.read("plc1/requests") - asked) / (len(rig.batches) - 1)
        assert each < 9  # 40 tags in a handful of blocks, the bad one not asked for again
        assert not rig.downs


async def test_scan_classes_keep_their_phase_without_drift(shared):
    tags = [tag("fast", "input:1", scan_s=0.1), tag("slow", "input:2", scan_s=0.5)]
    async with running(modbus, config(shared.port), tags) as rig:
        await anyio.sleep(2.3)
    fast = np.array([b.t_ns[0] for b in rig.batches if b.tag[0] == 0])[1:]
    slow = np.array([b.t_ns[0] for b in rig.batches if b.tag[0] == 1])[1:]
    assert 20 <= len(fast) <= 24
    assert 4 <= len(slow) <= 5
    late = fast % 100_000_000
    assert np.median(np.minimum(late, 100_000_000 - late)) < 20_000_000  # at whole periods of the boot clock


async def test_dead_plc_is_bad_within_two_periods_and_comes_back():
    peer = libmodbus()
    tags = [tag("a", "input:1", scan_s=0.5), tag("b", "coil:1", "bool", scan_s=0.5)]
    try:
        async with running(modbus, config(peer.port), tags) as rig:
            await rig.until(lambda: rig.downs)  # the machine is off
            assert rig.bad
            peer.start()
            await rig.until(lambda: rig.good)
            peer.kill()
            await rig.until(lambda: rig.bad, within_s=1.0 + SLACK_S)
            peer.start()
            await rig.until(lambda: rig.good)
            peer.freeze()  # connected, silent
            try:
                await rig.until(lambda: rig.bad, within_s=1.0 + SLACK_S)
            finally:
                peer.thaw()
            await rig.until(lambda: rig.good)
    finally:
        peer.kill()


async def test_a_late_answer_is_never_taken_for_the_next_one(shared):
    """The answer to holding:90 would come while input:1 is asked: a fresh connection cannot see it."""
    tags = [tag("a", "input:1", scan_s=0.1), tag("delay", "holding:90", writable=True, scan_s=0.1)]
    async with running(modbus, config(shared.port, timeout_s=0.05), tags) as rig:
        await rig.until(lambda: rig.good)
        for _ in range(5):
            answer = await rig.write(Write("w", 1, 120.0))
            assert answer.ok or "back" in answer.text
            await rig.until(lambda: rig.good)
    seen = {float(v) for b in rig.batches for t, v in zip(b.tag, b.value, strict=True) if t == 0 and v == v}
    assert seen == {7.0}


async def test_one_silent_unit_does_not_stop_the_others(shared):
    tags = [tag("a", "1/input:1"), tag("b", "9/input:1"), tag("c", "2/input:3")]
    async with running(modbus, config(shared.port), tags) as rig:
        await rig.until(lambda: len(rig.batches) >= 10)
        assert rig.named() == ["Good", "BadNoCommunication", "Good"]
        assert not rig.downs
        mine = np.array([b.t_ns[0] for b in rig.batches])
        gaps = np.diff(mine) * 1e-9
        assert (gaps > 0.3).sum() <= 4  # the silent unit is asked again more and more rarely


async def test_writes_by_type_with_read_back_and_limits(shared):
    tags = [
        tag("coil", "coil:7", "bool", writable=True),
        tag("word", "holding:10", "int16", scale=0.1, writable=True, eu_lo=-10, eu_hi=10),
        tag("float", "holding:20", "float32", order="CDAB", writable=True),
        tag("text", "holding:30", "string(8)", writable=True),
        tag("read", "holding:40"),
        tag("refused", "holding:60", writable=True),
    ]
    async with running(modbus, config(shared.port), tags) as rig:
        await rig.until(lambda: len(rig.batches) >= 1)
        for write in (Write("1", 0, 1.0), Write("2", 1, -2.5), Write("3", 2, 3.25), Write("4", 3, np.nan, "pump")):
            answer = await rig.write(write)
            assert answer.ok, answer
            assert answer.id == write.id
        before = len(rig.batches)
        await rig.until(lambda: len(rig.batches) > before + 1)
        assert rig.value[:3].tolist() == [1.0, -2.5, 3.25]
        assert rig.texts[3] == "pump"
        for write, says in (
            (Write("5", 1, 10.5), "expected -10 to 10"),
            (Write("6", 4, 1.0), "not marked writable"),
            (Write("7", 5, 1.0), "exception 2"),
            (Write("8", 0, 0.5), "expected 0 or 1"),
        ):
            answer = await rig.write(write)
            assert not answer.ok
            assert says in answer.text


async def test_cancelled_at_any_moment_leaves_nothing_behind(shared):
    tags = [tag(f"i{i}", f"input:{50 * i}", scan_s=0.02) for i in range(20)]
    for delay in np.linspace(0.0, 0.06, 25):
        with anyio.move_on_after(float(delay)):
            async with running(modbus, config(shared.port), tags):
                await anyio.sleep_forever()


async def test_probe_does_not_touch_what_is_forbidden(shared):
    careful = config(shared.port, forbidden=["holding:0-9", "input:42"])
    text = await modbus.probe(careful)
    assert "not read: it lies in the forbidden range holding:0-9" in text
    assert "input:0" in text
    text = await modbus.decodings(careful, ["holding:4", "input:41", "input:10"], [])
    assert text.count("not read") == 1
    assert "input:41, PDU offset 41 (0x0029), Modicon 3x00042: 011F" in text  # one register of two
    assert "Modicon 3x00011: 0046 004D" in text


async def test_probe_shows_what_answers(shared):
    text = await modbus.probe(config(shared.port))
    assert "input:0" in text
    assert "ms" in text
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        await modbus.probe(config(free_port()))


def test_check_finds_what_is_wrong_without_a_plc():
    tags = [
        tag("ok", "input:1"),
        tag("a", "input:99999"),
        tag("b", "input:1", writable=True),
        tag("c", "discrete:1", "bool", writable=True),
        tag("d", "holding:1", "int16", invalid=99999),
        tag("e", "holding:1", "float64"),
        tag("f", "holding:1", scan_s=0.0),
    ]
    found = dict(modbus.check(config(502, max_registers=3), tags))
    assert sorted(found) == [1, 2, 3, 4, 5, 6]
    assert "0 to 65535" in found[1]
    assert "only be read" in found[2]
    assert "max_registers" in found[5]


async def serve_nonsense(listener, answer):
    """A server whose answers are made from the request by `answer`."""

    async def client(stream):
        async with stream:
            try:
                while True:
                    await stream.send(answer(await stream.receive(300)))
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    async with listener:
        await listener.serve(client)


@pytest.mark.parametrize(
    "answer",
    [
        lambda q: q[:4] + struct.pack(">HBB", 5, q[6], q[7]) + b"\x02\x00\x01",  # one register where two were asked
        lambda q: q[:4] + struct.pack(">HBB", 7, q[6], 3) + b"\x04\x00\x01\x00\x02",  # another function
        lambda q: q[:4] + struct.pack(">HBB", 7, 77, q[7]) + b"\x04\x00\x01\x00\x02",  # another unit
        lambda q: b"\x99\x99\x00\x00" + struct.pack(">HBB", 7, q[6], q[7]) + b"\x04\x00\x01\x00\x02",  # another request
        lambda q: b"\xff" * 40,
        lambda q: q[:4] + struct.pack(">HBB", 7, q[6], q[7]) + b"\xff\x00\x01\x00\x02",  # a byte count that lies
    ],
)
async def test_an_answer_that_is_not_ours_is_no_value(answer):
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with anyio.create_task_group() as group:
        group.start_soon(serve_nonsense, listener, answer)
        async with running(modbus, config(port, timeout_s=0.05, retries=0), [tag("a", "input:1", "uint32")]) as rig:
            await rig.until(lambda: len(rig.downs) >= 2)
            assert not rig.batches
        group.cancel_scope.cancel()


async def test_a_peer_that_closes_is_noticed_at_once():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        async with running(
            modbus, config(server.getsockname()[1], timeout_s=5, retries=0), [tag("a", "input:1")]
        ) as rig:
            started = time.monotonic()
            while True:
                try:
                    connection, _ = server.accept()
                    break
                except BlockingIOError:
                    await anyio.sleep(0.01)
            await anyio.sleep(0.1)
            connection.close()
            await rig.until(lambda: rig.downs)
            assert time.monotonic() - started < 2.0
            assert "closed" in rig.downs[0][1]
