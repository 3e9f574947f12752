"""The Modbus driver on a serial line: a socat pair of pseudo terminals, a pymodbus server at the other end."""

import os
import shutil
from contextlib import suppress
from itertools import pairwise

import pytest
import serial
from driver_rig import SLACK_S, running
from pydantic import ValidationError
from rtu_rig import bus
from serial_line import Line

from agent.core.address import Table
from agent.core.blocks import Block
from agent.core.nouns import Tag, Write
from agent.drivers import modbus
from agent.drivers.modbus.wire.link import Link

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["rtu", "ascii"])
def line(request, tmp_path):
    if shutil.which("socat") is None:
        pytest.skip("needs socat (apt: socat)")
    made = Line(tmp_path, request.param)
    yield made
    made.close()


async def test_reads_writes_and_survives_a_silent_device(line):
    config = modbus.Config(id="plc3", type="modbus", transport=line.transport, device=line.ours, parity="N")
    tags = [Tag(f"rig/a/{i}", f"holding:{i}", "uint16", scan_s=0.5, writable=True) for i in (1, 2, 200)]
    async with running(modbus, config, tags) as rig:
        await rig.until(lambda: rig.good)
        assert rig.value.tolist() == [7.0, 14.0, 1400.0]
        answer = await rig.write(Write("w", 1, 99.0))
        assert answer.ok, answer
        await rig.until(lambda: rig.value[1] == 99.0)
        for _ in range(3):
            line.freeze()  # what was asked is answered late, when it wakes
            await rig.until(lambda: rig.bad, within_s=1.1 + SLACK_S)
            line.thaw()
            await rig.until(lambda: rig.good)
        assert "no answer" in rig.downs[-1][1]
        seen = {(int(t), float(v)) for b in rig.batches for t, v in zip(b.tag, b.value, strict=True)}
        assert seen == {(0, 7.0), (1, 14.0), (1, 99.0), (2, 1400.0)}


async def test_a_port_that_is_not_there_says_so(tmp_path):
    config = modbus.Config(id="plc3", type="modbus", transport="rtu", device=str(tmp_path / "gone"))
    async with running(modbus, config, [Tag("rig/a/b", "holding:1", "uint16")]) as rig:
        await rig.until(lambda: len(rig.downs) >= 2)
        assert "gone" in rig.downs[0][1]
    assert rig.meters.read("plc3/lost") >= 2


def config(port, **more):
    more = {"parity": "N", "retries": 0, **more}
    return modbus.Config(id="plc3", type="modbus", transport="rtu", device=port, **more)


def tags(*addresses, scan_s=0.3, **more):
    return [Tag(f"rig/a/{a}", a, "uint16", scan_s=scan_s, **more) for a in addresses]


def open_files():
    return len(os.listdir("/proc/self/fd"))


async def test_an_adapter_that_is_pulled_out_and_put_back_is_read_again(tmp_path):
    if shutil.which("socat") is None:
        pytest.skip("needs socat (apt: socat)")
    line, seen = Line(tmp_path, "rtu"), set()
    try:
        async with running(modbus, config(line.ours), tags("holding:1")) as rig:
            await rig.until(lambda: rig.good)
            before = open_files()
            for _ in range(3):
                seen.add(os.path.realpath(line.ours))
                line.close()
                await rig.until(lambda: rig.bad)
                holder = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)  # its number is taken when it comes back
                rig.downs.clear()
                await rig.until(lambda: len(rig.downs) >= 2)
                assert "ours" in rig.downs[-1][1]
                line = Line(tmp_path, "rtu")
                await rig.until(lambda: rig.good)
                os.close(holder)
                assert open_files() <= before
            assert len(seen) > 1
    finally:
        line.close()


async def test_a_port_that_another_program_holds_says_so():
    with bus() as line:
        async with running(modbus, config(line.port), tags("holding:1")) as rig:
            await rig.until(lambda: rig.good)
            with pytest.raises(OSError, match="another program holds this port"):
                await modbus.probe(config(line.port))


async def test_each_serial_parameter_reaches_the_port(monkeypatch):
    opened, real = [], serial.serial_for_url
    monkeypatch.setattr(serial, "serial_for_url", lambda url, **given: opened.append(given) or real(url, **given))
    with bus() as line:
        for parity in "NEOMS":
            given = {"parity": parity, "stopbits": 2, "bytesize": 7, "baudrate": 4800}
            link = Link(modbus.Config(id="p", type="modbus", transport="ascii", device=line.port, **given), 0.05)
            with pytest.raises(OSError, match="serial settings"):  # a pty has no parity and always 8 bits
                await link.read(Block(1, Table.HOLDING, 1, 1, (0,)), once=True)
            link.close()
            assert given.items() <= opened[-1].items()
            assert opened[-1]["exclusive"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"bytesize": 7}, "cannot carry the bytes of rtu, expected 8"),
        ({"transport": "ascii", "bytesize": 6}, "expected 7 or 8"),
        ({"stopbits": 3}, "expected 1, 1.5 or 2"),
        ({"rx_during_tx": True}, "rx_during_tx needs rs485: true"),
        ({"transport": "tcp", "host": "plc", "local_echo": True}, "for a serial port"),
        ({"backup_host": "plc"}, "a serial line has none"),
    ],
)
def test_settings_that_cannot_be_are_told(given, says):
    with pytest.raises(ValidationError, match=says):
        modbus.Config(**{"id": "p", "type": "modbus", "transport": "rtu", "device": "/dev/ttyS0", **given})


async def test_a_port_without_rs485_says_so_and_is_closed():
    with bus() as line:
        async with running(modbus, config(line.port, rs485=True), tags("holding:1")) as rig:
            await rig.until(lambda: len(rig.downs) >= 1)
            before = open_files()
            await rig.until(lambda: len(rig.downs) >= 3)
            assert "does not know RS-485" in rig.downs[0][1]
            assert line.port in rig.downs[0][1]
            assert open_files() <= before


