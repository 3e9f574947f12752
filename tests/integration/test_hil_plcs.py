"""The plant and its two PLCs as processes on free ports, read by pymodbus and asyncua clients."""

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from asyncua import Client, ua
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException

from hil.bench import port_of, started
from hil.ctl import ask
from hil.opcua_nodes import NAMESPACE
from hil.registers import float_words, words_float

pytestmark = pytest.mark.anyio
HOST = "127.0.0.1"


@pytest.fixture
def plant(tmp_path):
    path = tmp_path / "plant.sock"
    with started("plant", "--control", path) as process:
        process.socket = path
        yield process
    assert process.process.returncode == 0
    assert process.errors == []


@pytest.fixture
def modbus(plant):
    with started("plc_modbus", "--plant", plant.socket, "--listen", f"{HOST}:0") as process:
        yield process
    assert process.process.returncode in (0, -9)
    assert not any("Traceback" in line for line in process.errors)


@pytest.fixture
def opcua(plant):
    with started("plc_opcua", "--plant", plant.socket, "--listen", f"{HOST}:0") as process:
        yield process
    assert process.process.returncode in (0, -9)
    assert not any("Traceback" in line for line in process.errors)


@asynccontextmanager
async def modbus_client(port):
    client = AsyncModbusTcpClient(HOST, port=port, timeout=1, retries=0, reconnect_delay=0)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


async def read_float(client, address, **unit):
    answer = await client.read_input_registers(address, count=2, device_id=unit.get("unit", 1))
    assert not answer.isError(), answer
    return words_float(answer.registers)


async def eventually(check, timeout_s=5.0):
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if await check():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("did not come true in time")


async def test_the_modbus_plc_serves_the_plants_values(plant, modbus):
    async with modbus_client(port_of(modbus.ready)) as client:
        for _ in range(100):
            state = (await client.read_input_registers(40, count=1, device_id=1)).registers[0]
            if state == 2:
                break
            await asyncio.sleep(0.1)
        assert state == 2
        truth = ask(plant.socket, {"do": "truth"})
        assert await read_float(client, 0) == pytest.approx(truth["upper_level_m"], abs=0.008)
        assert await read_float(client, 2) == pytest.approx(truth["lower_level_m"], abs=0.008)
        assert await read_float(client, 4) == pytest.approx(truth["riser_flow_m3h"], abs=0.06)
        scaled = (await client.read_input_registers(20, count=3, device_id=1)).registers
        assert 600 < scaled[0] < 800
        assert 4500 < scaled[1] < 5800
        assert 150 < scaled[2] < 300
        volume = (await client.read_input_registers(30, count=2, device_id=1)).registers
        assert 120_000 <= volume[0] + (volume[1] << 16) < 120_050
        assert (await client.read_coils(0, count=2, device_id=1)).bits[:2] == [True, True]
        first = (await client.read_input_registers(41, count=1, device_id=1)).registers[0]
        await asyncio.sleep(0.5)
        beats = (await client.read_input_registers(41, count=1, device_id=1)).registers[0] - first
        assert 3 <= beats <= 8


async def test_what_is_not_there_is_answered_with_an_exception(modbus):
    async with modbus_client(port_of(modbus.ready)) as client:
        assert (await client.read_input_registers(10, count=1, device_id=1)).exception_code == 2
        assert (await client.read_input_registers(8, count=3, device_id=1)).exception_code == 2
        assert (await client.read_holding_registers(2, count=1, device_id=1)).exception_code == 2
        assert (await client.read_discrete_inputs(0, count=1, device_id=1)).exception_code == 2
        assert (await client.read_coils(40, count=1, device_id=1)).exception_code == 2
        assert (await client.read_input_registers(0, count=2, device_id=7)).exception_code == 11
        assert (await client.write_coil(0, True, device_id=1)).exception_code == 2
        assert (await client.write_register(0, 5, device_id=1)).exception_code == 2
        assert not (await client.read_input_registers(0, count=10, device_id=1)).isError()
    assert modbus.errors == []


async def test_a_set_point_is_written_clamped_and_read_back(plant, modbus):
    async with modbus_client(port_of(modbus.ready)) as client:
        assert not (await client.write_registers(0, float_words(0.27), device_id=1)).isError()
        back = await client.read_holding_registers(0, count=2, device_id=1)
        assert words_float(back.registers) == pytest.approx(0.27)
        await client.write_registers(0, float_words(5.0), device_id=1)
        await asyncio.sleep(0.3)
        back = await client.read_holding_registers(0, count=2, device_id=1)
        assert words_float(back.registers) == pytest.approx(0.35)
        assert (await client.write_registers(0, float_words(float("nan")), device_id=1)).exception_code == 3
        plant.kill()
        await asyncio.sleep(0.3)
        assert (await client.write_registers(0, float_words(0.2), device_id=1)).exception_code == 4
    plant.process.returncode, plant.errors = 0, []


async def test_a_tripped_pump_is_reset_by_the_coil(plant, modbus):
    async with modbus_client(port_of(modbus.ready)) as client:

        async def state_is(*wanted):
            return (await client.read_input_registers(40, count=1, device_id=1)).registers[0] in wanted

        await eventually(lambda: state_is(2), 8.0)
        ask(plant.socket, {"do": "wear", "size": 0.9})
        await eventually(lambda: state_is(7), 10.0)
        assert (await client.read_coils(1, count=1, device_id=1)).bits[0] is False
        ask(plant.socket, {"do": "repair"})
        assert not (await client.write_coil(2, True, device_id=1)).isError()
        await eventually(lambda: state_is(0, 1, 2))


