"""Sets of whole numbers as sorted, disjoint, inclusive ranges: [(first, last), ...]."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

Range = tuple[int, int]
Ranges = list[Range]


def union(ranges: Iterable[Range]) -> Ranges:
    """All numbers of all ranges; those that touch are joined."""
    joined: Ranges = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def intersection(a: Sequence[Range], b: Sequence[Range]) -> Ranges:
    """Numbers in both."""
    common: Ranges = []
    i = j = 0
    while i < len(a) and j < len(b):
        first, last = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if first <= last:
            common.append((first, last))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return common


def size(ranges: Iterable[Range]) -> int:
    """How many numbers."""
    return sum(last - first + 1 for first, last in ranges)


def around(ranges: Sequence[Range], number: int) -> Range | None:
    """The range that holds a number, None for none."""
    at = bisect_right(ranges, number, key=lambda r: r[0]) - 1
    return ranges[at] if at >= 0 and ranges[at][1] >= number else None


def of_numbers(numbers: Iterable[int]) -> Ranges:
    """The ranges of single numbers."""
    return union((n, n) for n in numbers)
