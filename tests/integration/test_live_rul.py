"""A life learned from machines that ran to failure, live: one more wears out on a PLC, and the daemon says so."""

import json
import sys

import numpy as np
import pytest
from live import Process, edgetwin, until

from agent.cli.demo.processes import free_ports

PERIOD_S = 0.1
TAGS = ("vibration", "temperature", "flow")
CONFIG = """
gateway: {{id: bench}}
classes:
  fan@1:
    tags: tags.csv
    modes: {{always: running}}
    models:
      - {{name: rul, type: detect.rul, file: rul.onnx}}
assets:
  - {{id: fan-1, class: fan@1, period_s: 0.1}}
sources:
  - {{id: plc, type: modbus, host: 127.0.0.1, port: {modbus}, timeout_s: 1.0}}
"""

pytestmark = pytest.mark.timeout(200)


def worn(life, draw):
    """Rows f8[life, 3] of a machine that fails after so many."""
    wear = (np.arange(1, life + 1) / life)[:, None] ** 2
    return np.array([1.0, 40.0, 10.0]) + wear * [1.0, 8.0, -2.0] + 0.05 * draw.normal(size=(life, 3))


def lines(rows):
    return ["{:.1f},{:.4f},{:.4f},{:.4f}".format(k * PERIOD_S, *row) for k, row in enumerate(rows)]


@pytest.fixture
def fan(tmp_path):
    """Everything in place, the daemon and the PLC not started yet; the fan fails 20 s after its start."""
    draw = np.random.default_rng(1)
    runs = [f"{unit},{line}" for unit in range(14) for line in lines(worn(int(draw.integers(150, 260)), draw))]
    (tmp_path / "runs.csv").write_text("\n".join([f"unit,time,{','.join(f'fan/{t}' for t in TAGS)}", *runs]) + "\n")
    (tmp_path / "fan.csv").write_text("\n".join([f"time,{','.join(TAGS)}", *lines(worn(200, draw))]) + "\n")
    (port,) = free_ports(1)
    addresses = [f"fan,{tag},input:{2 * k},float32,CDAB,{PERIOD_S}" for k, tag in enumerate(TAGS)]
    (tmp_path / "tags.csv").write_text("\n".join(["group,tag,address,type,order,scan", *addresses]) + "\n")
    (tmp_path / "fan.yaml").write_text(CONFIG.format(modbus=port))
    plc = (sys.executable, "-m", "hil.replay", tmp_path / "fan.csv", "--modbus", f"127.0.0.1:{port}", "--wait")
    run = (sys.executable, "-m", "agent.cli", "run", tmp_path / "fan.yaml", "--state-dir", tmp_path / "state")
    processes = [Process("plc", plc, tmp_path / "plc.log"), Process("agent", run, tmp_path / "agent.log")]
    try:
        yield tmp_path, processes
    finally:
        for process in reversed(processes):
            process.stop()


def test_a_machine_that_wears_out_is_told_its_life(fan):
    folder, processes = fan
    fitted = edgetwin(
        "fit", "rul", folder / "runs.csv", "--unit", "unit", "--time", "time", "--time-unit", "s",
        "--out", folder / "rul.onnx", timeout_s=150,
    )  # fmt: skip
    assert fitted.returncode == 0, fitted.stderr
    for process in processes:
        process.start()

    def life():
        """(life in s, its status) as status tells it."""
        done = edgetwin("status", folder / "fan.yaml", "--state-dir", folder / "state", "--json")
        points = json.loads(done.stdout)["assets"][0]["points"] if done.stdout else {}
        point = points.get("rul/life.machine.p50", {"value": None, "status": ""})
        return (point["value"] or np.nan) * 3600.0, point["status"]

    def told_below(limit_s):
        return lambda: (found := life())[0] < limit_s and found[1].startswith("Good")

    until(told_below(11.0), 60)
    until(told_below(4.0), 30)
    text = edgetwin("status", folder / "fan.yaml", "--state-dir", folder / "state").stdout
    assert "rul" in text
    assert "90 %" in text
