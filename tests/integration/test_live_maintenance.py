"""A part of the machine is replaced while the daemon runs: health is set back, brought back, and kept over a kill."""

import pytest
from live import ROOT, edgetwin, living, until

pytestmark = pytest.mark.timeout(300)

TWIN = ROOT / "configs" / "twins" / "two-tank.twin.json"
MODEL = "classes.two-tank@1.models.twin"
SETTINGS = ("--set", f"{MODEL}.type=twin", "--set", f"{MODEL}.file={TWIN}", "--set", f"{MODEL}.settle_s=2")


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with living(tmp_path_factory.mktemp("care"), "plant", "plc1", "plc2") as rig:
        rig.processes["agent"].start(*SETTINGS)
        until(rig.status, 20)
        yield rig


def maintenance(live, step, *more):
    return edgetwin("maintenance", step, "rig", "--socket", live.rig.feed, *more)


def health(live):
    """(value, spread) of the pump's wear; None while it is not known."""
    found = live.status()["assets"][0].get("twins", {}).get("health", {}).get("twin/pump.wear")
    return found and found["value"] is not None and (found["value"], found["spread"])


def test_a_replaced_pump_is_as_new_and_an_undo_brings_the_old_one_back(live):
    until(lambda: live.status()["assets"][0]["mode"] == "running", 40)
    _, known = until(lambda: health(live), 90, every_s=1.0)
    wrong = maintenance(live, "begin", "--replaced", "motr")
    assert (wrong.returncode, "no component 'motr'" in wrong.stderr) == (1, True), wrong.stdout
    assert maintenance(live, "begin").returncode == 0
    assert live.status()["assets"][0]["mode"] == "maintenance"
    assert not health(live)
    ended = maintenance(live, "end", "--replaced", "pump", "--recalibrated", "lower/level")
    assert "maintenance ended, replaced pump, recalibrated lower/level" in ended.stdout, ended.stderr
    _, wide = until(lambda: health(live), 90, every_s=1.0)
    assert wide > 1.5 * known
    live.processes["agent"].kill()
    live.processes["agent"].start(*SETTINGS)
    until(lambda: (live.status() or {}).get("assets") and health(live), 90, every_s=1.0)
    assert maintenance(live, "undo").returncode == 0
    assert live.status()["assets"][0]["mode"] == "maintenance"
    assert maintenance(live, "end").returncode == 0
    _, again = until(lambda: health(live), 90, every_s=1.0)
    assert again < 1.5 * known


def test_the_log_has_no_traceback(live):
    assert "Traceback" not in live.processes["agent"].text()
