"""Modbus: reads tags by scan class in the fewest requests, over TCP, TLS, UDP or a serial line; writes with read-back.

agent/core/address.py     how an address is written
agent/core/byteorder.py   byte orders by byte position, and their names elsewhere
agent/core/registers.py   types
agent/core/blocks.py      which requests
agent/core/decoding.py    decoding of a block
agent/core/breaker.py     when something that does not answer is tried again
config.py  advising.py    what can be set, what is wrong with it, what would be better
planning.py               which tags are read together, and what is wrong with them
scan.py  layout.py        one scan class: its requests, and their answers as columns
units.py  schedule.py     which units answer; which request comes next
polling.py  writing.py    the loops; writes with read-back
writable.py               what a write puts where
probing.py                a first look for a person
wire/                     one request at a time to an endpoint or its backup, and what becomes of it
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from agent.core.nouns import Answer, Batch, Meter, Tag, Write
from agent.drivers.modbus.config import Config
from agent.drivers.modbus.planning import TAG_OPTIONS, check, units_of
from agent.drivers.modbus.units import meters_of
from agent.runtime import meters as counted

__all__ = ["TAG_OPTIONS", "Config", "advice", "check", "decodings", "meters", "probe", "run"]

METERS = (
    Meter("requests", "1", "Requests sent"),
    Meter("errors", "1", "Requests that failed, of whatever class"),
    Meter("timeouts", "1", "Requests that were not answered in time"),
    Meter("refused", "1", "Requests that the device answered with an exception"),
    Meter("malformed", "1", "Answers that were none: cut, garbled or of another request"),
    Meter("lost", "1", "Connections closed or refused"),
    Meter("rtt_s", "s", "Newest round trip"),
    Meter("missed", "1", "Polls left out because one before took too long"),
)

CERTIFICATE = (Meter("certificate_days", "d", "Days until our certificate for it ends"),)
BACKUP = (Meter("backup", "1", "1 while the backup is read", {0: "main", 1: "backup"}),)


def meters(config: Config, tags: Sequence[Tag]) -> Sequence[Meter]:
    """What is counted of the endpoint, and of its units where it has several."""
    backup = BACKUP if config.backup_host else ()
    certificate = CERTIFICATE if config.certificate else ()
    return (*METERS, *backup, *certificate, *meters_of(units_of(config, tags)))


def advice(config: Config, tags: Sequence[Tag]) -> list[str]:
    """What would be better, though it can be used as it is."""
    from agent.drivers.modbus import advising

    return advising.advice(config, tags)


async def run(
    config: Config,
    tags: Sequence[Tag],
    put: Callable[[Batch], None],
    writes: AsyncIterator[tuple[Write, Callable[[Answer], None]]],
) -> None:
    """Poll until cancelled. OSError (TimeoutError among them): the endpoint does not answer, start me again."""
    from agent.drivers.modbus import polling  # pymodbus costs 150 ms of import

    counted.begin(config.id, meters(config, tags))
    await polling.run(config, tags, put, writes)


async def probe(config: Config) -> str:
    """What the endpoint answers at offset 0 of each table, and how fast, in words. OSError if it does not."""
    from agent.drivers.modbus import probing

    return await probing.probe(config)


async def decodings(config: Config, addresses: Sequence[str], tags: Sequence[Tag]) -> str:
    """What lies at addresses and tags in every byte order, side by side. ValueError (an address), OSError."""
    from agent.drivers.modbus import probing

    return await probing.decodings(config, addresses, tags)
