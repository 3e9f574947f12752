"""The newest sample of each tag, and the fold of a cycle's batches into a Frame.

A sample that arrives later is newer: a source sends each value in order, and a mark of our own (BadNoCommunication)
must give way to the value that comes back, whose own stamp may be older than the mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from agent.core import quality
from agent.core.nouns import F8, I4, I8, U4, Batch, Frame, Mask, Names, Tick


@dataclass(frozen=True, slots=True, eq=False)
class Latest:
    """Columns over n tags: value f8[n], status u4[n], t_ns, source_ns, confirmed_ns i8[n]; texts and arrays by row.

    `confirmed_ns` is when the source last vouched for the value: an unchanged value that is read again is not stale.
    """

    value: F8
    status: U4
    t_ns: I8
    source_ns: I8
    confirmed_ns: I8
    texts: Mapping[int, str] = field(default_factory=dict)
    arrays: Mapping[int, F8] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """How n tags stand at one moment: value f8[n] (NaN where Bad), status u4[n]."""

    value: F8
    status: U4


def nothing_yet(n: int) -> Latest:
    """Before the first sample of n tags."""
    zeros = np.zeros(n, np.int64)
    waiting = np.full(n, quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
    return Latest(np.full(n, np.nan), waiting, zeros, zeros.copy(), zeros.copy())


def fold(latest: Latest, batches: tuple[Batch, ...], before_ns: int, muted: Mask | None = None) -> Latest:
    """Latest with the batches taken in, in order of arrival. `before_ns` is the time of the tick before this one.

    A sample whose stamp is older than that tick was still confirmed after it. Nobody vouches for a tag that is `muted`
    (bool[n]: the heartbeat of its PLC stands), whatever arrives.
    """
    if not batches:
        return latest
    texts, arrays = dict(latest.texts), dict(latest.arrays)
    new = Latest(
        value=latest.value.copy(),
        status=latest.status.copy(),
        t_ns=latest.t_ns.copy(),
        source_ns=latest.source_ns.copy(),
        confirmed_ns=latest.confirmed_ns.copy(),
        texts=texts,
        arrays=arrays,
    )
    for batch in batches:
        new.value[batch.tag] = batch.value
        new.status[batch.tag] = batch.status
        new.t_ns[batch.tag] = batch.t_ns
        new.source_ns[batch.tag] = batch.source_ns
        vouched = ~quality.bad_mask(batch.status)
        if muted is not None:
            vouched &= ~muted[batch.tag]
        new.confirmed_ns[batch.tag[vouched]] = np.maximum(batch.t_ns[vouched], before_ns)
        texts.update({int(batch.tag[row]): text for row, text in batch.texts})
        arrays.update({int(batch.tag[row]): array for row, array in batch.arrays})
    return new


def seen(latest: Latest, now_ns: int, stale_ns: I8, dead: Mask) -> Seen:
    """What can be said of each tag now.

    One that nobody vouched for within `stale_ns` (i8[n]), or a heartbeat that stands (`dead` bool[n]), is
    BadNoCommunication.
    """
    usable = ~quality.bad_mask(latest.status)
    stale = usable & ((now_ns - latest.confirmed_ns > stale_ns) | dead)
    status = np.where(stale, np.uint32(quality.BAD_NO_COMMUNICATION), latest.status).astype(np.uint32)
    return Seen(np.where(quality.bad_mask(status), np.nan, latest.value), status)


def frame(latest: Latest, seen: Seen, tick: Tick, names: Names, before_ns: int) -> Frame:
    """What the models see of this tick."""
    mean, low, high, count = statistics(tick.batches, len(names))
    status = seen.status
    return Frame(
        names=names,
        t_ns=tick.now_ns,
        dt_ns=tick.now_ns - before_ns if before_ns else 0,
        value=seen.value,
        status=status,
        age_ns=tick.now_ns - latest.confirmed_ns,
        source_ns=latest.source_ns,
        mean=mean,
        min=low,
        max=high,
        count=count,
        texts={row: text for row, text in latest.texts.items() if not quality.is_bad(int(status[row]))},
        batches=tick.batches,
        arrays={row: array for row, array in latest.arrays.items() if not quality.is_bad(int(status[row]))},
    )


def statistics(batches: tuple[Batch, ...], n: int) -> tuple[F8, F8, F8, I4]:
    """mean, min, max f8[n] (NaN without samples) and count i4[n] of the samples that are not Bad and finite."""
    tag, value = _usable(batches)
    count = np.bincount(tag, minlength=n).astype(np.int32)
    total = np.bincount(tag, value, n)
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    if count.max(initial=0) <= 1:
        low[tag] = high[tag] = value
    else:
        np.minimum.at(low, tag, value)
        np.maximum.at(high, tag, value)
    none = count == 0
    low[none] = high[none] = np.nan
    mean = np.divide(total, count, out=np.full(n, np.nan), where=~none)
    return mean, low, high, count


def _usable(batches: tuple[Batch, ...]) -> tuple[I4, F8]:
    """Row and value of each sample that is not Bad and finite, in order of arrival."""
    tags, values = [np.zeros(0, np.int32)], [np.zeros(0)]
    for batch in batches:
        use = ~quality.bad_mask(batch.status) & np.isfinite(batch.value)
        tags.append(batch.tag[use])
        values.append(batch.value[use])
    return np.concatenate(tags), np.concatenate(values)
