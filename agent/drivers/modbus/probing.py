"""A first look at a Modbus endpoint, for a person at the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from agent.core.address import Address, Table, parse
from agent.core.blocks import Block, Limits, Reading, why_not
from agent.core.byteorder import named, positions
from agent.core.nouns import Tag
from agent.core.registers import NUMBERS
from agent.drivers.modbus.config import Config
from agent.drivers.modbus.planning import limits_of
from agent.drivers.modbus.wire.answers import Values
from agent.drivers.modbus.wire.link import Link, Refused
from agent.runtime import clock

MODICON = {Table.COIL: 0, Table.DISCRETE: 1, Table.INPUT: 3, Table.HOLDING: 4}
# (types, registers, orders, characters a column): what is shown side by side.
ONE = (("int16", "uint16"), 1, ("ABCD", "BADC"), 14)
TWO = (("float32", "int32", "uint32"), 2, ("ABCD", "CDAB", "BADC", "DCBA"), 14)
FOUR = (("float64", "int64", "uint64"), 4, (*TWO[2], "CDABGHEF", "EFGHABCD"), 22)
LIKELY = (1e-4, 1e7)


async def probe(config: Config) -> str:
    """What the unit answers at offset 0 of each table and how fast: one line each. OSError if it does not answer."""
    link = Link(config, config.timeout_s or 1.0)
    lines = [f"{config.where} unit {config.unit_id}"]
    try:
        for table in Table:
            lines.append(f"  {table.word + ':0':12}{await _line(link, config.unit_id, table)}")
    finally:
        link.close()
    return "\n".join(lines)


def _forbidden(config: Config, at: Address, count: int = 1) -> str:
    """Why registers or bits are not to be read, as words that follow their name; empty where they may be."""
    return why_not(Reading(at, count, ()), Limits(forbidden=limits_of(config).forbidden))


async def _line(link: Link, unit: int, table: Table) -> str:
    if why := _forbidden(link.config, Address(unit, table, 0)):
        return f"not read: it {why}"
    started_ns = clock.now_ns()
    try:
        values, t_ns = await link.read(Block(unit, table, 0, 1, (0,)))
    except Refused as refused:
        return str(refused).split(": ", 1)[-1]
    return f"{int(values[0])} (0x{int(values[0]):04X}), {(t_ns - started_ns) * 1e-6:.1f} ms"


async def decodings(config: Config, addresses: Sequence[str], tags: Sequence[Tag]) -> str:
    """What lies at addresses and tags, in every byte order side by side. ValueError, OSError."""
    asked: list[tuple[str, Tag | None]] = [*((text, None) for text in addresses), *((t.address, t) for t in tags)]
    wanted = [(_full(config, text), tag) for text, tag in asked]
    link = Link(config, config.timeout_s or 1.0)
    try:
        return "\n".join([line for at, tag in wanted for line in await _shown(link, at, tag)])
    finally:
        link.close()


def _full(config: Config, text: str) -> Address:
    at = parse(text, config.address_base)
    return replace(at, unit=config.unit_id) if at.unit is None else at


async def _shown(link: Link, at: Address, tag: Tag | None) -> list[str]:
    head = f"{at}, PDU offset {at.offset} (0x{at.offset:04X}), Modicon {MODICON[at.table]}x{at.offset + 1:05d}"
    head = f"{tag.id}: {head}" if tag is not None else head
    if why := _forbidden(link.config, at):
        return [head, f"  not read: it {why}"]
    try:
        values = await _read(link, at, 4 if tag is not None and "64" in tag.type else 2)
    except Refused as refused:
        return [head, f"  {str(refused).split(': ', 1)[-1]}"]
    if at.table.bits:
        return [head, f"  {int(values[0])}"]
    return [f"{head}: {' '.join(f'{int(v):04X}' for v in values)}", *table(values.tobytes(), tag)]


async def _read(link: Link, at: Address, most: int) -> Values:
    """The registers from an address, as many as there are up to `most`; Refused if there is not even one."""
    count = 1 if at.table.bits else min(most, 0x10000 - at.offset)
    while _forbidden(link.config, at, count):
        count //= 2
    while True:
        try:
            return (await link.read(Block(at.unit or 0, at.table, at.offset, count, (0,))))[0]
        except Refused:
            if count == 1:
                raise
            count //= 2


def table(content: bytes, tag: Tag | None = None) -> list[str]:
    """The numbers that registers (as bytes, high byte first) can be: lines of text.

    * marks a float of usual size, > what a tag says it is.
    """
    lines: list[str] = []
    for kinds, registers, orders, width in (FOUR, TWO, ONE):
        if len(content) < 2 * registers:
            continue
        part = content[: 2 * registers]
        lines.append("  " + " " * 8 + "".join(f"{order:>{width}}" for order in orders))
        for kind in kinds:
            lines.append(f"  {kind:8}" + "".join(f"{cell:>{width}}" for cell in _cells(kind, orders, part, tag)))
    return lines


def _cells(kind: str, orders: Sequence[str], content: bytes, tag: Tag | None) -> Iterator[str]:
    said = (tag.type.strip(), named(tag.order)) if tag is not None else None
    for order in orders:
        number = decoded(content, kind, order)
        likely = kind.startswith("float") and (number == 0 or LIKELY[0] <= abs(number) < LIKELY[1])
        text = f"{number:.6g}" if kind.startswith("float") else f"{number:d}"
        yield ("> " if (kind, order) == said else "") + text + ("*" if likely else "")


def decoded(content: bytes, kind: str, order: str) -> float | int:
    """The number that these bytes are as a type in an order."""
    wire = bytes(content[at] for at in positions(order, len(content)))
    number: float | int = np.frombuffer(wire, NUMBERS[kind])[0].item()
    return number
