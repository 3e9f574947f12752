"""The OPC UA driver against a server that is not asyncua: node-opcua, with small limits and permuted namespaces."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from driver_rig import SLACK_S, running
from node_packages import installed
from peers import Peer

from agent.core.nouns import Tag, Write
from agent.drivers import opcua

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
URI = "http://edgetwin.test/plc"
SCRIPT = Path(__file__).parent / "node" / "server.js"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the packages of node-opcua's server in it."""
    return installed(tmp_path_factory.mktemp("node"), "node-opcua-server@2")


@pytest.fixture
def server(folder, monkeypatch):
    monkeypatch.setenv("NODE_PATH", str(folder / "node_modules"))
    monkeypatch.chdir(folder)
    peer = Peer([shutil.which("node"), str(SCRIPT)])
    yield peer
    peer.kill()


def tag(name, kind="float64", options="", at=None, **more):
    chosen = dict(option.split("=") for option in options.split(";") if option)
    address = at or f"nsu={URI};s={name}"
    return Tag(f"rig/plc/{name}", address, kind, options=chosen, **{"scan_s": 0.5, **more})


def config(server, **more):
    more = {"publishing_s": 0.2, "check_s": 0.5, **more}
    return opcua.Config(id="plc2", type="opcua", endpoint=f"opc.tcp://127.0.0.1:{server.port}", **more)


async def test_reads_subscribes_writes_and_survives_renumbering(server):
    tags = [tag(f"fixed{i}") for i in range(10)]
    tags += [tag("ramp"), tag("sick"), tag("never"), tag("text", "string", writable=True)]
    tags += [tag("word", writable=True), tag("single", writable=True), tag("flag", "bool", writable=True)]
    tags += [tag("by_path", at=f"path:/Objects/{{{URI}}}Plant/{{{URI}}}fixed7")]
    async with running(opcua, config(server), tags) as rig:
        server.start()
        await rig.until(lambda: rig.counts.min() >= 2, within_s=15)
        assert rig.value[:10].tolist() == list(range(10))
        assert rig.named()[11:14] == ["UncertainLastUsableValue", "BadNodeIdUnknown", "Good"]
        assert rig.texts[13] == "first"

        def seen():
            return {int(v) for b in rig.batches for t, v in zip(b.tag, b.value, strict=True) if t == 10}

        await rig.until(lambda: len(seen()) > 20, within_s=15)
        assert not rig.meters.read("plc2/resubscribed")
        for write in (Write("1", 14, -7.0), Write("2", 15, 0.5), Write("3", 16, 0.0), Write("4", 13, np.nan, "pump")):
            answer = await rig.write(write)
            assert answer.ok, answer
        await rig.until(lambda: rig.value[14:17].tolist() == [-7.0, 0.5, 0.0])
        server.kill()
        await rig.until(lambda: rig.bad, within_s=1.1 + SLACK_S)
        server.command.append("permuted")
        server.start()
        await rig.until(lambda: rig.value[:10].tolist() == list(range(10)), within_s=20)
        assert rig.value[17] == 7.0
        assert rig.named()[12] == "BadNodeIdUnknown"


async def test_values_of_a_server_that_is_not_ours(server):
    tags = [
        tag("state", at="i=2256#State"),
        tag("product", "string", at="i=2256#BuildInfo.ProductName"),
        tag("status", "string", at="i=2256"),
        tag("samples", "float32[4]", writable=True),
        tag("second", at=f"nsu={URI};s=samples#[1]", writable=True),
        tag("when", writable=True),
        tag("wide", "uint64"),
        tag("namespaces", "string", at="i=2255"),
    ]
    async with running(opcua, config(server, check_s=0.5), tags) as rig:
        server.start()
        await rig.until(lambda: rig.good, within_s=20)
        assert rig.value[0] == 0.0
        assert "NodeOPCUA" in rig.texts[1]
        assert '"BuildInfo":{' in rig.texts[2]
        assert rig.arrays[3] == [1.0, 2.0, 3.0, 4.0]
        assert rig.value[[4, 6]].tolist() == [2.0, float(0x100 * 2**32 + 7)]
        assert URI in rig.texts[7]
        assert (rig.server_ns[[0, 3]] > 1_600_000_000_000_000_000).all()
        for write in (
            Write("1", 4, 7.5),
            Write("2", 5, 1_800_000_000.5),
            Write("3", 3, 0.0, None, (4.0, 3.0, 2.0, 1.0)),
        ):
            answer = await rig.write(write)
            assert answer.ok, answer
        await rig.until(lambda: rig.arrays[3] == [4.0, 3.0, 2.0, 1.0] and rig.value[5] == 1_800_000_000.5)


