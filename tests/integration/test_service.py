"""The daemon as a service: what systemd hears from it, and what its unit file says."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from live import ROOT

UNIT = ROOT / "systemd" / "edgetwin.service"
CONFIG = """
gateway: {id: silent}
classes:
  any@1:
    tags: tags.csv
    modes: {always: running}
assets:
  - {id: machine, class: any@1}
sources:
  - {id: plc, type: modbus, host: 127.0.0.1, port: 1}
sinks:
  - {type: mqtt, host: 127.0.0.1, port: 1}
"""


def test_a_silent_plc_and_an_absent_broker_never_starve_the_watchdog(tmp_path):
    (tmp_path / "tags.csv").write_text("group,tag,address,type\na,b,input:0,uint16\n")
    (tmp_path / "silent.yaml").write_text(CONFIG)
    path = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(15)
        environment = {**os.environ, "NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "1500000"}
        command = [
            sys.executable,
            "-m",
            "agent.cli",
            "run",
            tmp_path / "silent.yaml",
            "--state-dir",
            tmp_path / "state",
        ]
        with (tmp_path / "log").open("wb") as log:
            daemon = subprocess.Popen(command, env=environment, stderr=log, cwd=ROOT)
        try:
            heard = [listener.recv(200).decode()]
            assert heard == ["READY=1"]
            end = time.monotonic() + 26  # longer than the time after which a unit counts as stuck
            while time.monotonic() < end:
                heard.append(listener.recv(200).decode())
            assert heard.count("WATCHDOG=1") >= 40
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(15) == 0
            while heard[-1] != "STOPPING=1":
                heard.append(listener.recv(200).decode())
        finally:
            daemon.kill()
            daemon.wait()
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert log.count("plc: ") == 1, "a dead PLC is told once, not each second"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze (systemd)")
@pytest.mark.parametrize("name", ["edgetwin.service", "edgetwin-ingest.service"])
def test_a_unit_is_right_and_well_confined(tmp_path, name):
    unit = tmp_path / name
    unit.write_text((UNIT.parent / name).read_text().replace("/opt/edgetwin/bin/edgetwin", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if name in line]
    assert not said
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=30", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:]
