"""An idle ticker: ten loops that wake at each whole second and do nothing; at the end it prints its gaps as JSON.

python tests/bench/peer_ticker.py SECONDS
"""

import asyncio
import json
import sys
import time
from itertools import pairwise

LOOPS = 10


async def loop(until_ns):
    found = []
    while (now_ns := time.clock_gettime_ns(time.CLOCK_BOOTTIME)) < until_ns:
        await asyncio.sleep(1.0 - now_ns * 1e-9 % 1.0)
        found.append(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    return [later - sooner for sooner, later in pairwise(found)]


async def main(seconds):
    until_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + int(seconds * 1e9)
    gaps = await asyncio.gather(*(loop(until_ns) for _ in range(LOOPS)))
    print(json.dumps([gap for some in gaps for gap in some]))


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
