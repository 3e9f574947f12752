"""The OPC UA driver against an asyncua server in a process of its own."""

import anyio
import numpy as np
import pytest
from driver_rig import SLACK_S, running
from peers import free_port, opcua_server

from agent.core import quality
from agent.core.nouns import Tag, Write
from agent.drivers import opcua

pytestmark = pytest.mark.anyio

URI = "http://edgetwin.test/plc"


def config(port, **more):
    return opcua.Config(id="plc2", type="opcua", endpoint=f"opc.tcp://127.0.0.1:{port}/plc", **more)


def tag(name, kind="float64", **more):
    more = {"scan_s": 0.5, "address": f"nsu={URI};s={name}", **more}
    return Tag(f"rig/plc/{name}", type=kind, **more)


@pytest.fixture(scope="module")
def shared():
    with opcua_server("late") as peer:
        yield peer


async def test_values_types_status_and_stamps(shared):
    tags = [
        tag("fixed3"),
        tag("flag", "bool"),
        tag("word", "int16", scale=0.5, offset=1.0),
        tag("text", "string"),
        tag("large", "int64"),
        tag("sick"),
        tag("array"),
        tag("text2", address="ns=2;s=text"),  # a text where a number was wanted
        tag("time", "string", address="i=2258"),
    ]
    async with running(opcua, config(shared.port), tags) as rig:
        await rig.until(lambda: len(rig.batches) >= 3)
        assert rig.value[:3].tolist() == [3.0, 1.0, 3.5]
        assert rig.texts[3] == "first"
        assert rig.texts[4] == str(2**60 + 1)
        assert rig.texts[8].startswith("20")
        assert rig.named() == [
            *["Good"] * 4,
            "BadOutOfRange",
            "UncertainLastUsableValue",
            "BadTypeMismatch",
            "BadTypeMismatch",
            "Good",
        ]
        assert rig.value[5] == 7.0
        assert (rig.source_ns[:3] > 1_600_000_000_000_000_000).all()
        assert rig.meters.read("plc2/requests") >= 3


async def test_bad_nodes_harm_no_other_and_are_found_when_they_appear():
    with opcua_server("late") as peer:
        tags = [
            tag("fixed1"),
            tag("late"),
            tag("never"),
            tag("syntax", address="fixed1"),
            tag("ns", address="ns=99;i=1"),
        ]
        async with running(opcua, config(peer.port, retry_refused_s=0.3), tags) as rig:
            await rig.until(lambda: rig.counts.min() >= 1)
            bad = "BadNodeIdUnknown"
            assert [rig.named()[i] for i in (0, 2, 3, 4)] == ["Good", bad, "BadConfigurationError", bad]
            await rig.until(lambda: rig.named()[1] == "Good")
            assert rig.value[1] == 4.0
            assert not rig.downs


async def test_changes_come_by_subscription_with_their_own_times(shared):
    async with running(opcua, config(shared.port, publishing_s=0.1), [tag("ramp", scan_s=1.0)]) as rig:
        await rig.until(lambda: rig.counts[0] > 60)
        rows = [(v, t, s) for b in rig.batches for v, t, s in zip(b.value, b.t_ns, b.source_ns, strict=True)]
        seen = {int(v) for v, _, _ in rows}
        assert seen == set(range(min(seen), max(seen) + 1))  # none was lost
        ends = [int(b.value[-1]) for b in rig.batches]
        assert ends == sorted(ends)  # whatever came late in between, each batch ends with the newest
        sent = {s: t for _, t, s in rows[20:]}
        lag = np.array([t - s for s, t in sent.items()])
        assert np.ptp(lag) < 1_200_000_000
        assert rig.meters.read("plc2/notifications") > 50
        assert not rig.meters.read("plc2/resubscribed")


async def test_an_unchanged_value_is_confirmed(shared):
    async with running(opcua, config(shared.port, check_s=0.1), [tag("fixed2")]) as rig:
        await rig.until(lambda: rig.counts[0] >= 10)
        times = np.array([b.t_ns[0] for b in rig.batches])
        assert np.diff(times)[2:].max() < 400_000_000
        assert len({int(b.source_ns[0]) for b in rig.batches}) == 1


async def test_a_silent_subscription_is_found_and_rebuilt(shared):
    tags = [tag("ramp"), tag("fixed2"), tag("control", "string", writable=True)]
    async with running(opcua, config(shared.port, check_s=0.1, publishing_s=0.1), tags) as rig:
        await rig.until(lambda: (rig.meters.read("plc2/notifications") or 0) > 3)
        await rig.write(Write("w", 2, 0.0, "silence"))
        await rig.until(lambda: rig.meters.read("plc2/resubscribed") == 1)
        told = rig.meters.read("plc2/notifications")
        await rig.until(lambda: rig.meters.read("plc2/notifications") > told + 10)
        assert not rig.downs
        ends = [b.value[np.flatnonzero(b.tag == 0)[-1]] for b in rig.batches if (b.tag == 0).any()]
        assert ends == sorted(ends)


