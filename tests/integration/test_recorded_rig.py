"""A recorded rig over the wire: a SKAB file served as a PLC, a detector fitted by the command line, read live."""

import csv
import json
import subprocess
import sys
import time

import pytest
from live import ROOT, Process, edgetwin, listens, tool, until

from agent.cli.demo.processes import free_ports
from agent.sinks.opcua import users

SKAB = ROOT.parent / "shared" / "data" / "skab" / "valve1" / "0.csv"
SPEED = 10
SENSORS = {
    "vibration/first": "Accelerometer1RMS",
    "vibration/second": "Accelerometer2RMS",
    "motor/current": "Current",
    "pump/pressure": "Pressure",
    "pump/temperature": "Temperature",
    "loop/temperature": "Thermocouple",
    "motor/voltage": "Voltage",
    "loop/flow": "Volume Flow RateRMS",
}

pytestmark = [
    pytest.mark.skipif(not SKAB.exists(), reason="needs the recorded data in ../shared/data"),
    pytest.mark.skipif(not tool("mosquitto"), reason="needs mosquitto: sudo apt-get install mosquitto"),
    pytest.mark.timeout(240),
]

CONFIG = """
gateway: {{id: bench}}
classes:
  skab@1:
    tags: tags.csv
    modes: {{always: running}}
    summary_s: 5
    anomaly: {{on_delay_s: 0.3}}
    models:
      - {{name: detector, type: detect.onnx, file: detector.onnx}}
assets:
  - {{id: loop, class: skab@1, period_s: {period_s}}}
sources:
  - {{id: plc, type: modbus, host: 127.0.0.1, port: {modbus}, timeout_s: 1.0}}
sinks:
  - {{type: mqtt, host: 127.0.0.1, port: {broker}}}
  - {{type: opcua, endpoint: "opc.tcp://127.0.0.1:{server}", users_file: users, trust_on_first_use: true}}
"""


def as_the_agent_sees_it(folder):
    """The recording with its time as it passes at this speed: a row each 1/SPEED s."""
    with SKAB.open() as file:
        rows = list(csv.reader(file, delimiter=";"))
    with (folder / "recording.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["time", *rows[0][1:]])
        out.writerows([f"{k / SPEED:.2f}", *row[1:]] for k, row in enumerate(rows[1:]))
    return rows[0][1:]


def labelled():
    """First and last row that the data set calls anomalous."""
    with SKAB.open() as file:
        rows = [k for k, row in enumerate(csv.DictReader(file, delimiter=";")) if float(row["anomaly"])]
    return rows[0], rows[-1]


@pytest.fixture
def bench(tmp_path):
    columns = as_the_agent_sees_it(tmp_path)
    modbus, broker, server = free_ports(3)
    with (tmp_path / "tags.csv").open("w") as file:
        file.write("group,tag,address,type,order,scan\n")
        for name, column in SENSORS.items():
            group, _, tag = name.partition("/")
            file.write(f"{group},{tag},input:{2 * columns.index(column)},float32,CDAB,{1 / SPEED}\n")
    (tmp_path / "bench.yaml").write_text(CONFIG.format(period_s=1 / SPEED, modbus=modbus, broker=broker, server=server))
    (tmp_path / "password").write_text("recorded rig")
    users.add(tmp_path / "users", "scada", "recorded rig", "viewer")
    (tmp_path / "mosquitto.conf").write_text(f"listener {broker} 127.0.0.1\nallow_anonymous true\n")
    run = (sys.executable, "-m", "agent.cli", "run", tmp_path / "bench.yaml", "--state-dir", tmp_path / "state")
    replay = (sys.executable, "-m", "hil.replay", SKAB, "--modbus", f"127.0.0.1:{modbus}")
    at = {"broker": broker, "server": server, "folder": tmp_path}
    processes = {
        "broker": Process("broker", (tool("mosquitto"), "-c", tmp_path / "mosquitto.conf"), tmp_path / "broker.log"),
        "replay": Process("replay", (*replay, "--speed", str(SPEED), "--start-row", "400"), tmp_path / "replay.log"),
        "agent": Process("agent", run, tmp_path / "agent.log"),
    }
    try:
        yield at, processes
    finally:
        for process in reversed(processes.values()):
            process.stop()


def test_a_recorded_anomaly_reaches_the_cloud_and_scada(bench):
    at, processes = bench
    folder = at["folder"]
    tags = ",".join(f"{name}={column}" for name, column in SENSORS.items())
    fitted = edgetwin(
        "fit", "detector", folder / "recording.csv", "--out", folder / "detector.onnx", "--tags", tags,
        "--rows", "0:400", "--settle", "0", timeout_s=120,
    )  # fmt: skip
    assert fitted.returncode == 0, fitted.stderr
    processes["broker"].start()
    until(lambda: listens(at["broker"]), 10)
    listening = subprocess.Popen(
        [tool("mosquitto_sub"), "-p", str(at["broker"]), "-t", "edgetwin/bench/event/loop", "-W", "120"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    processes["agent"].start()
    until(lambda: "running" in processes["agent"].text(), 20)
    processes["replay"].start()
    started_s = time.monotonic()
    try:
        alert = next(e for e in map(json.loads, listening.stdout) if e["change"] == "raised")
    finally:
        listening.terminate()
        listening.communicate()
    assert alert["condition"]["kind"] == "anomaly"
    row = 400 + (time.monotonic() - started_s) * SPEED
    first, last = labelled()
    assert first <= row <= last, f"alert at about row {row:.0f}, the labelled anomaly is rows {first} to {last}"
    assert until(lambda: scada_reads(at) > 1.0, 60), "SCADA sees the score over its limit while the anomaly lasts"


def scada_reads(at):
    """The score as an OPC UA client reads it."""
    endpoint, folder = f"opc.tcp://127.0.0.1:{at['server']}", at["folder"]
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "scada_read.py", endpoint, "scada",
         folder / "password", folder / "scada", "loop/anomaly/score"],
        capture_output=True, text=True, timeout=40, check=True,
    )  # fmt: skip
    score = json.loads(done.stdout)
    assert score["status"] == "Good"
    return score["value"]
