"""The Modbus driver over UDP and over RTU in TCP: a pymodbus server. No number tells RTU answers apart."""

import pytest
from driver_rig import SLACK_S, running
from peers import pymodbus_server
from pydantic import ValidationError

from agent.core.nouns import Tag, Write
from agent.drivers import modbus

PERIOD_S = 0.5


@pytest.mark.anyio
@pytest.mark.parametrize("transport", ["udp", "rtu-over-tcp"])
async def test_reads_writes_and_survives_a_silent_device(transport):
    addresses = ("holding:1", "holding:2", "holding:300")
    tags = [Tag(f"rig/a/{a}", a, "uint16", scan_s=PERIOD_S, writable=True) for a in addresses]
    with pymodbus_server(transport) as peer:
        config = modbus.Config(id="plc4", type="modbus", transport=transport, host="127.0.0.1", port=peer.port)
        async with running(modbus, config, tags) as rig:
            await rig.until(lambda: rig.good)
            assert rig.value.tolist() == [7.0, 14.0, 2100.0]
            answer = await rig.write(Write("w", 1, 99.0))
            assert answer.ok, answer
            await rig.until(lambda: rig.value[1] == 99.0)
            peer.freeze()
            try:
                await rig.until(lambda: rig.bad, within_s=2 * PERIOD_S + SLACK_S)
            finally:
                peer.thaw()
            await rig.until(lambda: rig.good)
            peer.kill()
            await rig.until(lambda: rig.bad, within_s=2 * PERIOD_S + SLACK_S)
            peer.start()
            await rig.until(lambda: rig.good)
        seen = {(int(t), float(v)) for b in rig.batches for t, v in zip(b.tag, b.value, strict=True) if v == v}
        assert seen == {(0, 7.0), (1, 14.0), (1, 99.0), (2, 2100.0)}


@pytest.mark.parametrize("transport", ["tcp", "udp", "rtu-over-tcp", "rtu", "ascii"])
def test_each_transport_says_what_it_needs(transport):
    needed = "device" if transport in ("rtu", "ascii") else "host"
    other = {"host": "plc"} if needed == "device" else {"device": "/dev/ttyS0"}
    with pytest.raises(ValidationError, match=f"transport {transport} needs {needed}"):
        modbus.Config(id="plc", type="modbus", transport=transport, **other)
