"""The loops of one endpoint: one that makes the requests of its schedule, one for writes, both on one connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial

import anyio

from agent.core.breaker import Patience
from agent.core.nouns import Answer, Batch, Tag, Write
from agent.drivers.modbus.config import Config
from agent.drivers.modbus.link import Link, NoAnswerError, Refused
from agent.drivers.modbus.planning import check, units_of
from agent.drivers.modbus.scan import ScanClass
from agent.drivers.modbus.schedule import Ask, Schedule
from agent.drivers.modbus.units import Units
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
    link, schedule = Link(config, config.timeout(tags)), scheduled(config, tags, put)
    meters.current().gauge(f"{config.id}/jitter_s", lambda: schedule.jitter_s)
    try:
        await together(partial(poll, schedule, link, config.id), partial(serve, writes, config, tags, link))
    except OSError:
        schedule.units.down()
        raise
    finally:
        link.close()


def scheduled(config: Config, tags: Sequence[Tag], put: Callable[[Batch], None]) -> Schedule:
    """The scan classes of an endpoint, one for each period and phase, and its units."""
    wrong = frozenset(row for row, _ in check(config, [replace(tag, writable=False) for tag in tags]))
    rows: dict[tuple[float, float], list[int]] = {}
    for row, tag in enumerate(tags):
        rows.setdefault((tag.scan_s, tag.phase_s), []).append(row)
    classes = [ScanClass(config, tags, mine, wrong) for _, mine in sorted(rows.items())]
    fastest_s = min((tag.scan_s for tag in tags), default=1.0)
    patience = Patience(config.breaker_failures, int(fastest_s * 1e9), int(config.retry_unit_s * 1e9))
    units = Units(config.id, units_of(config, [tag for row, tag in enumerate(tags) if row not in wrong]), patience)
    return Schedule(config.id, classes, units, put, config.retries, cost_s(config, config.timeout(tags)))


def cost_s(config: Config, timeout_s: float) -> float:
    """What a request without an answer takes: its timeout, the quiet where answers have no number, a new connection."""
    quiet_s = timeout_s if config.transport in ("rtu", "ascii", "rtu-over-tcp") else 0.0
    return timeout_s + quiet_s + config.pause_after_connect_s


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
        values, t_ns = await link.read(ask.request.block, once=True)
    except Refused as refused:
        schedule.refused(ask, refused.code, clock.now_ns(), str(refused))
    except (TimeoutError, NoAnswerError) as error:
        schedule.unanswered(ask, clock.now_ns(), error)
    else:
        schedule.answered(ask, values, t_ns)
