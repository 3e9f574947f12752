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


def tag(name, kind="float64", **more):
    return Tag(f"rig/plc/{name}", f"nsu={URI};s={name}", kind, **{"scan_s": 0.5, **more})


async def test_reads_subscribes_writes_and_survives_renumbering(server):
    tags = [tag(f"fixed{i}") for i in range(10)]
    tags += [tag("ramp"), tag("sick"), tag("never"), tag("text", "string", writable=True)]
    tags += [tag("word", writable=True), tag("single", writable=True), tag("flag", "bool", writable=True)]
    config = opcua.Config(
        id="plc2", type="opcua", endpoint=f"opc.tcp://127.0.0.1:{server.port}", publishing_s=0.2, check_s=0.5
    )
    async with running(opcua, config, tags) as rig:
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
