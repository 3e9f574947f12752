"""Both drivers on the demo's tag list against the virtual PLCs of hil, each a process of its own."""

import csv
import json
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from driver_rig import running
from peers import free_port

from agent.core.nouns import Tag, Write
from agent.drivers import modbus, opcua
from agent.runtime import meters

pytestmark = pytest.mark.anyio

TAGS = Path(__file__).parents[2] / "configs" / "two-tank.csv"


def tags(source):
    """The demo's tags of one source, each second as the demo reads them."""
    found = []
    for row in csv.DictReader(TAGS.read_text().splitlines()):
        if row["source"] == source:
            kind, order, scale = row["type"] or "float64", row["order"] or "ABCD", float(row["scale"] or 1)
            name = f"rig/{row['group']}/{row['tag']}"
            found.append(Tag(name, row["address"], kind, order, 0.5, scale=scale, writable=row["writable"] == "true"))
    return found


class Plant:
    """The plant and its two PLCs."""

    def __init__(self, folder):
        self.socket = Path(folder) / "plant.sock"
        self.ports = {"modbus": free_port(), "opcua": free_port()}
        self._all = [self._start("plant", "--control", str(self.socket), "--seed", "1")]
        for kind, port in self.ports.items():
            self._all.append(self._start(f"plc_{kind}", "--plant", str(self.socket), "--listen", f"127.0.0.1:{port}"))

    def _start(self, module, *arguments):
        command = [sys.executable, "-W", "ignore", "-m", f"hil.{module}", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        ready, _, _ = select.select([process.stdout], [], [], 20)
        assert ready, f"{module} did not start"
        process.stdout.readline()
        return process

    def do(self, *words):
        command = [sys.executable, "-m", "hil.ctl", str(self.socket), *words]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def close(self):
        for process in reversed(self._all):
            process.terminate()
        for process in self._all:
            process.wait(10)
            process.stdout.close()


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    made = Plant(tmp_path_factory.mktemp("plant"))
    yield made
    made.close()


@pytest.fixture
def sources(plant):
    """(driver, config, tags) of both PLCs."""
    uri = f"opc.tcp://127.0.0.1:{plant.ports['opcua']}"
    return {
        "modbus": (
            modbus,
            modbus.Config(id="plc1", type="modbus", host="127.0.0.1", port=plant.ports["modbus"]),
            tags("plc"),
        ),
        "opcua": (opcua, opcua.Config(id="plc2", type="opcua", endpoint=uri), tags("drive")),
    }


async def test_the_demo_tag_list_reads_true_values(plant, sources):
    async with running(*sources["modbus"]) as plc1, running(*sources["opcua"]) as plc2:
        await plc1.until(lambda: plc1.good and plc1.counts.min() >= 4, within_s=10)
        await plc2.until(lambda: plc2.good and plc2.counts.min() >= 4, within_s=10)
        value = {t.id: v for t, v in zip(plc1.tags, plc1.value, strict=True)}
        value |= {t.id: v for t, v in zip(plc2.tags, plc2.value, strict=True)}
        truth = await anyio.to_thread.run_sync(plant.do, "truth")
        assert value["rig/pump/run"] in (0.0, 1.0)
        assert value["rig/interlock/ok"] == 1.0
        assert 0 <= value["rig/drive/state"] <= 8
        assert 0.0 <= value["rig/lower/level"] < 0.6
        assert 10.0 < value["rig/ambient/temperature"] < 40.0
        assert any(plc2.texts.values()), truth
        assert not plc1.downs
        assert not plc2.downs


async def test_holes_in_the_register_map_are_learned_once(sources):
    driver, config, wanted = sources["modbus"]
    async with running(driver, config, wanted) as rig:
        await rig.until(lambda: len(rig.batches) >= 2)
        asked = meters.current().read("plc1/requests")
        await rig.until(lambda: len(rig.batches) >= 5)
        assert (meters.current().read("plc1/requests") - asked) / 3 <= 7
        assert rig.good


@pytest.mark.parametrize("kind", ["modbus", "opcua"])
async def test_a_plc_that_is_cut_is_bad_within_two_periods_and_comes_back(plant, sources, kind):
    async with running(*sources[kind]) as rig:
        await rig.until(lambda: rig.good, within_s=10)
        await anyio.to_thread.run_sync(plant.do, "cut", kind)
        try:
            await rig.until(lambda: rig.bad, within_s=2 * 0.5 + 0.3)
        finally:
            await anyio.to_thread.run_sync(plant.do, "repair")
        await rig.until(lambda: rig.good, within_s=10)


async def test_scada_writes_the_set_point(sources):
    driver, config, wanted = sources["modbus"]
    wanted = [replace(t, eu_lo=0.1, eu_hi=0.45) if t.writable else t for t in wanted]
    row = next(i for i, t in enumerate(wanted) if t.writable)
    async with running(driver, config, wanted) as rig:
        await rig.until(lambda: rig.good)
        answer = await rig.write(Write("w", row, 0.25))
        assert answer.ok or "reads back" in answer.text, answer
        await rig.until(lambda: abs(rig.value[row] - 0.25) < 1e-6)
        answer = await rig.write(Write("w", row, 0.5))
        assert not answer.ok
