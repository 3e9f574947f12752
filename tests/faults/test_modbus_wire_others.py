"""Rows 21, 22, 23 of the fault table where the wire is a serial line, or runs inside TLS: never a wrong value."""

import random
from dataclasses import replace

import anyio
import pytest
import wire_proxy as wires
from driver_rig import SLACK_S, running
from rtu_rig import bus, framed
from tls_rig import Authority, device_context, tls_end

from agent.core.nouns import Tag
from agent.drivers import modbus

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_traceback")]

PERIOD_S = 0.3
# Two blocks of one length: an RTU answer does not say which of them it is.
TAGS = [Tag(f"rig/{i}", f"holding:{i}", "uint16", scan_s=PERIOD_S) for i in (1, 300)]
TRUE = {(0, 7.0), (1, 2100.0)}


def values_seen(rig):
    return {(int(t), float(v)) for b in rig.batches for t, v in zip(b.tag, b.value, strict=True) if v == v}


def rtu(line, **more):
    return modbus.Config(
        **{"id": "plc1", "type": "modbus", "transport": "rtu", "device": line.port, "parity": "N", **more}
    )


def flipped(frame, at, bits=0xFF):
    return frame[:at] + bytes([frame[at] ^ bits]) + frame[at + 1 :]


SPOILED = {
    "silence": lambda f: b"",
    "a bit flipped in the value": lambda f: flipped(f, 4, 0x01),
    "a bit flipped in the checksum": lambda f: flipped(f, len(f) - 1, 0x80),
    "cut": lambda f: f[:-1],
    "the first byte lost": lambda f: f[1:],
    "another unit": lambda f: framed(2, f[1:-2]),
    "another function": lambda f: framed(1, b"\x04" + f[2:-2]),
    "a register too many": lambda f: framed(1, bytes([3, 4]) + f[3:-2] + b"\0\0"),
    "a function nobody asked for": lambda f: framed(1, b"\x2b\x0e\x01"),
    "garbage": lambda f: b"\xa5" * 40,
    "babble": lambda f: b"\x00\x01" * 600,
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
async def test_a_bad_serial_line_gives_no_value_and_is_read_again_when_it_is_good(spoil):
    with bus() as line:
        async with running(modbus, rtu(line), TAGS) as rig:
            await rig.until(lambda: rig.good)
            line.spoil = spoil
            await rig.until(lambda: rig.bad, within_s=2 * PERIOD_S + SLACK_S)
            line.spoil = lambda f: f
            await rig.until(lambda: rig.good)
            assert values_seen(rig) == TRUE
            assert rig.meters.read("plc1/errors") >= 1


@pytest.mark.parametrize("stalled_s", [0.05, 0.12, 0.2, 0.3, 0.45, 0.7])
async def test_answers_that_were_kept_back_are_never_taken_for_others(stalled_s):
    """A converter that hangs, then gives all that was asked at once: within, before and after the timeouts."""
    with bus() as line:
        async with running(modbus, rtu(line, timeout_s=0.1), TAGS) as rig:
            for _ in range(4):
                await rig.until(lambda: rig.good)
                line.stall()
                await anyio.sleep(stalled_s)
                line.go_on()
                before = len(rig.batches)
                await rig.until(lambda: len(rig.batches) > before + 1)  # noqa: B023
            assert values_seen(rig) == TRUE


async def test_a_late_answer_is_waited_for_before_the_request_is_repeated():
    """The first answer comes when the request could be repeated, that of the repeat while another block is asked."""
    with bus() as line:
        config = rtu(line, timeout_s=0.2)
        async with running(modbus, config, [replace(tag, scan_s=1.5) for tag in TAGS]) as rig:
            await rig.until(lambda: rig.good)
            for _ in range(2):
                line.next_delays_s = [0.45, 0.24, 0.24]
                before = len(rig.batches)
                await rig.until(lambda: not line.next_delays_s and len(rig.batches) > before + 1)  # noqa: B023
            assert values_seen(rig) == TRUE
            assert rig.meters.read("plc1/timeouts") >= 2


async def test_a_device_that_is_now_and_then_late_is_never_read_out_of_step():
    """Each answer comes after 0 to 2.2 timeouts, by chance."""
    chance = random.Random(7)
    with bus() as line:
        async with running(modbus, rtu(line, timeout_s=0.1), TAGS) as rig:
            for _ in range(60):
                line.delay_s = {1: chance.choice([0.0, 0.0, 0.05, 0.13, 0.18, 0.22])}
                await anyio.sleep(0.13)
            line.delay_s = {}
            await rig.until(lambda: rig.good)
            assert values_seen(rig) == TRUE
            assert rig.meters.read("plc1/timeouts") >= 3


INSIDE_TLS = {
    "frozen": wires.frozen,
    "cut": wires.cut,
    "cut within an answer": wires.cut_within,
    "truncated": wires.changed(lambda f: f[:-1]),
    "transaction flipped": wires.changed(wires.flipped(1)),
    "another unit": wires.changed(wires.flipped(6, 0x02)),
    "byte count too great": wires.changed(wires.flipped(8)),
    "garbage": wires.changed(lambda f: b"\xa5" * 40),
}


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("certificates"))
    made.own = made.issue("gateway")
    made.plc = made.issue("plc", ["127.0.0.1"])
    return made


@pytest.mark.parametrize("fault", INSIDE_TLS.values(), ids=INSIDE_TLS)
async def test_a_broken_wire_inside_tls_gives_no_value_and_the_connection_is_renewed(server, plant, fault):
    tags = [Tag(f"rig/{i}", f"input:{i}", "uint16", scan_s=PERIOD_S) for i in (1, 300)]
    context = device_context(*plant.plc, clients=plant.file)
    certificate, key = plant.own
    async with wires.wire_to(server.port) as wire, tls_end(wire.port, context) as (end, port):
        config = modbus.Config(
            id="plc1", type="modbus", transport="tls", host="127.0.0.1", port=port, ca_file=plant.file,
            certificate=certificate, private_key=key,
        )  # fmt: skip
        async with running(modbus, config, tags) as rig:
            await rig.until(lambda: rig.good)
            connections = end.connections
            wire.fault = fault
            await rig.until(lambda: rig.bad, within_s=2 * PERIOD_S + SLACK_S)
            wire.fault = wires.clean
            await rig.until(lambda: rig.good)
            assert end.connections > connections
            assert values_seen(rig) == TRUE
