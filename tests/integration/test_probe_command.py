"""`edgetwin probe` as a user types it, against libmodbus and an OPC UA server."""

import one_source
import pytest
from live import edgetwin
from peers import free_port, libmodbus, opcua_server

from agent.core.address import Table
from agent.drivers import modbus
from agent.drivers.modbus.probing import decoded, table
from agent.drivers.modbus.wire.link import Link

CSV = """\
group,tag,address,type,order
tank,level,holding:400,float32,CDAB
tank,total,3/holding:400,uint64,
"""


@pytest.fixture(scope="module")
def server():
    with libmodbus() as peer:
        yield peer


@pytest.fixture
def file(tmp_path):
    return lambda options, csv=CSV: one_source.written(tmp_path, options, csv)


def modbus_at(port):
    return f"type: modbus, host: 127.0.0.1, port: {port}"


def test_a_device_that_answers_and_one_that_does_not(server, file):
    done = edgetwin("probe", file(modbus_at(server.port)), "plc")
    assert done.returncode == 0
    assert "discrete:0  1 (0x0001), " in done.stdout
    gone = free_port()
    done = edgetwin("probe", file(modbus_at(gone)), "plc")
    assert done.returncode == 1
    assert done.stderr.startswith(f"edgetwin: plc: 127.0.0.1:{gone}: ")
    assert "Traceback" not in done.stderr


def cells(line):
    return line.split()[1:]


@pytest.mark.anyio
async def test_every_order_side_by_side_with_the_tags_own_marked(server, file):
    """12.34567 is 4145 87DD; the registers hold it word-swapped."""
    link = Link(modbus.Config(id="w", type="modbus", host="127.0.0.1", port=server.port), 1.0)
    await link.write(1, Table.HOLDING, 400, [0x87DD, 0x4145, 0, 1])
    link.close()
    done = edgetwin(
        "probe", file(modbus_at(server.port)), "plc", "tank/level", "x/tank/total", "--address", "holding:401"
    )
    assert done.returncode == 0, done.stderr
    blocks = done.stdout.split("PDU offset ")
    assert blocks[1].startswith("401 (0x0191), Modicon 4x00402: 4145 0000")
    level = blocks[2].splitlines()
    assert level[0].startswith("400 (0x0190), Modicon 4x00401: 87DD 4145")
    assert level[1].split() == ["ABCD", "CDAB", "BADC", "DCBA"]
    assert level[2].split()[0] == "float32"
    assert "> 12.3457*" in level[2]
    assert "-3.32907e-34 " in level[2]  # no usual number
    assert cells(level[3]) == ["-2015542971", "1095075805", "-578337471", "1161944455"]
    assert cells(level[4])[0] == "2279424325"
    assert cells(level[6]) == ["-30755", "-8825"]
    assert f"> {0x87DD414500000001}" in blocks[3]
    assert str(0x00010000414587DD) in blocks[3]  # CDAB: the registers in reverse


def test_a_register_at_the_end_of_the_table_and_addresses_that_are_none(server, file):
    path = file(modbus_at(server.port))
    done = edgetwin("probe", path, "plc", "--address", "input:19999", "--address", "holding:60", "--address", "coil:3")
    assert done.returncode == 0
    assert "Modicon 3x20000: 22D9\n" in done.stdout
    assert "exception 2 (no such address)" in done.stdout
    assert "Modicon 0x00004\n  0\n" in done.stdout
    done = edgetwin("probe", path, "plc", "--address", "inptu:3")
    assert (done.returncode, "no table 'inptu'" in done.stderr) == (1, True)
    done = edgetwin("probe", path, "plc", "tank/lefel")
    assert (done.returncode, "has no tag tank/lefel" in done.stderr) == (1, True)
    done = edgetwin("probe", path, "plk")
    assert (done.returncode, "expected one of plc" in done.stderr) == (1, True)


def test_an_opcua_server_is_probed_by_the_same_command(file):
    csv = "group,tag,address,type\ntank,level,ns=2;s=a,float64\n"
    with opcua_server() as peer:
        path = file(f"type: opcua, endpoint: 'opc.tcp://127.0.0.1:{peer.port}'", csv)
        done = edgetwin("probe", path, "plc")
        assert (done.returncode, done.stderr) == (0, "")
        assert "Running" in done.stdout
        done = edgetwin("probe", path, "plc", "tank/level")
        assert done.returncode == 1
        assert "values have one form only" in done.stderr


def test_the_orders_by_the_bytes_of_pi():
    """3.14159274 is 40 49 0F DB."""
    for order, wire in (("ABCD", "40490fdb"), ("CDAB", "0fdb4049"), ("BADC", "4940db0f"), ("DCBA", "db0f4940")):
        assert decoded(bytes.fromhex(wire), "float32", order) == pytest.approx(3.14159274)
    assert [line.split()[0] for line in table(b"\0\1")] == ["ABCD", "int16", "uint16"]