async def test_what_the_kernel_is_told_of_rs485(monkeypatch):
    """struct serial_rs485 of linux/serial.h: flags, delay before and after send in ms. A pty has no such call."""
    told, real = [], serial.serialposix.fcntl.ioctl

    def ioctl(fd, request, *arguments):
        if request not in (serial.serialposix.TIOCGRS485, serial.serialposix.TIOCSRS485):
            return real(fd, request, *arguments)
        if request == serial.serialposix.TIOCSRS485:
            told.append(list(arguments[0][:3]))
        return 0

    monkeypatch.setattr(serial.serialposix.fcntl, "ioctl", ioctl)
    more = {"delay_rts_before_send_s": 0.003, "delay_rts_after_send_s": 0.001}
    with bus() as line:
        for given, flags in (({}, 0b11), ({"rts_high_during_send": False, "rts_high_after_send": True}, 0b101)):
            async with running(modbus, config(line.port, rs485=True, **more, **given), tags("holding:1")) as rig:
                await rig.until(lambda: rig.good)
            assert told[-1] == [flags, 3, 1]
        async with running(modbus, config(line.port, rs485=True, rx_during_tx=True), tags("holding:1")) as rig:
            await rig.until(lambda: rig.good)
        assert told[-1] == [0b10011, 0, 0]


async def test_a_line_that_echoes_is_read_and_written_through():
    with bus() as line:
        line.echoes = True
        told = tags("holding:1", "holding:300", writable=True)
        async with running(modbus, config(line.port, local_echo=True), told) as rig:
            await rig.until(lambda: rig.good)
            assert rig.value.tolist() == [7.0, 2100.0]
            answer = await rig.write(Write("w", 1, 5.0))
            assert answer.ok, answer
            await rig.until(lambda: rig.value[1] == 5.0)
            assert not rig.downs


async def test_an_echo_that_is_not_expected_is_no_value_and_no_echo_where_one_is_says_so():
    with bus() as line:
        line.echoes = True
        async with running(modbus, config(line.port), tags("holding:1")) as rig:
            await rig.until(lambda: len(rig.batches) + len(rig.downs) >= 3)
            assert {float(v) for b in rig.batches for v in b.value} <= {7.0}
        line.echoes, line.delay_s = False, {1: None}
        async with running(modbus, config(line.port, local_echo=True), tags("holding:1")) as rig:
            await rig.until(lambda: rig.downs)
            assert "no echo of our request" in rig.downs[0][1]


async def test_a_bus_that_garbles_our_own_request_says_so():
    with bus() as line:
        line.noise = {1: b"\x01\x03\x55\x55"}  # two talk at once: what comes back is not what was sent
        async with running(modbus, config(line.port, local_echo=True), tags("holding:1")) as rig:
            await rig.until(lambda: rig.downs)
            assert "our own request came back as 01 03 55 55, expected 01 03 00 01" in rig.downs[0][1]


async def test_a_wrong_checksum_is_counted_as_malformed_and_shown():
    with bus() as line:
        line.noise = {1: b"\x01\x03\x02\x00\x07\x00\x00"}
        async with running(modbus, config(line.port), tags("holding:1")) as rig:
            await rig.until(lambda: rig.downs)
            assert "only 7 bytes that are none: 01 03 02 00 07 00 00" in rig.downs[0][1]
            assert (rig.meters.read("plc3/malformed"), rig.meters.read("plc3/timeouts")) == (1, 0)


async def test_a_dead_unit_costs_the_others_one_timeout():
    """Unit 9 is silent; the request that follows its timeout goes to unit 10 at once."""
    with bus() as line:
        line.delay_s = {9: None}
        link = Link(config(line.port), 0.2)
        for unit in (8, 9, 10, 9, 8):
            with suppress(TimeoutError):
                await link.read(Block(unit, Table.HOLDING, unit, 1, (0,)), once=True)
        link.close()
        times = [(unit, time_s) for time_s, unit, _ in line.asked]
        assert [unit for unit, _ in times] == [8, 9, 10, 9, 8]
        waits_s = [b - a for (_, a), (_, b) in pairwise(times)]
        assert waits_s[1] < 0.3  # 9 timed out, 10 was asked
        assert 0.3 < waits_s[2] < 0.6  # an answer of 9 could still come
        assert waits_s[3] < 0.3


async def test_a_slow_unit_does_not_break_into_the_answers_of_the_others_twice():
    """Unit 9 answers 50 ms after its timeout. That it was late is seen once; from then on all wait for it."""
    with bus() as line:
        line.delay_s = {9: 0.15}
        told = [Tag(f"rig/{u}", f"{u}/holding:{u}", "uint16", scan_s=0.4) for u in (8, 9, 10)]
        async with running(modbus, config(line.port, timeout_s=0.1, retry_unit_s=0.4), told) as rig:
            await rig.until(lambda: len(rig.batches) >= 8, within_s=8.0)
            assert not rig.downs
            values = {(int(t), float(v)) for b in rig.batches for t, v in zip(b.tag, b.value, strict=True) if v == v}
            assert values == {(0, 56.0), (2, 70.0)}
            later = rig.batches[3:]
            assert all(b.value[list(b.tag).index(2)] == 70.0 for b in later)


async def test_unit_0_of_a_serial_line_cannot_be_read():
    (problem,) = modbus.check(config("/dev/ttyS0"), tags("0/holding:1"))
    assert "unit 0 is all units of a serial line" in problem[1]
    assert modbus.check(modbus.Config(id="p", type="modbus", host="plc", unit_id=0), tags("holding:1")) == []
