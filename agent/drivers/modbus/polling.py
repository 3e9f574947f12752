"""The loops of one endpoint: one that makes the requests of its schedule, one for writes, both on one connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial

import anyio

from agent.core.breaker import Patience
from agent.core.nouns import Answer, Batch, Tag, Write
from agent.drivers.modbus.config import Config
from agent.drivers.modbus.planning import check
from agent.drivers.modbus.scan import ScanClass
from agent.drivers.modbus.schedule import Ask, Schedule
from agent.drivers.modbus.units import Units
from agent.drivers.modbus.wire.link import Link, NoAnswerError, Refused
from agent.drivers.modbus.writing import serve
from agent.runtime import clock, meters
from agent.runtime.together import together


async def run(
    config: Config,
    tags: Sequence[Tag],
    put: Callable[[Batch], None],
    writes: AsyncIterator[tuple[Write, Callable[[Answer], None]]],
) -> None:
    """Poll all scan classes and serve writes until cancelled or the endpoint does not answer (OSError)."""
    link = Link(config, config.timeout(tags))
    schedule = scheduled(config, tags, put, link.peace_ns)
    meters.current().gauge(f"{config.id}/jitter_s", lambda: schedule.jitter_s)
    try:
        await together(partial(poll, schedule, link, config.id), partial(serve, writes, config, tags, link))
    except OSError:
        schedule.units.down()
        raise
    finally:
        link.close()


def scheduled(
    config: Config,
    tags: Sequence[Tag],
    put: Callable[[Batch], None],
    peace_ns: Callable[[int], int] = lambda unit: 0,
) -> Schedule:
    """The scan classes of an endpoint, one for each period and phase, and its units; `peace_ns` as in Schedule."""
    only_read = [replace(tag, writable=False) if tag.writable else tag for tag in tags]
    wrong = frozenset(row for row, _ in check(config, only_read))
    rows: dict[tuple[float, float], list[int]] = {}
    for row, tag in enumerate(tags):
        rows.setdefault((tag.scan_s, tag.phase_s), []).append(row)
    classes = [ScanClass(config, tags, mine, wrong) for _, mine in sorted(rows.items())]
    fastest_s = min((tag.scan_s for tag in tags), default=1.0)
    patience = Patience(config.breaker_failures, int(fastest_s * 1e9), int(config.retry_unit_s * 1e9))
    numbers = sorted({request.block.unit for scan in classes for request in scan.plan})
    units = Units(config.id, numbers, patience)
    cost = cost_s(config, config.timeout(tags))
    return Schedule(config.id, classes, units, put, retries=config.repeats, cost_s=cost, peace_ns=peace_ns)


def cost_s(config: Config, timeout_s: float) -> float:
    """What a request without an answer takes from the other units: its timeout, and a new connection."""
    return timeout_s + (0.0 if config.serial else config.pause_after_connect_s)


async def poll(schedule: Schedule, link: Link, source: str) -> None:
    """Make requests when they are due until cancelled. OSError: the endpoint does not answer."""
    while schedule.classes:
        next_ns = await ask_all(schedule, link)
        meters.current().turn(source)
        await anyio.sleep(max(0, next_ns - clock.now_ns()) * 1e-9)


async def ask_all(schedule: Schedule, link: Link) -> int:
    """Make all requests that can be made now, one after another; when there will be more, on our axis."""
    while not isinstance(ask := schedule.what_next(clock.now_ns()), int):
        await _make(ask, schedule, link)
    return ask


async def _make(ask: Ask, schedule: Schedule, link: Link) -> None:
    try:
        values, t_ns = await link.read(ask.request.block, once=True, stay=ask.more)
    except Refused as refused:
        schedule.refused(ask, refused.code, clock.now_ns(), str(refused))
    except (TimeoutError, NoAnswerError) as error:
        schedule.unanswered(ask, clock.now_ns(), error)
    else:
        schedule.answered(ask, values, t_ns)