async def test_a_cut_modbus_plc_drops_and_refuses_until_repair(plant, modbus):
    port = port_of(modbus.ready)
    async with modbus_client(port) as client:
        await read_float(client, 0)
        ask(plant.socket, {"do": "cut", "of": "modbus"})

        async def dropped():
            try:
                return (await client.read_input_registers(0, count=2, device_id=1)).isError()
            except ConnectionException:
                return True

        await eventually(dropped)
    with pytest.raises(ConnectionRefusedError), socket.create_connection((HOST, port), 1):
        pass
    ask(plant.socket, {"do": "repair"})

    async def back():
        try:
            socket.create_connection((HOST, port), 1).close()
        except ConnectionRefusedError:
            return False
        return True

    await eventually(back)
    async with modbus_client(port) as client:
        await read_float(client, 0)


async def test_the_modbus_plc_outlives_the_plant_and_meets_the_next_one(tmp_path, plant, modbus):
    async with modbus_client(port_of(modbus.ready)) as client:
        plant.kill()
        await asyncio.sleep(0.3)
        frozen = await read_float(client, 0)
        await asyncio.sleep(0.3)
        assert await read_float(client, 0) == frozen  # a PLC without I/O shows its last values; the heartbeat stands
        with started("plant", "--control", plant.socket):

            async def moves():
                return await read_float(client, 0) != frozen

            await eventually(moves)
    plant.process.returncode, plant.errors = 0, []


@asynccontextmanager
async def rig_nodes(url):
    async with Client(url, timeout=2) as client:
        index = await client.get_namespace_index(NAMESPACE)
        rig = await client.nodes.objects.get_child([f"{index}:Rig"])
        yield client, {node.nodeid.Identifier: node for node in await rig.get_children()}


class Changes:
    def __init__(self):
        self.seen = []

    def datachange_notification(self, node, value, notification):
        self.seen.append((node.nodeid.Identifier, value, notification.monitored_item.Value))


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_the_opcua_plc_serves_values_units_and_source_times(opcua):
    async with rig_nodes(opcua.ready.split()[1]) as (client, nodes):
        assert set(nodes) == {
            "motor/current",
            "motor/winding_temperature",
            "motor/vibration",
            "process/product",
        }
        unit = await (await nodes["motor/winding_temperature"].get_child("0:EngineeringUnits")).read_value()
        assert (unit.DisplayName.Text, unit.UnitId) == ("°C", 4408652)
        assert (await (await nodes["motor/current"].get_child("0:EURange")).read_value()).High == 2.0
        assert await nodes["process/product"].read_value() == "water-25"
        changes = Changes()
        subscription = await client.create_subscription(100, changes)
        await subscription.subscribe_data_change(list(nodes.values()))
        await asyncio.sleep(2.0)
        await subscription.delete()
    count = sum(name == "motor/current" for name, _, _ in changes.seen)
    assert 12 <= count <= 24
    assert all(value.StatusCode.is_good() for _, _, value in changes.seen)
    times = [value.SourceTimestamp for name, _, value in changes.seen if name == "motor/current"]
    assert times == sorted(set(times))
    assert sum(name == "process/product" for name, _, _ in changes.seen) == 1  # written on change only


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_the_opcua_plc_says_bad_without_the_plant_and_refuses_when_cut(plant, opcua):
    url = opcua.ready.split()[1]
    ask(plant.socket, {"do": "cut", "of": "opcua"})
    port = int(url.rpartition(":")[2])

    async def refused():
        try:
            socket.create_connection((HOST, port), 1).close()
        except ConnectionRefusedError:
            return True
        return False

    await eventually(refused)
    ask(plant.socket, {"do": "repair"})

    async def accepted():
        return not await refused()

    await eventually(accepted)
    async with rig_nodes(url) as (_, nodes):
        plant.kill()

        async def bad():
            value = await nodes["motor/current"].read_data_value(raise_on_bad_status=False)
            return value.StatusCode.value == ua.StatusCodes.BadNoCommunication

        await eventually(bad)
    plant.process.returncode, plant.errors = 0, []


def test_a_subscriber_gets_an_image_each_scan_and_wrong_lines_get_answers(plant):
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(3.0)
        link.connect(str(plant.socket))
        lines = link.makefile("rb")
        link.sendall(b'not json\n[1]\n{"do":"explode"}\n{"do":"subscribe"}\n')
        answers = [json.loads(lines.readline()) for _ in range(4)]
        assert [answer["ok"] for answer in answers] == [False, False, False, True]
        images = [json.loads(lines.readline()) for _ in range(12)]
        lines.close()
    times = [image["plant_time_s"] for image in images]
    assert [round(b - a, 3) for a, b in pairwise(times)] == [0.1] * 11
    took_s = (images[-1]["wall_ns"] - images[0]["wall_ns"]) / 1e9
    assert took_s == pytest.approx(1.1, abs=0.25)
    assert images[0]["values"]["process/product"] == "water-25"


def test_a_faster_plant_puts_in_its_fault_by_itself(tmp_path):
    path = tmp_path / "p.sock"
    with started("plant", "--control", path, "--speed", "50", "--fault", "leak", "--fault-at", "20") as process:
        until = time.monotonic() + 5.0
        while (truth := ask(path, {"do": "truth"}))["time_s"] < 30.0 and time.monotonic() < until:
            assert truth["time_s"] < 19.9 or truth["time_s"] > 19.0
            time.sleep(0.05)
        assert truth["leak_flow_m3h"] > 0.03
        with pytest.raises(RuntimeError, match="another plant listens"), started("plant", "--control", path):
            pass
    assert process.process.returncode == 0
    assert not path.exists()
