"""Every bus trace in tests/fixtures, played to the driver: what is read is what was read then.

`edgetwin trace FILE SOURCE --out NAME.trace` records a device; its two files, put there, are a test.
"""

import json
import math
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from driver_rig import running
from serial_line import SocatPair

from agent.core.nouns import Tag
from agent.drivers import modbus
from hil.bench import port_of, started

FIXTURES = sorted((Path(__file__).parents[1] / "fixtures").glob("*.trace"))
SERIAL = ("rtu", "ascii")


def described(trace):
    """Settings, tags, and what was read."""
    beside = json.loads(trace.with_suffix(".json").read_text())
    return beside["source"], [tag(**fields) for fields in beside["tags"]], beside["read"]


def tag(enum=None, **fields):
    return Tag(**fields, enum={int(k): v for k, v in (enum or {}).items()})


@contextmanager
def over_network(trace, settings):
    """The recorded device behind TCP, whatever it was recorded over; gives its settings."""
    with started("replay", "--trace", trace, "--port", "0") as device:
        rest = {k: v for k, v in settings.items() if k not in ("parity", "baudrate", "stopbits", "transport")}
        transport = device.ready.split()[-1]
        yield modbus.Config(**rest, transport=transport, host="127.0.0.1", port=port_of(device.ready))


@contextmanager
def over_serial_line(trace, settings):
    """The recorded device at the end of a serial line."""
    if shutil.which("socat") is None:
        pytest.skip("needs socat (apt: socat)")
    with SocatPair() as line, started("replay", "--trace", trace, "--device", line.theirs):
        yield modbus.Config(**settings, device=line.ours)


async def reads_the_same(config, tags, read):
    async with running(modbus, config, tags) as rig:
        names = [read[t.id]["status"] for t in tags]
        await rig.until(lambda: len(rig.batches) >= 2 and rig.named() == names, within_s=10.0)
        for row, t in enumerate(tags):
            value = read[t.id]["value"]
            if isinstance(value, str):
                assert rig.texts[row] == value
            elif value is None:
                assert math.isnan(rig.value[row])
            elif not isinstance(value, list):
                assert rig.value[row] == value


@pytest.mark.anyio
@pytest.mark.parametrize("trace", FIXTURES, ids=lambda p: p.stem)
async def test_a_recorded_device_is_read_as_it_was(trace):
    settings, tags, read = described(trace)
    with over_network(trace, settings) as config:
        await reads_the_same(config, tags, read)


@pytest.mark.anyio
@pytest.mark.parametrize("trace", [f for f in FIXTURES if f.stem.endswith(SERIAL)], ids=lambda p: p.stem)
async def test_a_device_recorded_on_a_serial_line_can_be_played_there(trace):
    settings, tags, read = described(trace)
    with over_serial_line(trace, settings) as config:
        await reads_the_same(config, tags, read)


@pytest.mark.anyio
async def test_blocks_that_were_not_recorded_are_answered_from_those_that_were():
    trace = next(f for f in FIXTURES if f.stem == "libmodbus-exceptions")
    settings, tags, read = described(trace)
    with over_network(trace, {**settings, "max_registers": 2}) as config:
        await reads_the_same(config, tags, read)


def test_fixtures_are_small_and_tell_nothing_of_where_they_were_made():
    assert len(FIXTURES) >= 5
    for trace in FIXTURES:
        assert trace.stat().st_size < 50_000
        assert not {"host", "device", "port"} & described(trace)[0].keys()


def test_what_is_no_trace_is_told(tmp_path):
    (tmp_path / "a.trace").write_text('{"t_ns": 1}\n')
    command = [sys.executable, "-m", "hil.replay", "--trace", str(tmp_path / "a.trace")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "a.trace:1: no line of a bus trace" in done.stderr
