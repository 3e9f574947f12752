"""Records of an asset between two wall times, in the order in which they were written.

Within a boot the boot clock never steps, so that bisection finds them; what wall time it was is asked boot by boot. A
boot whose clock was years off is at another place in wall time, and in the way of none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agent.store.record import Record
from agent.store.rows import Rows

FOREVER_NS = 1 << 62
NEWEST = 1 << 62

# Of the time of a row: (boot, t_ns of its first, t_ns of its last) -> whether it lies before what is looked for.
Before = Callable[[int, int, int], bool]


def records(
    rows: Rows,
    class_: str,
    asset: str,
    start_ns: int = 0,
    end_ns: int = FOREVER_NS,
    *,
    after: int = 0,
    before: int = NEWEST,
    backward: bool = False,
    at_once: int = 4,
) -> Iterator[Record]:
    """Those that reach into start_ns <= wall time < end_ns (UTC), written after record `after` and before `before`.

    Damaged ones are passed over. `backward`: the newest first.
    """
    spans = [
        (max(first, after), min(last, before - 1)) for first, last in _spans(rows, class_, asset, start_ns, end_ns)
    ]
    for first, last in reversed(spans) if backward else spans:
        yield from _within(rows, class_, asset, first, last, backward, at_once)


def _within(
    rows: Rows, class_: str, asset: str, first: int, last: int, backward: bool, at_once: int
) -> Iterator[Record]:
    """Records after `first`, up to `last`."""
    where = f"class = ? AND asset = ? AND id > ? AND id <= ? ORDER BY id {'DESC' if backward else ''}"
    while first < last and (found := rows.found(where, (class_, asset, first, last), at_once)).last:
        first, last = (first, found.last - 1) if backward else (found.last, last)
        yield from found.records


def _spans(rows: Rows, class_: str, asset: str, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
    """(id before the first, id of the last) of each boot that has some."""
    if start_ns <= 0 and end_ns >= FOREVER_NS:
        return [(0, NEWEST)]
    rows.refresh()
    ends = rows.all(
        "SELECT boot FROM record WHERE id IN (SELECT min(id) FROM record WHERE class = ? AND asset = ? UNION ALL"
        " SELECT max(id) FROM record WHERE class = ? AND asset = ?)",
        (class_, asset) * 2,
    )
    boots = [boot for (boot,) in ends]
    spans = []
    for boot in range(min(boots), max(boots) + 1) if boots else ():
        first = _last(rows, class_, asset, _before_start(rows, boot, start_ns))
        last = _last(rows, class_, asset, _before_end(rows, boot, end_ns))
        spans += [(first, last)] if first < last else []
    return spans


def _before_start(rows: Rows, boot: int, start_ns: int) -> Before:
    return lambda b, t_ns, last_ns: b < boot or (b == boot and rows.clocks.wall_ns(b, last_ns)[0] < start_ns)


def _before_end(rows: Rows, boot: int, end_ns: int) -> Before:
    return lambda b, t_ns, last_ns: b < boot or (b == boot and rows.clocks.wall_ns(b, t_ns)[0] < end_ns)


def _last(rows: Rows, class_: str, asset: str, before: Before) -> int:
    """The id of the last row that lies before what is looked for; 0 for none. All rows before it do too."""
    ((first, newest),) = rows.all("SELECT min(id), max(id) FROM record WHERE class = ? AND asset = ?", (class_, asset))
    low, high = int(first or 1) - 1, int(newest or 0)
    where = "class = ? AND asset = ? AND id <= ? ORDER BY id DESC LIMIT 1"
    while low < high:
        middle = (low + high + 1) // 2
        found = rows.all(f"SELECT id, boot, t_ns, end_ns FROM record WHERE {where}", (class_, asset, middle))
        if found and not before(found[0][1], found[0][2], max(found[0][2:])):
            high = int(found[0][0]) - 1
        else:
            low = middle
    return low
