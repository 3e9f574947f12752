"""Every OPC UA device recorded in tests/fixtures, served again by hil: the driver reads what the device said last.

`edgetwin browse FILE SOURCE --record NAME.device.json` records a device; its file, put there, is a test.
"""

import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from driver_rig import running
from peers import free_port
from typer.testing import CliRunner

from agent.cli.commands import app
from agent.core import quality
from agent.core.nouns import Tag
from agent.drivers import opcua
from hil.bench import started

FIXTURES = sorted((Path(__file__).parents[1] / "fixtures").glob("*.device.json"))
NUMBERS = {"Boolean", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Float", "Double"}


@contextmanager
def served(recording, speed):
    """The recorded device; gives its endpoint."""
    port = free_port()
    with started("opcua_device", recording, "--speed", speed, "--listen", f"127.0.0.1:{port}"):
        yield f"opc.tcp://127.0.0.1:{port}"


def expected(told):
    """(row, number or array, status) of each node that is one, as it was last."""
    last = {change[1]: change for change in told["changes"]}
    for row, (_, _, value, status, *_) in sorted(last.items()):
        if value is not None and value["type"] in NUMBERS and "dims" not in value:
            yield row, float(value["value"]), status
        elif value is not None and value["type"] in NUMBERS:
            yield row, [float(v) for v in value["value"]], status


@pytest.mark.anyio
@pytest.mark.parametrize("recording", FIXTURES, ids=[f.name.partition(".")[0] for f in FIXTURES])
async def test_what_was_recorded_is_read_again(recording):
    told = json.loads(recording.read_text())
    tags = [Tag(f"rig/a/{i}", node["id"], node["tag"], scan_s=0.5) for i, node in enumerate(told["nodes"])]
    wanted = list(expected(told))
    assert len(wanted) > 10

    def all_there(rig):
        for row, value, status in wanted:
            bad = quality.is_bad(status)
            here = rig.arrays.get(row) if isinstance(value, list) else rig.value[row]
            same = bad or here == value or (here is not None and np.isclose(here, value, rtol=1e-6).all())
            if not (same and rig.status[row] & 0xFFFF_0000 == status & 0xFFFF_0000):
                return False
        return True

    with served(recording, 5) as endpoint:
        config = opcua.Config(id="plc", type="opcua", endpoint=endpoint, publishing_s=0.1)
        async with running(opcua, config, tags) as rig:
            await rig.until(lambda: all_there(rig), within_s=20)
            assert not rig.downs
            structures = {n["path"][-1]: i for i, n in enumerate(told["nodes"]) if n["type"] == "ExtensionObject"}
            if "motor" in structures:
                assert rig.texts[structures["motor"]].startswith('{"Speed":1480.5,"State":2,"Axes":[{"Position":1.25')


def test_a_replayed_device_is_recorded_as_it_was(tmp_path):
    recording = FIXTURES[0]
    (tmp_path / "tags.csv").write_text("group,tag,address\nplc,a,i=2258\n")
    file, out = tmp_path / "edgetwin.yaml", tmp_path / "again.device.json"
    with served(recording, 100) as endpoint:
        file.write_text(
            "gateway: {id: gw}\n"
            "classes:\n  pump@1: {tags: tags.csv, modes: {always: running}}\n"
            "assets: [{id: p1, class: pump@1}]\n"
            f'sources: [{{id: plc, type: opcua, endpoint: "{endpoint}"}}]\n'
        )
        done = CliRunner().invoke(app, ["browse", str(file), "plc", "--record", str(out), "--for", "1"])
    assert done.exit_code == 0, done.output
    then, now = json.loads(recording.read_text()), json.loads(out.read_text())

    def by_id(told):
        return {n["id"]: (n["path"], n["tag"], n["writable"], n["description"]) for n in told["nodes"]}

    assert by_id(now) == by_id(then)
    assert now["types"] == then["types"]
