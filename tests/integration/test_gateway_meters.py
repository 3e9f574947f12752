"""What an operator sees of a device: the running daemon, a real Modbus server, and a unit behind it that is silent."""

import json
import sys

import pytest
from live import Process, edgetwin, until
from peers import libmodbus

pytestmark = pytest.mark.timeout(120)

YAML = """\
gateway: {{id: g1}}
state_dir: state
classes:
  rig@1:
    tags: rig.csv
    modes: {{always: running}}
assets:
  - {{id: rig, class: rig@1}}
sources:
  - {{id: plc1, type: modbus, host: 127.0.0.1, port: {port}, forbidden: [input:10-19]}}
"""
CSV = """\
group,tag,address,type,scale,scan,phase,options
tank,level,1/input:1,uint16,0.5,,,
tank,profile,1/input:20,uint16[4],0.5,,,atomic=tank
tank,flow,1/input:80,uint16,,,,atomic=tank
tank,slow,1/input:3,int8,,2,0.5,
far,level,9/input:1,uint16,,,,
"""


@pytest.fixture(scope="module")
def status(tmp_path_factory):
    """A function that gives the daemon's status as a tree, None while there is none."""
    folder = tmp_path_factory.mktemp("meters")
    file = folder / "rig.yaml"
    with libmodbus() as peer:
        file.write_text(YAML.format(port=peer.port))
        (folder / "rig.csv").write_text(CSV)
        daemon = Process("agent", (sys.executable, "-m", "agent.cli", "run", str(file)), folder / "log").start()

        def told():
            done = edgetwin("status", file, "--json")
            return json.loads(done.stdout) if done.returncode in (0, 1) and done.stdout else None

        try:
            until(told, 30)
            yield told
        finally:
            daemon.stop()


def test_values_arrive_and_a_silent_unit_is_bad_alone(status):
    until(lambda: status()["assets"][0]["points"]["tank/slow"]["status"] == "Good", 20)
    points = status()["assets"][0]["points"]
    assert (points["tank/level"]["value"], points["tank/flow"]["value"], points["tank/slow"]["value"]) == (3.5, 560, 21)
    assert points["tank/profile"]["status"] == "Good"
    assert points["far/level"]["status"] == "BadNoCommunication"


def test_the_meters_of_a_device_and_its_units_are_tags(status):
    def silent():
        return status()["meters"]["plc1/unit_9_breaker"]["value"] == 1

    until(silent, 20)
    meters = {name: point["value"] for name, point in status()["meters"].items() if name.startswith("plc1/")}
    assert meters["plc1/connected"] == 1
    assert meters["plc1/requests"] > meters["plc1/errors"] >= meters["plc1/unit_9_errors"] >= 1
    assert meters["plc1/unit_1_errors"] == meters["plc1/refused"] == meters["plc1/malformed"] == 0
    assert 0 < meters["plc1/rtt_s"] < 5
    assert meters["plc1/unit_9_age_s"] > meters["plc1/unit_1_age_s"]


def test_a_silent_unit_is_one_event_and_no_more(status):
    def told():
        return status()["down"] == ["gateway/plc1.unit_9.communication"]

    until(told, 20)
