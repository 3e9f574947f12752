"""Writes by every function against libmodbus in C: 5, 6, 15, 16, 22; parts of registers, arrays, what is refused."""

import numpy as np
import pytest
from driver_rig import running
from peers import free_port, libmodbus

from agent.core.address import Table
from agent.core.blocks import Block
from agent.core.nouns import Tag, Write
from agent.drivers import modbus
from agent.drivers.modbus.wire.link import Link

pytestmark = pytest.mark.anyio

WRITES = 1990  # the holding register in which the peer counts them


@pytest.fixture(scope="module")
def server():
    with libmodbus() as peer:
        yield peer


def config(port, **more):
    return modbus.Config(id="plc1", type="modbus", host="127.0.0.1", port=port, **more)


def tag(address, kind="uint16", **more):
    return Tag(f"rig/{address}", address, kind, **{"scan_s": 0.2, "writable": True, **more})


async def registers(port, start, count=1, table=Table.HOLDING):
    """What lies there, read by a link of its own."""
    link = Link(config(port), 1.0)
    values, _ = await link.read(Block(1, table, start, count, (0,)))
    link.close()
    return [int(v) for v in values]


async def written(rig, *writes):
    for write in writes:
        answer = await rig.write(write)
        assert answer.ok, answer
        assert answer.id == write.id


async def test_a_bit_and_a_byte_are_written_and_the_rest_of_the_register_stays(server):
    tags = [tag("holding:200"), tag("holding:200", "bit3"), tag("holding:200", "uint8h"), tag("holding:200", "bool")]
    async with running(modbus, config(server.port), tags) as rig:
        await rig.until(lambda: rig.good)
        await written(rig, Write("1", 0, 0x1234))
        for write, expected in (
            (Write("2", 1, 1.0), 0x123C),
            (Write("3", 1, 0.0), 0x1234),
            (Write("4", 2, 0xAB), 0xAB34),
            (Write("5", 3, 1.0), 0xAB35),
        ):
            await written(rig, write)
            assert await registers(server.port, 200) == [expected]


async def test_arrays_of_registers_and_of_coils(server):
    """The tags themselves are written here; that arrays are read is the matter of other tests."""
    link = Link(config(server.port), 1.0)
    await link.write(1, Table.HOLDING, 210, [1, 2, 3])
    await link.write(1, Table.COIL, 210, [1, 0, 0, 1, 0, 0, 0, 0, 1, 1])
    link.close()
    assert await registers(server.port, 209, 5) == [0, 1, 2, 3, 0]
    assert await registers(server.port, 209, 12, Table.COIL) == [0, 1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0]


async def test_a_device_without_mask_write_is_left_alone_unless_said(server):
    tags = [tag("8/holding:220", "bit3")]
    await _write_raw(server.port, 220, 0x00F0)
    async with running(modbus, config(server.port), tags) as rig:
        await rig.until(lambda: rig.good)
        answer = await rig.write(Write("1", 0, 1.0))
        assert not answer.ok
        assert "no mask write (function 22)" in answer.text
        assert "mask_write: emulate" in answer.text
        assert await registers(server.port, 220) == [0x00F0]
    async with running(modbus, config(server.port, mask_write="emulate"), tags) as rig:
        await rig.until(lambda: rig.good)
        await written(rig, Write("2", 0, 1.0))
        assert await registers(server.port, 220) == [0x00F8]
        await written(rig, Write("3", 0, 0.0))
        assert await registers(server.port, 220) == [0x00F0]


async def _write_raw(port, start, value):
    link = Link(config(port), 1.0)
    await link.write(1, Table.HOLDING, start, [value])
    link.close()


async def test_a_device_without_single_writes_is_written_by_the_others(server):
    tags = [tag("7/holding:230"), tag("7/coil:230", "bool")]
    async with running(modbus, config(server.port), tags) as rig:
        await rig.until(lambda: rig.good)
        for row in (0, 1):
            answer = await rig.write(Write("1", row, 1.0))
            assert not answer.ok
            assert "exception 1 (function not supported)" in answer.text
    async with running(modbus, config(server.port, write_multiple=True), tags) as rig:
        await rig.until(lambda: rig.good)
        await written(rig, Write("2", 0, 5.0), Write("3", 1, 1.0))
        assert await registers(server.port, 230) == [5]
        assert await registers(server.port, 230, 1, Table.COIL) == [1]


async def test_a_write_that_was_not_answered_in_time_is_unknown_and_not_sent_again(server):
    """Unit 9 never answers; the peer counts what reaches it."""
    tags = [tag("9/holding:240"), tag("1/holding:241")]
    before = (await registers(server.port, WRITES))[0]
    async with running(modbus, config(server.port, timeout_s=0.1, retries=3), tags) as rig:
        await rig.until(lambda: rig.named()[1] == "Good")
        answer = await rig.write(Write("1", 0, 5.0))
        assert not answer.ok
        assert "no answer within 0.1 s; it is not known whether it was written" in answer.text
    assert (await registers(server.port, WRITES))[0] == before + 1


async def test_where_nothing_could_be_sent_nothing_was_written():
    async with running(modbus, config(free_port()), [tag("holding:1")]) as rig:
        answer = await rig.write(Write("1", 0, np.float64(5.0)))
        assert not answer.ok
        assert "nothing was written" in answer.text or "the driver stopped" in answer.text
