"""A PLC whose program stands while its port answers (fault table row 25): its values do not stay Good."""

import signal

import pytest
from live import living, until

pytestmark = pytest.mark.timeout(120)
LEVEL, BEAT, POWER = "rig/lower/level", "rig/drive/heartbeat", "rig/pump/hydraulic_power"


@pytest.fixture
def live(tmp_path):
    with living(tmp_path, "plant", "plc1", "agent") as rig:
        until(rig.status, 20)
        yield rig


def is_(live, name, status):
    return lambda: live.point(name)[1] == status


def told(live):
    """Conditions of kind heartbeat that are active, by their message."""
    return [
        c["message"] for c in live.status()["assets"][0]["conditions"] if c["id"] == "rig/drive/heartbeat.heartbeat"
    ]


def test_frozen_registers_go_stale_and_come_back(live):
    for name in (LEVEL, BEAT, POWER):
        until(is_(live, name, "Good"), 20)
    assert told(live) == []
    plant = live.processes["plant"].popen
    plant.send_signal(signal.SIGSTOP)
    try:
        until(is_(live, BEAT, "BadNoCommunication"), 20)
        until(lambda: told(live) == ["heartbeat of plc1"], 5)
        for name in (LEVEL, POWER, "rig/interlock/ok"):
            until(is_(live, name, "BadNoCommunication"), 20)
        assert live.point("gateway/plc1/connected") == (1.0, "Good")  # the port answers all the time
        assert told(live) == ["heartbeat of plc1"]
    finally:
        plant.send_signal(signal.SIGCONT)
    for name in (BEAT, LEVEL, POWER):
        until(is_(live, name, "Good"), 20)
    until(lambda: told(live) == [], 5)
    assert "Traceback" not in live.processes["agent"].text()