async def test_a_subscription_that_falls_silent_while_reads_go_on_is_made_anew(server):
    tags = [
        tag("ramp"),
        tag("fixed3", options="acquire=subscribe"),
        tag("control", "string", "acquire=read", writable=True),
    ]
    async with running(opcua, config(server), tags) as rig:
        server.start()
        await rig.until(lambda: (rig.meters.read("plc2/notifications") or 0) > 10, within_s=20)
        assert (await rig.write(Write("1", 2, 0.0, "mute"))).ok
        await rig.until(lambda: rig.meters.read("plc2/resubscribed") == 1, within_s=10)
        told = rig.meters.read("plc2/notifications")
        await rig.until(lambda: rig.meters.read("plc2/notifications") > told + 10, within_s=10)
        assert not rig.downs[1:]


async def test_a_session_that_an_administrator_closes_is_found_within_two_periods(server):
    tags = [tag("ramp"), tag("control", "string", "acquire=read", writable=True)]
    async with running(opcua, config(server), tags) as rig:
        server.start()
        await rig.until(lambda: rig.good, within_s=20)
        downs = len(rig.downs)
        assert (await rig.write(Write("1", 1, 0.0, "close"))).ok
        await rig.until(lambda: len(rig.downs) > downs, within_s=1.1 + SLACK_S)
        assert "Bad" in rig.downs[-1][1]
        await rig.until(lambda: rig.good, within_s=15)


async def test_overflow_deadband_and_a_filter_that_is_refused(server, caplog):
    burst, slow = f"nsu={URI};s=burst", f"nsu={URI};s=slow"
    tags = [
        tag("short", at=burst, options="queue=2;sampling=0"),
        tag("long", at=burst, options="queue=200;sampling=0"),
        tag("control", "string", "acquire=read", writable=True),
        tag("slow", at=slow, options="sampling=0", deadband=1.0),
        tag("percent", at=slow, options="deadband_percent=10"),
    ]
    async with running(opcua, config(server, publishing_s=0.4), tags) as rig:
        server.start()
        await rig.until(lambda: rig.good and (rig.meters.read("plc2/notifications") or 0) >= 4, within_s=20)
        assert rig.meters.read("plc2/filters_refused") == 1  # no EURange there
        assert (await rig.write(Write("1", 2, 0.0, "burst"))).ok
        await rig.until(lambda: rig.meters.read("plc2/overflows"))
        bits = [{int(s) & 0x480 for b in rig.batches for s in b.status[b.tag == row]} for row in (0, 1)]
        assert bits == [{0, 0x480}, {0}]
        await rig.until(lambda: len(seen(rig, 3)) >= 4, within_s=15)
        assert (np.diff(sorted(seen(rig, 3))) > 1.0).all()
    assert sum("no filter at the server" in r.getMessage() for r in caplog.records) == 1


def seen(rig, row):
    """All values that came for a tag."""
    return {float(v) for b in rig.batches for t, v in zip(b.tag, b.value, strict=True) if t == row and not np.isnan(v)}


async def test_a_node_that_is_removed_and_made_again(server):
    tags = [tag("fixed1"), tag("ramp"), tag("control", "string", "acquire=read", writable=True)]
    async with running(opcua, config(server, retry_refused_s=0.4), tags) as rig:
        server.start()
        await rig.until(lambda: rig.value[0] == 1.0, within_s=20)
        assert (await rig.write(Write("1", 2, 0.0, "remove"))).ok
        await rig.until(lambda: rig.named()[0] == "BadNodeIdUnknown")
        assert rig.named()[1] == "Good"
        assert (await rig.write(Write("2", 2, 0.0, "restore"))).ok
        await rig.until(lambda: rig.value[0] == 11.0)


async def test_a_large_folder_is_browsed_over_continuation_points(server):
    server.command.append("many")
    server.start()
    found = {one.path[-1]: one for one in await opcua.browse(config(server), "path:2:Many", depth=2)}
    assert len(found) == 2300
    assert found["many2299"].value == "2299"
    assert found["many7"].address == f"nsu={URI};s=many7"
