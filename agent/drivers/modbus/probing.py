"""A first look at a Modbus endpoint, for a person at the command line."""

from __future__ import annotations

from agent.core.address import Table
from agent.core.blocks import Block
from agent.drivers.modbus.config import Config
from agent.drivers.modbus.link import Link, Refused
from agent.runtime import clock


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


async def _line(link: Link, unit: int, table: Table) -> str:
    started_ns = clock.now_ns()
    try:
        values, t_ns = await link.read(Block(unit, table, 0, 1, (0,)))
    except Refused as refused:
        return str(refused).split(": ", 1)[-1]
    return f"{int(values[0])} (0x{int(values[0]):04X}), {(t_ns - started_ns) * 1e-6:.1f} ms"
