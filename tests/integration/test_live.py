"""The daemon in its world: every hop looked at from outside, each neighbour killed and restarted, nothing simulated."""

import json
import os
import subprocess
import sys

import psutil
import pytest
from driver_rig import SLACK_S
from live import ROOT, edgetwin, living, tool, until
from node_packages import installed
from opcua_rig import CLIENT_URI, make_certificate

pytestmark = pytest.mark.timeout(300)
EVERYTHING = ("plant", "plc1", "plc2", "broker", "agent")


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with living(tmp_path_factory.mktemp("live"), *EVERYTHING) as rig:
        until(rig.status, 20)
        yield rig


def running(live):
    return lambda: live.status()["assets"][0]["mode"] == "running"


def good(live, name):
    return lambda: live.point(name)[1] == "Good"


def test_values_of_both_plcs_and_the_models_arrive(live):
    until(running(live), 30)
    for name in ("rig/lower/level", "rig/motor/current", "rig/drive/state"):
        until(good(live, name), 10)
    until(good(live, "rig/lower/level.expected"), 40)
    until(good(live, "rig/upper/transfer_flow"), 20)
    until(good(live, "rig/anomaly/score"), 60)
    asset = live.status()["assets"][0]
    assert asset["context"]["product"]
    assert asset["points"]["lower/level"]["unit"] == "m"


def test_read_takes_the_value_from_the_daemon(live):
    done = edgetwin("read", "configs/two-tank.yaml", "--state-dir", live.state_dir, "rig/lower/level", "--json")
    (reading,) = json.loads(done.stdout)
    assert (done.returncode, reading["by"], reading["unit"]) == (0, "daemon", "m")
    wrong = edgetwin("read", "configs/two-tank.yaml", "--state-dir", live.state_dir, "rig/lower/levle")
    assert wrong.returncode == 1
    assert "did you mean rig/lower/level" in wrong.stderr


def test_a_second_daemon_is_refused(live):
    second = edgetwin("run", "configs/two-tank.yaml", "--state-dir", live.state_dir)
    assert second.returncode == 1
    assert "another edgetwin runs" in second.stderr


@pytest.mark.skipif(not tool("mosquitto_sub"), reason="needs mosquitto-clients: sudo apt-get install mosquitto-clients")
def test_mosquitto_sub_shows_a_summary(live):
    line = subprocess.run(
        [tool("mosquitto_sub"), "-p", str(live.ports.broker), "-t", "edgetwin/+/summary/rig", "-C", "1", "-W", "30"],
        capture_output=True, text=True, timeout=40, check=True,
    ).stdout  # fmt: skip
    summary = json.loads(line)
    tag = summary["tags"]["lower/level"]
    assert tag["min"] <= tag["mean"] <= tag["max"]
    assert 0 < tag["good"] <= 1
    assert summary["mode"]


@pytest.mark.parametrize(
    ("plc", "cut", "other"), [("plc1", "lower/level", "motor/current"), ("plc2", "motor/current", "lower/level")]
)
def test_a_killed_plc_goes_bad_within_two_periods_and_comes_back(live, plc, cut, other):
    until(good(live, f"rig/{cut}"), 20)
    missed = live.point("gateway/engine/missed")[0]
    live.processes[plc].kill()
    assert live.seconds_until(f"rig/{cut}", "Bad") <= 2.0 + SLACK_S
    until(lambda: f"gateway/{plc}.communication" in live.status()["down"], 4)
    assert live.point(f"rig/{other}")[1] == "Good"
    live.start(plc)
    live.seconds_until(f"rig/{cut}", "Good", 15)
    until(lambda: not live.status()["down"], 10)
    assert live.point("gateway/engine/missed")[0] == missed


def test_a_killed_opcua_child_comes_back_and_nothing_else_notices(live):
    cycles = live.status()["assets"][0]["cycles"]
    children = psutil.Process(live.processes["agent"].popen.pid).children()
    assert children
    for child in children:
        child.kill()
    until(lambda: live.point("gateway/opcua/restarts")[0] >= 1, 15)
    until(lambda: live.status()["assets"][0]["cycles"] >= cycles + 5, 10)
    assert live.point("rig/lower/level")[1] == "Good"
    until(lambda: scada_reads(live), 30)


