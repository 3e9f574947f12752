"""One Modbus connection on a bad wire to a server that is not ours (fault table rows 22, 23): whose answer is it?"""

import anyio
import pytest
import wire_proxy as wires
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.address import Table
from agent.core.blocks import Block
from agent.drivers import modbus
from agent.drivers.modbus.wire.link import Link, NoAnswerError, Refused
from agent.runtime import meters

pytestmark = pytest.mark.usefixtures("no_traceback")


def config(port, **more):
    return modbus.Config(**{"id": "plc1", "type": "modbus", "host": "127.0.0.1", "port": port, **more})


@pytest.mark.anyio
@pytest.mark.parametrize("fault", [wires.held_until_next, wires.merged], ids=["held", "merged"])
async def test_an_answer_held_until_the_next_one_is_never_taken_for_it(server, fault):
    """What a gateway does that gives the late answer of one connection to the next. Both blocks are of one length."""
    async with wires.wire_to(server.port) as wire:
        meters.install(meters.Meters())
        link = Link(config(wire.port, retries=0), 0.15)
        try:
            for _ in range(3):
                wire.fault = fault
                with pytest.raises(TimeoutError):
                    await link.read(Block(1, Table.INPUT, 1, 1, (0,)))
                values, _ = await link.read(Block(1, Table.INPUT, 300, 1, (0,)))
                assert values.tolist() == [2100]
        finally:
            link.close()


@pytest.mark.anyio
async def test_unit_0_takes_no_answer_of_another_unit(server):
    async with wires.wire_to(server.port) as wire:
        meters.install(meters.Meters())
        wire.fault = wires.changed(wires.flipped(6, 0x02))
        link = Link(config(wire.port, retries=0), 5.0)
        try:
            with pytest.raises(NoAnswerError, match=r"unit 2, function 4, expected \d+, 0, 4"):
                await link.read(Block(0, Table.INPUT, 1, 1, (0,)))
        finally:
            link.close()


edits = st.one_of(
    st.tuples(st.integers(0, 8), st.integers(0, 255)).map(lambda e: wires.replaced(*e)),
    st.tuples(st.integers(0, 8), st.integers(0, 7).map(lambda bit: 1 << bit)).map(lambda e: wires.flipped(*e)),
    st.integers(0, 12).map(lambda n: lambda f: f[:n]),
    st.integers(-6, 6).map(lambda n: lambda f: wires.resized(f, n) if n else f),
    st.binary(max_size=12).map(lambda more: lambda f: f + more),
    st.binary(max_size=12).map(lambda more: lambda f: more + f),
    st.integers(1, 3).map(lambda n: lambda f: f * n),
)


async def read_in_the_end(link, block):
    """The values of a block on a healed wire: a loaded machine may miss a short timeout, never give a wrong value."""
    with anyio.fail_after(5.0):
        while True:
            try:
                return (await link.read(block))[0].tolist()
            except TimeoutError:
                continue


def words(start, count=1):
    """A block of input registers and what the server has there."""
    return Block(1, Table.INPUT, start, count, (0,)), [7 * i for i in range(start, start + count)]


async def read_if_answered(link, block, expected):
    """Read once: the true values, or an error that names the block."""
    try:
        assert (await link.read(block))[0].tolist() == expected
    except (OSError, Refused) as error:
        assert f"{block.table.word}:{block.start}+" in str(error)


def on_a_wire(server, timeout_s, scenario):
    """Run `scenario(wire, link)` in an event loop of its own, as each example of Hypothesis needs."""

    async def whole():
        meters.install(meters.Meters())
        async with wires.wire_to(server.port) as wire:
            link = Link(config(wire.port, retries=0), timeout_s)
            try:
                await scenario(wire, link)
            finally:
                link.close()

    anyio.run(whole)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(changes=st.lists(edits, min_size=1, max_size=3), start=st.integers(0, 900), count=st.integers(1, 3))
def test_no_change_of_what_is_around_the_values_makes_a_wrong_value(server, changes, start, count):
    """The values themselves are TCP's to protect: no checksum of Modbus is about them."""

    async def changed(to, frame):
        for change in changes:
            frame = change(frame)
        await (to.send(frame) if frame else wires.frozen(to, frame))

    async def scenario(wire, link):
        block, expected = words(start, count)
        wire.fault = changed
        await read_if_answered(link, block, expected)
        wire.fault = wires.clean
        assert await read_in_the_end(link, block) == expected

    on_a_wire(server, 0.03, scenario)


no_transaction = wires.changed(wires.replaced(0, 0, 0))
fates = st.sampled_from([wires.clean, wires.held_until_next, wires.merged, wires.twice, wires.with_the_last,
                         wires.delayed(0.03), wires.frozen, wires.cut, no_transaction])  # fmt: skip


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(fates, min_size=2, max_size=5))
def test_in_no_order_of_late_lost_and_doubled_answers_is_one_taken_for_another(server, fates):
    async def scenario(wire, link):
        for i, fate in enumerate(fates):
            wire.fault = fate
            await read_if_answered(link, *words(100 * i + 1))
        wire.fault = wires.clean
        block, expected = words(1000)
        assert await read_in_the_end(link, block) == expected

    on_a_wire(server, 0.02, scenario)
