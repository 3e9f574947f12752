"""Which numbers of a stream (gateway, class, epoch) are missing: a fold over what arrives, in any order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.store import intervals
from agent.store.intervals import Range, Ranges

FIRST = 1  # sequence number of an epoch


@dataclass(frozen=True, slots=True)
class Stream:
    """The greatest number that has arrived, and the holes below it, sorted."""

    last: int = FIRST - 1
    holes: tuple[Range, ...] = ()


def seen(stream: Stream, numbers: Iterable[int]) -> Stream:
    """The stream after these numbers; those that it has seen before change nothing."""
    arrived = intervals.of_numbers(n for n in numbers if n >= FIRST)
    if not arrived:
        return stream
    last = max(stream.last, arrived[-1][1])
    holes = [*stream.holes, (stream.last + 1, last)] if last > stream.last else [*stream.holes]
    return Stream(last, tuple(without(holes, arrived)))


def without(ranges: Sequence[Range], taken: Sequence[Range]) -> Ranges:
    """The numbers of sorted, disjoint ranges that are in none of the others."""
    left: Ranges = []
    for first, last in ranges:
        for begin, end in taken:
            if end < first or begin > last:
                continue
            if begin > first:
                left.append((first, begin - 1))
            first = end + 1
        if first <= last:
            left.append((first, last))
    return left
