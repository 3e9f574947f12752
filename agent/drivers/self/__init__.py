"""Our own meters as a source: a tag's address is a meter's name (`plc1/age_s`, `mqtt/acknowledged`).

Read here and not counted anywhere: `process/rss_mib`, `process/cpu_percent` (of one core, since the scan before),
`process/uptime_s`, and `machine/temperature_c` where the kernel tells it. A meter that nothing has touched yet is
BadWaitingForInitialData.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np

from agent.config.model import Model
from agent.core import quality
from agent.core.nouns import F8, Answer, Batch, Tag, Write
from agent.core.scaling import Scaling, engineering
from agent.drivers.self.process import Process
from agent.runtime import clock, meters
from agent.runtime.pace import Pace
from agent.runtime.together import together

# Read when polls of phase 0 have answered, and before the cycle of the asset `gateway` looks: a share of the period.
PHASE = 0.15
STEPS = 2.0**14


class Config(Model):
    """Nothing needs to be set."""

    id: str
    type: Literal["self"]


async def run(
    config: Config,
    tags: Sequence[Tag],
    put: Callable[[Batch], None],
    writes: AsyncIterator[tuple[Write, Callable[[Answer], None]]],
) -> None:
    """Put all meters of each period until cancelled."""
    rows: dict[float, list[int]] = {}
    for row, tag in enumerate(tags):
        rows.setdefault(tag.scan_s, []).append(row)
    loops = [partial(_scan, config.id, period_s, np.array(r, np.int32), tags, put) for period_s, r in rows.items()]
    await together(*loops, partial(_refuse, writes))


async def _scan(
    source: str,
    period_s: float,
    rows: np.ndarray[tuple[int], np.dtype[np.int32]],
    tags: Sequence[Tag],
    put: Callable[[Batch], None],
) -> None:
    pace, process = Pace(period_s, f"{source}/missed", PHASE * period_s), Process()
    mine = [tags[row] for row in rows.tolist()]
    scaling, names = Scaling.of(mine), [tag.address for tag in mine]
    while True:
        now_ns = clock.now_ns()
        counted, own = meters.current(), process.read()
        found = [own[name] if name in own else counted.read(name) for name in names]
        raw = rounded(np.array([math.nan if value is None else value for value in found], np.float64))
        status = np.array([_status(value) for value in found], np.uint32)
        value, status = engineering(raw, status, scaling)
        times = np.full(len(rows), now_ns, np.int64)
        put(Batch(source, rows, value, status, times, np.zeros(len(rows), np.int64)))
        counted.turn(source)
        await pace.next()


def rounded(value: F8) -> F8:
    """Counts as they are, what is measured to one part in 16,000: noise in further digits would fill the journal."""
    mantissa, exponent = np.frexp(value)
    measured = np.isfinite(value) & (value != np.trunc(value))
    return np.where(measured, np.ldexp(np.round(mantissa * STEPS) / STEPS, exponent), value)


def _status(value: float | None) -> int:
    return quality.BAD_WAITING_FOR_INITIAL_DATA if value is None else quality.GOOD


async def _refuse(writes: AsyncIterator[tuple[Write, Callable[[Answer], None]]]) -> None:
    async for write, answer in writes:
        answer(Answer(write.id, False, "our own meters cannot be written"))
