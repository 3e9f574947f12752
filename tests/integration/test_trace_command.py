"""`edgetwin trace` as a user types it; and the recording that a source keeps by itself, which never fills a disk."""

import json
import subprocess
import sys

import anyio
import one_source
import pytest
from driver_rig import running
from live import Process, edgetwin, until
from peers import libmodbus
from serial_line import Line

from agent.core.nouns import Tag
from agent.drivers import modbus

CSV = "group,tag,address,type\nupper,level,holding:1,uint16\n"


@pytest.fixture(scope="module")
def server():
    with libmodbus() as peer:
        yield peer


@pytest.fixture
def file(tmp_path):
    """Writes a configuration with these options; gives its path."""
    return lambda options: one_source.written(tmp_path, f"type: modbus, {options}", CSV, period_s=0.3)


def lines(path):
    return [json.loads(text) for text in path.read_text().splitlines()]


def test_what_goes_over_the_wire_and_what_was_read_of_it(server, file, tmp_path):
    out = tmp_path / "bus.trace"
    out.write_text("an old one\n")
    path = file(f"host: 127.0.0.1, port: {server.port}")
    done = edgetwin("trace", path, "plc", "--for", "1", "--out", out, "--state-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "requests, 0 errors in 1 s" in done.stdout
    assert "1 of 1 tags with a value" in done.stdout
    head, opened, asked, answered = lines(out)[:4]
    assert head == {"trace": 1, "source": "plc", "transport": "tcp"}
    assert (opened["dir"], asked["dir"], answered["dir"]) == ("+", ">", "<")
    assert asked["hex"][4:] == "00000006" + "01" + "03" + "0001" + "0001"
    assert answered["hex"] == asked["hex"][:4] + "00000005" + "01" + "03" + "02" + "0000"
    beside = json.loads((tmp_path / "bus.json").read_text())
    assert beside["source"] == {"id": "plc", "type": "modbus"}
    assert beside["read"] == {"x/upper/level": {"status": "Good", "value": 0.0}}


def test_a_device_that_does_not_answer_ends_with_1_and_what_was_asked_is_recorded(file, tmp_path):
    out = tmp_path / "bus.trace"
    path = file("host: 127.0.0.1, port: 1")
    done = edgetwin("trace", path, "plc", "--for", "1", "--out", out, "--state-dir", tmp_path)
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr
    assert "0 of 1 tags with a value" in done.stdout


def test_a_source_that_is_not_there_or_has_no_bus_says_so(file, tmp_path):
    path = file("host: plc")
    done = edgetwin("trace", path, "plk", "--out", tmp_path / "t")
    assert (done.returncode, done.stderr) == (1, "edgetwin: no source plk, expected one of plc\n")
    path.write_text(path.read_text().replace("modbus, host: plc", "opcua, endpoint: 'opc.tcp://plc:4840'"))
    (tmp_path / "tags.csv").write_text("group,tag,address,type\nupper,level,ns=2;s=a,float64\n")
    done = edgetwin("trace", path, "plc", "--out", tmp_path / "t")
    assert done.returncode == 1
    assert "only the bus of a modbus source" in done.stderr


def test_a_line_that_the_daemon_holds_is_left_to_it(file, tmp_path):
    with Line(tmp_path, "rtu") as line:
        path = file(f"transport: rtu, device: {line.ours}, parity: N")
        command = (sys.executable, "-m", "agent.cli", "run", str(path), "--state-dir", str(tmp_path))
        daemon = Process("daemon", command, tmp_path / "daemon.log").start()
        try:
            until(lambda: edgetwin("read", path, "x/upper/level", "--state-dir", tmp_path).returncode == 0, 20)
            done = edgetwin("trace", path, "plc", "--out", tmp_path / "t", "--state-dir", tmp_path)
            assert done.returncode == 1
            assert "the daemon runs and holds the line of plc: stop it first, or set trace_file" in done.stderr
        finally:
            daemon.stop()


def config(server, path, **more):
    return modbus.Config(id="plc", type="modbus", host="127.0.0.1", port=server.port, trace_file=path, **more)


TAGS = [Tag("rig/a", "input:1", "uint16", scan_s=0.02)]


@pytest.mark.anyio
async def test_a_recording_keeps_the_newest_and_never_grows_beyond_its_size(server, tmp_path):
    path = tmp_path / "bus.trace"
    older = tmp_path / "bus.trace.1"
    async with running(modbus, config(server, path, trace_mb=0.008), TAGS, keep=False) as rig:
        await rig.until(lambda: older.exists() and rig.counts[0] >= 80)
        first = lines(older)[1]["t_ns"]
        await rig.until(lambda: lines(older)[1]["t_ns"] > first, within_s=10.0)
        assert path.stat().st_size <= 4000
        assert older.stat().st_size <= 4000
        assert "trace" in lines(older)[0]
        assert "trace" in lines(path)[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bus.trace", "bus.trace.1"]


@pytest.mark.anyio
@pytest.mark.parametrize("place", ["/dev/full", "gone/bus.trace"])
async def test_a_disk_that_is_full_ends_the_recording_and_nothing_else(server, tmp_path, caplog, place):
    async with running(modbus, config(server, tmp_path / place, timeout_s=2.0), TAGS) as rig:
        await rig.until(lambda: len(rig.batches) >= 5)
        assert rig.good
        assert not rig.downs
    assert caplog.text.count("no more is recorded of the bus") == 1


@pytest.mark.anyio
async def test_a_recording_goes_on_when_the_driver_is_started_again(tmp_path):
    path, peer = tmp_path / "bus.trace", libmodbus()
    try:
        peer.start()
        async with running(modbus, config(peer, path), TAGS) as rig:
            await rig.until(lambda: rig.good)
            peer.kill()
            await rig.until(lambda: rig.downs)
            peer.start()
            await rig.until(lambda: rig.good)
            await anyio.sleep(0.1)
    finally:
        peer.kill()
    found = lines(path)
    assert sum("trace" in line for line in found) >= 2
    assert {line["dir"] for line in found if "dir" in line} - {"-"} == {"+", ">", "<", "x"}  # -: where one was open


def test_a_users_recording_is_a_device_that_can_be_read(server, file, tmp_path):
    """The way of a user's trace into a test, from end to end."""
    out = tmp_path / "bus.trace"
    path = file(f"host: 127.0.0.1, port: {server.port}")
    assert edgetwin("trace", path, "plc", "--for", "1", "--out", out, "--state-dir", tmp_path).returncode == 0
    command = [sys.executable, "-m", "hil.replay", "--trace", str(out), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as device:
        try:
            port = device.stdout.readline().split()[2].rpartition(":")[2]
            changed = f"sources.plc.port={port}"
            done = edgetwin("read", path, "x/upper/level", "--set", changed, "--state-dir", tmp_path / "none")
            assert done.returncode == 0, done.stderr
            assert "Good (from the machine)" in done.stdout
        finally:
            device.terminate()
