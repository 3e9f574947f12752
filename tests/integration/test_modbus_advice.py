"""Advice about a configuration that can be used: a port's name, a line's load, certificates near their end."""

import datetime
import os
import sys

import pytest
from live import Process, edgetwin, until
from tls_rig import DAY, Authority

from agent.core.nouns import Tag
from agent.drivers import modbus
from agent.drivers.modbus.advising import advice

FEW = [Tag("rig/a", "holding:1", "uint16")]


def serial(device, **more):
    return modbus.Config(id="p", type="modbus", transport="rtu", device=str(device), **more)


@pytest.fixture
def by_id(tmp_path):
    """A folder as udev keeps it, with a link to /dev/ttyUSB0."""
    made = tmp_path / "by-id"
    made.mkdir()
    (made / "usb-FTDI_USB-RS485_A1-if00-port0").symlink_to("/dev/ttyUSB0")
    (made / "usb-Silicon_Labs_CP2102_7-if00-port0").symlink_to("/dev/ttyUSB1")
    return made


def test_a_name_given_by_chance_has_a_stable_one(by_id):
    (text,) = advice(serial("/dev/ttyUSB1"), FEW, by_id)
    assert text.startswith("device /dev/ttyUSB1 may be another adapter after a restart, expected ")
    assert text.endswith("/by-id/usb-Silicon_Labs_CP2102_7-if00-port0")
    (text,) = advice(serial("/dev/ttyACM3"), FEW, by_id)
    assert "not plugged in now" in text


def test_a_stable_name_is_right_and_one_that_is_not_there_now_is_only_told(by_id, tmp_path):
    plugged = by_id / "usb-here"
    plugged.symlink_to(tmp_path)
    assert advice(serial(plugged), FEW, by_id) == []
    (text,) = advice(serial(by_id / "usb-FTDI_USB-RS485_B2-if00-port0"), FEW, by_id)
    assert "is opened when it is plugged in; there is " in text
    assert "usb-FTDI_USB-RS485_A1-if00-port0" in text
    assert advice(serial("/dev/ttyS0"), FEW, by_id) == []
    assert advice(serial("/dev/ttyAMA0"), FEW, tmp_path / "no such folder") == []


def test_a_line_that_is_too_slow_for_its_tags_is_told(by_id):
    """100 registers are 213 bytes of 11 bits: 0.244 s at 9600 baud, and two silences of 4 ms."""
    tags = [Tag(f"rig/{i}", f"holding:{i}", "uint16", scan_s=0.3) for i in range(100)]
    (text,) = advice(serial("/dev/ttyS0", baudrate=9600), tags, by_id)
    assert "busy for at least 84 % of the time" in text
    assert advice(serial("/dev/ttyS0", baudrate=19200), tags, by_id) == []


def day(after):
    return (datetime.datetime.now(datetime.UTC) + after * DAY).date().isoformat()


def test_certificates_that_end_soon_or_are_not_there(tmp_path):
    authority = Authority(tmp_path)
    soon, key = authority.issue("soon", end=5.2 * DAY)
    gone = tmp_path / "gone.key"
    given = {"transport": "tls", "host": "plc", "ca_file": authority.file}
    config = modbus.Config(id="p", type="modbus", certificate=soon, private_key=gone, **given)
    assert [text.replace(str(tmp_path), "") for text in advice(config, FEW)] == [
        f"ca_file /plant-CA.crt expires on {day(30)}",
        f"certificate /soon.crt expires on {day(5.2)}",
        "private_key /gone.key cannot be read by this user now",
    ]
    ended, _ = authority.issue("ended", end=-DAY / 2)
    key.write_text("x")
    config = modbus.Config(id="p", type="modbus", certificate=ended, private_key=key, **{**given, "ca_file": key})
    told = [text.replace(str(tmp_path), "") for text in advice(config, FEW)]
    assert told == [
        "ca_file /soon.key is no certificate, expected PEM",
        f"certificate /ended.crt has expired on {day(-0.5)}",
    ]


YAML = """\
gateway: {id: g}
classes:
  a@1: {tags: tags.csv, modes: {always: running}}
assets:
  - {id: x, class: a@1}
sources:
  - id: p
    type: modbus
    transport: rtu
    device: /dev/ttyUSB77
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "tags.csv").write_text("group,tag,address,type\nupper,level,input:0,float32\n")
    path = tmp_path / "rig.yaml"
    path.write_text(YAML)
    return path


def test_check_prints_advice_with_its_place_and_ends_well(file):
    done = edgetwin("check", file)
    assert done.returncode == 0
    assert done.stderr.startswith(f"{file}:10:13: advice: device /dev/ttyUSB77 may be another adapter")
    assert "right. 1 asset(s)" in done.stdout


def test_the_daemon_logs_it_once_at_its_start(file, tmp_path):
    assert not os.path.exists("/dev/ttyUSB77")
    command = (sys.executable, "-m", "agent.cli", "run", str(file), "--state-dir", str(tmp_path / "state"))
    daemon = Process("daemon", command, tmp_path / "daemon.log").start()
    try:
        until(lambda: "running: 2 assets" in daemon.text(), 20)
        assert daemon.text().count("advice: device /dev/ttyUSB77") == 1
    finally:
        daemon.stop()
