"""The command line as a user types it: what it prints, how it ends, what it says when something is wrong."""

import json
import subprocess
import sys

import pytest
from live import Live, edgetwin

HEAVY = ("numpy", "asyncua", "onnxruntime", "pymodbus", "pydantic", "aiomqtt", "scipy", "rich.console", "agent.app")


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from agent.cli.commands import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', *(m for m in {HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "backtest" in done.stdout
    assert done.stdout.strip().splitlines()[-1] == "HEAVY"


@pytest.mark.parametrize(
    "command",
    ["run", "check", "config show", "config options", "status", "read", "probe", "trace", "browse", "certs list",
     "watch", "ack", "shelve", "close", "backtest", "whatif", "model show", "model simulate",
     "fit twin", "fit loop", "fit detector", "users add", "demo"],
)  # fmt: skip
def test_each_command_explains_itself(command):
    done = edgetwin(*command.split(), "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout


def test_check_says_all_that_is_wrong_with_its_place(tmp_path):
    (tmp_path / "tags.csv").write_text("group,tag,address,type\nupper,level,inptu:0,float32\n")
    (tmp_path / "bad.yaml").write_text(
        "gateway: {id: g}\nclasses:\n  a@1:\n    tags: tags.csv\n    modes: {always: runing}\n"
        "assets:\n  - {id: x, class: a@1, perod_s: 1}\nsources:\n  - {id: p, type: modbsu, host: h}\n"
    )
    done = edgetwin("check", tmp_path / "bad.yaml")
    lines = [line for line in done.stderr.splitlines() if ":" in line]
    assert done.returncode == 1
    assert any(line.startswith(f"{tmp_path / 'bad.yaml'}:5:21:") for line in lines), done.stderr
    assert any(line.startswith(f"{tmp_path / 'bad.yaml'}:7:25:") and "period_s" in line for line in lines), done.stderr
    assert any("modbus" in line and ":9:" in line for line in lines), done.stderr
    assert "Traceback" not in done.stderr


def test_check_and_resolved_of_what_we_ship():
    done = edgetwin("check", "configs/two-tank.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    shown = edgetwin("config", "show", "--resolved", "configs/minimal.yaml")
    assert shown.returncode == 0
    assert "minimal.yaml:" in shown.stdout
    assert "default" in shown.stdout


def test_without_a_daemon_status_says_so_and_how_to_go_on(tmp_path):
    done = edgetwin("status", "--state-dir", tmp_path)
    assert done.returncode == 3
    assert "edgetwin run" in done.stderr
    assert "Traceback" not in done.stderr


def test_read_opens_the_machine_itself_where_no_daemon_runs(tmp_path):
    live = Live(tmp_path)
    second = f"sources.plc2.endpoint=opc.tcp://127.0.0.1:{live.ports.plc_opcua}"
    sets = ["--set", f"sources.plc1.port={live.ports.modbus}", "--set", second, "--state-dir", tmp_path / "state"]
    try:
        live.start("plant", "plc1", "plc2")
        done = edgetwin(
            "read",
            "configs/two-tank.yaml",
            "rig/lower/level",
            "rig/process/product",
            "rig/drive/state",
            "rig/pump/hydraulic_power",
            *sets,
            "--json",
        )
        assert done.returncode == 0, done.stderr
        level, product, state, power = json.loads(done.stdout)
        assert 0.1 < level["value"] < 0.5
        assert (level["by"], level["unit"]) == ("machine", "m")
        assert product["value"].startswith("water")
        assert state["value"] in range(8)
        assert 0.0 <= power["value"] < 50.0  # of flow and pressure, which were read for it
        assert (power["unit"], power["status"], power["by"]) == ("W", "Good", "machine")
        live.processes["plc1"].kill()
        dead = edgetwin("read", "configs/two-tank.yaml", "rig/lower/level", *sets, "--timeout", "2")
        assert dead.returncode == 1
        assert "BadNoCommunication" in dead.stdout
        assert "Traceback" not in dead.stderr
    finally:
        live.stop()


def test_a_wrong_option_is_one_plain_line():
    done = edgetwin("run", "configs/two-tank.yaml", "--set", "sources")
    assert done.returncode == 2
    assert "NAME=VALUE" in done.stderr
    done = edgetwin("fit", "detector", "nowhere.csv", "--out", "x.onnx")
    assert done.returncode == 1
    assert "nowhere.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_tag_list_for_the_units_is_told_with_its_place(tmp_path):
    (tmp_path / "list.csv").write_text("grp,tag\na,b\n")
    (tmp_path / "healthy.csv").write_text("time,a/b\n0,1\n")
    files = (tmp_path / "healthy.csv", "--out", tmp_path / "x.onnx", "--units", tmp_path / "list.csv")
    done = edgetwin("fit", "detector", *files)
    assert done.returncode == 1
    assert f"{tmp_path / 'list.csv'}:1:1:" in done.stderr
    assert "Traceback" not in done.stderr
