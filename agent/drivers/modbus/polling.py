"""The loops of one endpoint: one for each scan class, one for writes, all on one connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

from agent.core.address import parse
from agent.core.nouns import Answer, Batch, Tag, Write
from agent.drivers.modbus.config import Config
from agent.drivers.modbus.link import Link
from agent.drivers.modbus.scan import ScanClass, Units
from agent.drivers.modbus.writing import serve
from agent.runtime import meters
from agent.runtime.pace import Pace
from agent.runtime.together import together


async def run(
    config: Config,
    tags: Sequence[Tag],
    put: Callable[[Batch], None],
    writes: AsyncIterator[tuple[Write, Callable[[Answer], None]]],
) -> None:
    """Poll each scan class and serve writes until cancelled or the endpoint does not answer (OSError)."""
    link = Link(config, config.timeout(tags))
    try:
        loops = [partial(poll, scan, link, put, config.id) for scan in classes(config, tags)]
        await together(*loops, partial(serve, writes, config, tags, link))
    finally:
        link.close()


def classes(config: Config, tags: Sequence[Tag]) -> list[ScanClass]:
    """One scan class for each period that occurs, the fastest first."""
    rows: dict[float, list[int]] = {}
    for row, tag in enumerate(tags):
        rows.setdefault(tag.scan_s, []).append(row)
    units = Units(frozenset(u for u in (unit_of(config, tag) for tag in tags) if u is not None))
    return [ScanClass(config, tags, rows[period_s], units) for period_s in sorted(rows)]


def unit_of(config: Config, tag: Tag) -> int | None:
    """The unit a tag is read from, None where its address cannot be read."""
    try:
        unit = parse(tag.address, config.address_base).unit
    except ValueError:
        return None
    return config.unit_id if unit is None else unit


async def poll(scan: ScanClass, link: Link, put: Callable[[Batch], None], source: str) -> None:
    """Poll at once, then at whole periods: no drift, whatever a poll takes."""
    pace = Pace(scan.period_s, f"{source}/missed")
    while True:
        put(await scan.poll(link))
        meters.current().turn(source)
        await pace.next()