def scada_reads(live, point="rig/lower/level"):
    """One value read by an OPC UA client of its own process, with the witness's login."""
    script = ROOT / "tests" / "scada_read.py"
    done = subprocess.run(
        [sys.executable, script, live.rig.endpoint, "scada", live.rig.password_file, live.rig.folder / "scada",
         point], capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return json.loads(done.stdout) if done.returncode == 0 else None


def test_scada_reads_a_value_with_unit_and_status(live):
    read = until(lambda: scada_reads(live), 30)
    assert read["status"] == "Good"
    assert read["unit"] == "m"
    assert 0 < read["value"] < 2


def test_scada_status_and_read_tell_how_far_a_model_is_believed(live):
    read = until(lambda: scada_reads(live, "rig/state/twin.baseline"), 30)
    assert (read["value"].partition(":")[0], read["unit"], read["status"]) == ("provisional", None, "Good")
    done = edgetwin("read", "configs/two-tank.yaml", "--state-dir", live.state_dir, "rig/state/detector.baseline")
    assert "provisional: its file has no baseline" in done.stdout
    shown = edgetwin("status", "--socket", live.rig.feed).stdout
    assert "  model twin: provisional: " in shown


def test_node_opcua_reads_the_level_with_unit_and_status(live, tmp_path_factory, tmp_path):
    packages = installed(tmp_path_factory.mktemp("node"), "node-opcua-client@2")
    certificate, key = make_certificate(tmp_path, "node")
    arguments = [live.rig.endpoint, "ns=1;s=rig/lower/level", certificate.with_suffix(".crt.pem"), key, "scada",
                 live.rig.password_file.read_text().strip(), "2", CLIENT_URI]  # fmt: skip
    done = subprocess.run(
        ["node", ROOT / "tests" / "integration" / "node" / "read.js", *arguments], cwd=tmp_path, capture_output=True,
        text=True, timeout=60, check=False, env={**os.environ, "NODE_PATH": str(packages / "node_modules")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout.splitlines()[-1])
    assert 0.1 < got["value"] < 0.6
    assert (got["unit"]["shown"], got["status"], got["range"]) == ("m", "Good", [0.0, 0.6])
    assert "ns=1;s=rig/lower/level.expected" in got["browsed"]
    assert all(status == "Good" for _, status in got["seen"])


def test_a_killed_broker_loses_nothing(live):
    until(lambda: live.point("gateway/mqtt/connected")[0] == 1, 20)
    live.processes["broker"].kill()
    until(lambda: live.point("gateway/mqtt/connected")[0] == 0, 15)
    assert live.point("rig/lower/level")[1] == "Good"
    live.start("broker")
    until(lambda: live.point("gateway/mqtt/connected")[0] == 1, 40)
    until(lambda: live.point("gateway/mqtt/pending")[0] == 0, 20)


def test_alerts_and_their_case_survive_a_restart_and_the_journal_plays_back_to_the_bit(live):
    until(running(live), 40)
    until(good(live, "rig/lower/level.deviation"), 40)
    live.order(do="leak")
    case = until(lambda: live.status()["assets"][0]["case"], 60)
    assert case["blamed"] == "rig/lower/level"
    condition = next(c for c in live.status()["assets"][0]["conditions"] if c["category"] == "alert")
    done = edgetwin("ack", condition["id"], "--socket", live.rig.feed)
    assert done.returncode == 0, done.stderr
    until(lambda: any(c["acknowledged"] for c in live.status()["assets"][0]["conditions"]), 5)
    assert live.processes["agent"].stop() == 0
    played = edgetwin("backtest", "configs/two-tank.yaml", "--state-dir", live.state_dir, "--json")
    assert played.returncode == 0, played.stdout + played.stderr
    tree = json.loads(played.stdout)
    assert {a["asset"] for a in tree["assets"]} == {"rig", "gateway"}
    for asset in tree["assets"]:
        assert asset["ticks"] > 20
        assert asset["different"] == 0
    live.start("agent")
    again = until(lambda: (live.status() or {}).get("assets") and live.status()["assets"][0]["case"], 20)
    assert again["id"] == case["id"]
    known = {c["id"]: c for c in live.status()["assets"][0]["conditions"]}
    assert known[condition["id"]]["acknowledged"]
    closed = edgetwin("close", case["id"], "--cause", "planned", "--socket", live.rig.feed)
    assert closed.returncode == 0, closed.stderr
    live.order(do="repair")


def maintenance(live, step, *more):
    return edgetwin("maintenance", step, "rig", "--socket", live.rig.feed, *more)


def test_maintenance_silences_is_undone_and_outlasts_a_kill(live):
    until(running(live), 40)
    unknown = edgetwin("maintenance", "begin", "rgi", "--socket", live.rig.feed)
    assert (unknown.returncode, "expected one of rig" in unknown.stderr) == (1, True)
    early = maintenance(live, "end")
    assert (early.returncode, "not in maintenance" in early.stderr) == (1, True)
    begun = maintenance(live, "begin")
    assert begun.returncode == 0, begun.stderr
    assert "maintenance began by" in begun.stdout
    assert live.status()["assets"][0]["mode"] == "maintenance"
    assert live.point("rig/lower/level.expected")[1] != "Good"
    live.order(do="leak")
    live.processes["agent"].kill()
    live.start("agent")
    until(lambda: (live.status() or {}).get("assets") and live.status()["assets"][0]["mode"] == "maintenance", 20)
    assert not [c for c in live.status()["assets"][0]["conditions"] if c["category"] == "alert"]
    live.order(do="repair")
    assert "taken back by" in maintenance(live, "undo").stdout
    until(running(live), 10)
    assert maintenance(live, "undo").returncode == 1
    for step in ("begin", "end"):
        assert maintenance(live, step).returncode == 0
    listed = edgetwin("maintenance", "list", "configs/two-tank.yaml", "--state-dir", live.state_dir, "--csv")
    head, row = listed.stdout.splitlines()
    assert head == "from,to,asset"
    assert row.endswith(",rig")
    assert row.count("+00:00") == 2


def test_the_log_has_no_traceback(live):
    assert "Traceback" not in live.processes["agent"].text()