async def test_a_dead_server_is_bad_within_two_periods_and_comes_back_renumbered():
    peer = opcua_server()
    tags = [tag("fixed1", scan_s=0.5), tag("fixed2", scan_s=0.5)]
    try:
        async with running(opcua, config(peer.port), tags) as rig:
            await rig.until(lambda: rig.downs)
            assert rig.bad
            peer.start()
            await rig.until(lambda: rig.good)
            peer.kill()
            await rig.until(lambda: rig.bad, within_s=1.0 + SLACK_S)
            peer.command.append("permuted")
            peer.start()
            await rig.until(lambda: rig.good)
            assert rig.value.tolist() == [1.0, 2.0]
            peer.freeze()
            try:
                await rig.until(lambda: rig.bad, within_s=1.05 + SLACK_S)
            finally:
                peer.thaw()
            await rig.until(lambda: rig.good, within_s=15.0)
    finally:
        peer.kill()


async def test_writes_in_the_type_of_the_node_with_read_back(shared):
    tags = [
        tag("flag", "bool", writable=True),
        tag("word", "int16", scale=0.1, writable=True, eu_lo=-1000, eu_hi=5000),
        tag("float", writable=True),
        tag("text", "string", writable=True),
        tag("fixed1", writable=True),
        tag("ramp"),
    ]
    async with running(opcua, config(shared.port, check_s=0.1), tags) as rig:
        await rig.until(lambda: rig.good)
        for write in (Write("1", 0, 0.0), Write("2", 1, -2.5), Write("3", 2, 0.1), Write("4", 3, np.nan, "pump")):
            answer = await rig.write(write)
            assert answer.ok, answer
        await rig.until(lambda: rig.value[1] == -2.5)
        await rig.until(lambda: rig.texts[3] == "pump")
        assert rig.value[0] == 0.0
        assert rig.value[2] == np.float32(0.1)
        for write, says in (
            (Write("5", 1, 4000.0), "does not fit Int16"),
            (Write("6", 1, 6000.0), "expected -1000 to 5000"),
            (Write("7", 4, 1.0), "not write it (UserAccessLevel)"),
            (Write("8", 5, 1.0), "not marked writable"),
            (Write("9", 0, 0.5), "expected 0 or 1"),
        ):
            answer = await rig.write(write)
            assert not answer.ok
            assert says in answer.text
        for row, was in ((0, 1.0), (1, 3.5)):
            await rig.write(Write("back", row, was))
        await rig.write(Write("back", 3, 0.0, "first"))


async def test_status_codes_are_passed_on_whole(shared):
    tags = [tag("sick"), tag("control", "string", writable=True)]
    async with running(opcua, config(shared.port, check_s=0.1), tags) as rig:
        await rig.until(lambda: rig.counts.min() >= 1)
        await rig.write(Write("w", 1, 0.0, "sick 0x808C0000"))
        await rig.until(lambda: rig.status[0] == quality.BAD_SENSOR_FAILURE)
        assert np.isnan(rig.value[0])
        await rig.write(Write("w", 1, 0.0, "sick 0x408F0000"))
        await rig.until(lambda: rig.status[0] == 0x408F_0000)
        assert rig.value[0] == 8.0


@pytest.mark.parametrize("security", ["Basic256Sha256"])
async def test_signed_and_encrypted_with_a_user_and_our_own_certificate(tmp_path, security):
    password = tmp_path / "password"
    password.write_text("secret\n")
    with opcua_server("secure", str(tmp_path)) as peer:
        pinned = {"server_certificate": tmp_path / "server.der", "pki_dir": tmp_path / "pki"}
        safe = config(peer.port, security=security, user="tester", password_file=password, **pinned)
        for _ in range(2):
            async with running(opcua, safe, [tag("fixed4")]) as rig:
                await rig.until(lambda: rig.good, within_s=15.0)
        key = tmp_path / "pki" / "own" / "private" / "edgetwin.pem"
        assert key.stat().st_mode & 0o077 == 0
        password.write_text("wrong")
        async with running(opcua, safe, [tag("fixed4")]) as rig:
            await rig.until(lambda: rig.downs, within_s=15.0)
            assert "Bad" in rig.downs[0][1]
        async with running(opcua, config(peer.port), [tag("fixed4")]) as rig:
            await rig.until(lambda: rig.downs, within_s=15.0)
            assert not rig.good


async def test_cancelled_at_any_moment_leaves_nothing_behind(shared):
    for delay in np.linspace(0.0, 0.3, 16):
        with anyio.move_on_after(float(delay)):
            async with running(opcua, config(shared.port), [tag("fixed1"), tag("ramp")]):
                await anyio.sleep_forever()


async def test_probe(shared):
    text = await opcua.probe(config(shared.port))
    assert URI in text
    assert "Running" in text
    with pytest.raises(OSError, match="opc"):
        await opcua.probe(config(free_port()))


def test_check_finds_what_is_wrong_without_a_server():
    tags = [
        tag("a"),
        *(tag("b", address=a) for a in ("Pump.Speed", "ns=2;x=1", "ns=2;i=-1", "i=99999999999", "g=12", "")),
    ]
    found = dict(opcua.check(config(1), tags))
    assert sorted(found) == [1, 2, 3, 4, 5, 6]
    assert "expected ns=2;s=Name" in found[1]
