"""An array as others see it: clients of the OPC UA server, and `edgetwin read` of the daemon's feed."""

import anyio
import numpy as np
import pytest
from asyncua import ua
from feed_taps import catalogue, snapshot
from opcua_rig import Rig, connected, make_certificate, running, until

from agent.cli.reading import _from_daemon
from agent.core import quality
from agent.core.nouns import Kind, Point, Role

pytestmark = pytest.mark.anyio

ZONES = "tank/oven/zones"
CATALOGUE = catalogue([Point(ZONES, Role.MEASURED, kind=Kind.ARRAY, unit="Cel", eu_lo=0.0, eu_hi=900.0),
                       Point("tank/oven/power", Role.MEASURED)])  # fmt: skip


def shown(zones, seq=1, status=quality.GOOD, power=1.0):
    arrays = {} if zones is None else {0: np.array(zones, np.float64)}
    states = np.array([status, quality.GOOD], np.uint32)
    return snapshot([np.nan, power], seq=seq, arrays=arrays, status=states)


async def test_a_client_reads_and_is_told_of_an_array(tmp_path):
    identity = make_certificate(tmp_path, "scada")
    rig = Rig(tmp_path)
    rig.trust(identity[0])
    async with running(rig, CATALOGUE, shown([1.5, 2.0, np.nan])), connected(rig.client(identity)) as client:
        node = client.get_node(f"ns=1;s={ZONES}")

        async def reads(values):
            found = (await node.read_data_value(raise_on_bad_status=False)).Value.Value
            return found is not None and np.array_equal(found, values, equal_nan=True)

        await until(lambda: reads([1.5, 2.0, np.nan]))
        rank = await node.read_attribute(ua.AttributeIds.ValueRank)
        assert rank.Value.Value == ua.ValueRank.OneDimension
        assert await node.read_data_type() == ua.NodeId(ua.ObjectIds.Double)
        value = await node.read_data_value()
        assert (value.Value.VariantType, value.Value.is_array) == (ua.VariantType.Double, True)
        await until(lambda: rig.meters.read("opcua/values_written") == 2)
        rig.taps.put(shown([1.5, 2.0, np.nan], seq=2, power=2.0))
        await until(lambda: rig.meters.read("opcua/values_written") == 3)  # the power alone
        rig.taps.put(shown([4.0], seq=3, power=2.0))
        await until(lambda: reads([4.0]))
        rig.taps.put(shown(None, seq=4, status=quality.BAD_NO_COMMUNICATION, power=2.0))

        async def bad():
            return (
                await node.read_data_value(raise_on_bad_status=False)
            ).StatusCode.value == quality.BAD_NO_COMMUNICATION

        await until(bad)
        assert rig.meters.read("opcua/errors") == 0


async def test_read_shows_the_array_of_the_daemon(tmp_path):
    rig = Rig(tmp_path)
    async with running(rig):
        rig.taps.put(CATALOGUE, shown([1.5, 2.0]))
        await until(rig.feed_config.socket.exists)
        with anyio.fail_after(10):
            (reading,) = await _from_daemon(rig.feed_config.socket, [ZONES], 5.0)
    assert (reading.value, reading.status, reading.unit) == ([1.5, 2.0], quality.GOOD, "Cel")
