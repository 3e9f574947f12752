"""A bare pymodbus loop: reads the same registers in full blocks each second and decodes nothing.

python tests/bench/peer_bare.py PORT START COUNT
"""

import asyncio
import sys
import time

from pymodbus.client import AsyncModbusTcpClient

MOST = 124  # of 125: a float32 is not split


async def main(port, start, count):
    client = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0)
    await client.connect()
    print("ready", flush=True)
    while True:
        for at in range(start, start + count, MOST):
            await client.read_holding_registers(at, count=min(MOST, start + count - at), device_id=1)
        await asyncio.sleep(1.0 - time.clock_gettime(time.CLOCK_BOOTTIME) % 1.0)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
