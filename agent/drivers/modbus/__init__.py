"""Modbus: reads tags by scan class in the fewest requests, over TCP, UDP or a serial line, and writes with read-back.

agent/core/address.py     how an address is written
agent/core/byteorder.py   byte orders by byte position, and their names elsewhere
agent/core/registers.py   types, decoding of a block
agent/core/blocks.py      which requests
config.py                 what can be set, and what is wrong with tags
link.py  answers.py       one connection, one request at a time; which bytes are an answer
scan.py  layout.py        one scan class: its requests, and their answers as columns
polling.py  writing.py    the loops; writes with read-back
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from agent.core.nouns import Answer, Batch, Tag, Write
from agent.drivers.modbus.config import Config, check

__all__ = ["Config", "check", "probe", "run"]


async def run(
    config: Config,
    tags: Sequence[Tag],
    put: Callable[[Batch], None],
    writes: AsyncIterator[tuple[Write, Callable[[Answer], None]]],
) -> None:
    """Poll until cancelled. OSError (TimeoutError among them): the endpoint does not answer, start me again."""
    from agent.drivers.modbus import polling  # pymodbus costs 150 ms of import

    await polling.run(config, tags, put, writes)


async def probe(config: Config) -> str:
    """What the endpoint answers at offset 0 of each table, and how fast, in words. OSError if it does not."""
    from agent.drivers.modbus import probing

    return await probing.probe(config)
