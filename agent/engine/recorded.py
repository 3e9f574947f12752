"""A recording as the ticks that a live run would have had: columns of tags over time, for `engine.step`.

Each row is what was read at its time. A tick stands at each period of the asset, or at each row where those are farther
apart. Into a gap go as many empty ticks as it takes for everything to grow stale and the mode to be unknown, so that
what follows it begins as it would after a real silence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from agent.core import quality
from agent.core.nouns import F8, I4, I8, Batch, Tick
from agent.engine.asset import Asset

SOURCE = "recording"
GAP_PERIODS = 2.5
# Time begins here: 0 means "never" in many states.
FIRST_NS = 3_600_000_000_000


def rows_of(asset: Asset, names: Sequence[str]) -> list[int]:
    """The asset's row of each column, -1 for one that is no tag of it, or is derived."""
    derived = set(asset.derived.rows.tolist())
    rows = [asset.names.at.get(name.removeprefix(asset.id + "/"), -1) for name in names]
    return [-1 if row in derived else row for row in rows]


def axis(time_s: F8) -> I8:
    """Times f8[n] in s as ns of the engine's axis; a row that is not later than all before it is given -1."""
    t_ns = FIRST_NS + np.round((time_s - time_s[0]) * 1e9).astype(np.int64)
    before = np.concatenate([[-1], np.maximum.accumulate(t_ns)[:-1]])
    return np.where(t_ns > before, t_ns, -1)


def ticks(asset: Asset, names: Sequence[str], t_ns: I8, value: F8, first_seq: int = 1) -> Iterator[Tick]:
    """The ticks of a recording. names: of the columns; t_ns i8[n]: see `axis`; value f8[n, len(names)], NaN: none."""
    period_ns, seq = round(asset.period_s * 1e9), first_seq
    columns = [(c, row) for c, row in enumerate(rows_of(asset, names)) if row >= 0]
    which, tag = np.array([c for c, _ in columns], np.intp), np.array([row for _, row in columns], np.int32)
    last_ns = FIRST_NS
    for rows in _cycles(t_ns, period_ns):
        now_ns = int(t_ns[rows[-1]])
        for empty_ns in _silence(asset, last_ns, int(t_ns[rows[0]]), max(period_ns, _step_ns(t_ns))):
            yield Tick(asset.id, asset.epoch, seq, empty_ns)
            seq += 1
        batches = tuple(_batch(tag, value[row, which], int(t_ns[row])) for row in rows)
        yield Tick(asset.id, asset.epoch, seq, now_ns, batches)
        seq, last_ns = seq + 1, now_ns


def _cycles(t_ns: I8, period_ns: int) -> Iterator[list[int]]:
    """Rows of one tick each: those of one period of the asset."""
    cell = np.floor((t_ns - FIRST_NS) / period_ns + 0.5).tolist()
    there = (row for row, at_ns in enumerate(t_ns.tolist()) if at_ns >= 0)
    yield from (list(rows) for _, rows in groupby(there, lambda row: cell[row]))


def _step_ns(t_ns: I8) -> int:
    """The usual time between two rows."""
    step = np.diff(t_ns[t_ns >= 0])
    return int(np.median(step)) if len(step) else 0


def _silence(asset: Asset, last_ns: int, next_ns: int, step_ns: int) -> Iterator[int]:
    """When to tick in a gap, until all that can grow stale or unknown has."""
    if next_ns - last_ns < GAP_PERIODS * step_ns:
        return
    stale_s = max((s for s in asset.stale_s if math.isfinite(s)), default=0.0)
    most = math.ceil((stale_s + asset.modes.hold_s) * 1e9 / step_ns) + 2
    for k in range(1, most + 1):
        if last_ns + k * step_ns >= next_ns:
            return
        yield last_ns + k * step_ns


def _batch(tag: I4, value: F8, t_ns: int) -> Batch:
    there = np.isfinite(value)
    n = int(there.sum())
    return Batch(
        SOURCE,
        tag[there],
        value[there],
        np.full(n, quality.GOOD, np.uint32),
        np.full(n, t_ns, np.int64),
        np.zeros(n, np.int64),
    )
