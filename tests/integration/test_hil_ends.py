"""The ends of the bench as processes: replay, broker, witnesses, recording over the wire."""

import asyncio
import json
import math
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from pymodbus.client import AsyncModbusTcpClient

from hil.bench import port_of, started
from hil.certificate import client_certificate
from hil.registers import words_float

HOST = "127.0.0.1"
SKAB = Path(__file__).resolve().parents[3] / "shared" / "data" / "skab" / "valve1" / "0.csv"
needs_mosquitto = pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="needs mosquitto-clients")


async def rows_read(port, columns, seconds):
    client = AsyncModbusTcpClient(HOST, port=port, timeout=1)
    await client.connect()
    rows = []
    for _ in range(round(seconds / 0.02)):
        answer = await client.read_input_registers(0, count=2 * columns, device_id=1)
        row = [words_float(answer.registers[2 * k : 2 * k + 2]) for k in range(columns)]
        if not rows or row != rows[-1]:
            rows.append(row)
        await asyncio.sleep(0.02)
    client.close()
    return rows


@pytest.mark.anyio
async def test_a_replay_serves_each_row_in_its_time_and_ends(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("time;a;name;b\n" + "".join(f"{k};{k / 4};x;{'' if k == 2 else k}\n" for k in range(6)))
    with started("replay", path, "--modbus", f"{HOST}:0", "--speed", "5", "--wait", "--once", ready=False) as replay:
        printed = [replay.line() for _ in range(4)]
        assert printed[0] == "skipped: column 'name' is not numeric"
        assert printed[1:3] == ["input 0 float32 CDAB: a", "input 2 float32 CDAB: b"]
        await asyncio.sleep(0.7)  # waits for the first read
        rows = await rows_read(port_of(printed[3].removeprefix("ready replay ")), 2, 1.6)
        assert await asyncio.to_thread(replay.join) == 0
    assert [row[0] for row in rows if not math.isnan(row[1])] == [k / 4 for k in (0, 1, 3, 4, 5)]
    assert any(math.isnan(row[1]) for row in rows)
    assert replay.errors == []


@pytest.mark.anyio
@pytest.mark.skipif(not SKAB.exists(), reason=f"needs the recorded rigs of {SKAB.parents[2]}")
async def test_a_replay_serves_a_recorded_rig():
    with started("replay", SKAB, "--modbus", f"{HOST}:0", "--speed", "20", "--start-row", "400") as replay:
        rows = await rows_read(port_of(replay.ready.removeprefix("replay ")), 10, 1.0)
    lines = SKAB.read_text().splitlines()[401:]
    expected = [[float(cell) for cell in line.split(";")[1:]] for line in lines[: 3 * len(rows)]]  # some are not seen
    assert len(rows) > 12
    assert rows[0] == pytest.approx(expected[0], rel=1e-6)
    assert rows[len(rows) - 1] in [pytest.approx(row, rel=1e-6) for row in expected]


def test_a_replay_that_cannot_listen_says_so(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with started("replay", path, "--modbus", f"{HOST}:{port}", ready=False) as replay:
            assert replay.line().startswith("input 0")
            assert replay.join() == 1
    assert replay.errors == [f"replay: cannot listen on {HOST}:{port}\n"]


def publish(port, topic, text, *more):
    command = ["mosquitto_pub", "-p", str(port), "-t", topic, "-m", text, "-q", "1", *more]
    subprocess.run(command, check=True, timeout=10)


def receive(port, *arguments):
    command = ["mosquitto_sub", "-p", str(port), "-v", "-q", "1", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.splitlines()


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@needs_mosquitto
def test_the_broker_retains_and_keeps_what_a_session_missed():
    port = free_port()
    with started("broker", "--listen", f"{HOST}:{port}") as broker:
        publish(port, "edgetwin/g/birth", "old", "-r")
        publish(port, "edgetwin/g/birth", "new", "-r")
        assert receive(port, "-t", "edgetwin/+/birth", "-C", "1", "-W", "3") == ["edgetwin/g/birth new"]
        session = ("-i", "s1", "-c", "-t", "edgetwin/g/summary")
        assert receive(port, *session, "-W", "1") == []
        for k in range(3):
            publish(port, "edgetwin/g/summary", f"m{k}")
        missed = [f"edgetwin/g/summary m{k}" for k in range(3)]
        assert receive(port, *session, "-C", "3", "-W", "3") == missed
    assert broker.process.returncode == 0
    assert broker.errors == []


@needs_mosquitto
def test_the_mqtt_witness_counts_by_class_and_comes_back_after_the_broker():
    port = free_port()
    with started("witness", "mqtt", f"{HOST}:{port}", ready=False) as witness:
        assert json.loads(witness.line())["connected"] is False
        for connects in (1, 2):
            with started("broker", "--listen", f"{HOST}:{port}") as broker:
                while not (line := json.loads(witness.line()))["connected"]:
                    pass
                assert line["connects"] == connects
                publish(port, "edgetwin/g1/summary", "{}")
                publish(port, "edgetwin/g1/event", '{"condition": "leak"}')
            assert broker.process.returncode == 0
        assert witness.stop() == 0
        final = json.loads(witness.rest()[-1])
    assert final["final"] is True
    assert final["classes"] == {"summary": 2, "event": 2}
    assert final["last_event"] == {"condition": "leak"}
    assert witness.errors == []


class OneUser:
    def get_user(self, iserver, username=None, password=None, certificate=None):
        return User(UserRole.User) if (username, password) == ("scada", "s3cret") else None


async def secure_server(folder):
    certificate, key = client_certificate(folder, socket.gethostname())
    server = Server(user_manager=OneUser())
    await server.init()
    server.set_endpoint(f"opc.tcp://{HOST}:{free_port()}")
    await server.set_application_uri("urn:edgetwin:hil:witness")
    server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    await server.load_certificate(str(certificate))
    await server.load_private_key(str(key))
    index = await server.register_namespace("urn:test")
    asset = await server.nodes.objects.add_object(ua.NodeId("tank", index), ua.QualifiedName("tank", index))
    level = await asset.add_variable(ua.NodeId("tank/level", index), ua.QualifiedName("level", index), 0.0)
    unit = ua.EUInformation("", 5067858, ua.LocalizedText("m"), ua.LocalizedText("metre"))
    await level.add_property(ua.NodeId("tank/level/eu", index), "0:EngineeringUnits", unit)
    return server, level


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_the_opcua_witness_reads_a_secured_server(tmp_path):
    (tmp_path / "password").write_text("s3cret\n")
    server, level = await secure_server(tmp_path / "server")
    url = server.endpoint.geturl()
    arguments = ("--user", "scada", "--password-file", tmp_path / "password", "--certificate-dir", tmp_path / "own")
    async with server:
        with started("witness", "opcua", url, "--nodes-under", "tank", *arguments, ready=False) as witness:
            line = {"connected": False}
            while not line["connected"]:
                line = json.loads(await asyncio.to_thread(witness.line))
            for k in range(5):
                status = ua.StatusCode(ua.StatusCodes.BadSensorFailure if k == 4 else ua.StatusCodes.Good)
                await level.write_value(ua.DataValue(ua.Variant(float(k)), status))
                await asyncio.sleep(0.6)
            assert await asyncio.to_thread(witness.stop) == 0
        final = json.loads(witness.rest()[-1])
    assert final["nodes"] == 1
    assert 3 <= final["good"] < final["changes"] <= 6
    (value,) = final["values"].values()
    assert (value["name"], value["unit"], value["status"]) == ("level", "m", "BadSensorFailure")
    assert (tmp_path / "own" / "witness.pem").stat().st_mode & 0o077 == 0
    assert witness.errors == []
