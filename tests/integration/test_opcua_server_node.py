"""The OPC UA server through a client that is not ours: node-opcua reads, subscribes, and survives a restart."""

import json
import os
import signal
from pathlib import Path

import anyio
import pytest
from feed_taps import catalogue, snapshot
from node_packages import installed
from opcua_rig import CLIENT_URI, PASSWORD, USER, Rig, make_certificate, running

from agent.core.nouns import Point, Role

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
SCRIPT = Path(__file__).parent / "node" / "read.js"
LEVEL = "tank/lower/level"


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder with node-opcua-client in it."""
    return installed(tmp_path_factory.mktemp("node"), "node-opcua-client@2")


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path)


class Node:
    """A running script: what it has seen so far, and what it says at the end."""

    def __init__(self, process):
        self.process = process
        self.log = ""

    async def until_seen(self, text, within_s=30):
        with anyio.fail_after(within_s):
            while text not in self.log:
                try:
                    self.log += (await self.process.stderr.receive()).decode()
                except anyio.EndOfStream as error:
                    raise AssertionError(f"the script ended: {self.log}") from error

    async def result(self, within_s=60):
        output = ""
        with anyio.fail_after(within_s):
            async for piece in self.process.stdout:
                output += piece.decode()
            await self.process.wait()
        return json.loads(output.splitlines()[-1])


async def start(rig, packages, changes):
    certificate, key = make_certificate(rig.folder, "scada")
    rig.trust(certificate)
    arguments = [rig.url, f"ns=1;s={LEVEL}", rig.folder / "scada.crt.pem", key, USER, PASSWORD, changes, CLIENT_URI]
    return await anyio.open_process(
        ["node", str(SCRIPT), *map(str, arguments)],
        cwd=rig.folder,
        env={**os.environ, "NODE_PATH": str(packages / "node_modules")},
    )


SHOWN = [
    catalogue([Point(LEVEL, Role.MEASURED, unit="m", eu_lo=0.0, eu_hi=2.5), Point(f"{LEVEL}.expected", Role.EXPECTED)]),
    snapshot([1.25, 1.2]),
]


async def test_node_opcua_reads_value_unit_range_and_status_and_subscribes(rig, packages):
    async with running(rig, *SHOWN), await start(rig, packages, 2) as process:
        node = Node(process)
        await node.until_seen("seen 1.25 Good")
        rig.taps.put(snapshot([1.5, 1.2], seq=2))
        got = await node.result()
    assert (got["value"], got["type"], got["status"]) == (1.25, 11, "Good")
    assert got["unit"] == {"id": 5067858, "shown": "m", "uri": "http://www.opcfoundation.org/UA/units/un/cefact"}
    assert got["range"] == [0.0, 2.5]
    assert got["source"]
    assert got["server"]
    assert got["missing"] == "BadNodeIdUnknown"
    assert got["write"] in ("BadNotWritable", "BadUserAccessDenied")
    assert f"ns=1;s={LEVEL}.expected" in got["browsed"]
    assert got["seen"] == [[1.25, "Good"], [1.5, "Good"]]


async def test_node_opcua_comes_back_by_itself_after_the_server_was_killed(rig, packages):
    async with running(rig, *SHOWN), await start(rig, packages, 3) as process:
        node = Node(process)
        await node.until_seen("seen 1.25 Good")
        (child,) = rig.children()
        os.kill(child, signal.SIGKILL)
        await anyio.sleep(1)
        rig.taps.put(snapshot([1.5, 1.2], seq=2))
        await node.until_seen("seen 1.5 Good", 60)
        rig.taps.put(snapshot([1.75, 1.2], seq=3))
        got = await node.result()
    assert [value for value, status in got["seen"] if status == "Good"][-1] == 1.75
    assert got["reconnected"] >= 1
