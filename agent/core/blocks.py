"""The fewest Modbus requests that read a set of fields. Pure.

What must be read whole is an interval of registers (or bits): a field, or an atomic group from its first to its last
register. A request is an interval too: not longer than the largest request, clear of forbidden ranges, without a hole
over `max_gap` between the intervals it is made for.

Walk: of all intervals not yet read take f, the one that begins first; its request can begin nowhere else. Go on in
order of offset and take each interval that ends before `edge`, the nearer of f's begin + largest request and the next
forbidden register, until a hole is over `max_gap`. Then the same with what is left.

Why no division needs fewer requests. Let G be what the walk takes with f, and take any division into requests; B is
its request that reads f. B begins at f, so all of B ends before the edge, and its holes are small: the walk passes all
of it, B ⊆ G. Move the rest of G from the other requests into B's: B becomes G, which is one request. The others lose
intervals x ∈ G \\ B, and only a lost bridge over a hole could hurt them. Be p left in such a request and p begin before
x. The walk reached x over small holes, so it reached p, and left it only because p ends beyond the edge, that is beyond
the end of x: p covers what x bridged. So the division is as good as before and has G in it; the same holds for what is
left. (A test compares with all divisions.)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.core.address import Address, Range, Table
from agent.core.registers import Field

MAX_REGISTERS = 125
MAX_BITS = 2000


@dataclass(frozen=True, slots=True)
class Limits:
    """What an endpoint takes in one request. `max_gap`: most registers read in between that no field wants.

    For bits the gap is 16 times as many. `one_each`: a request of its own for each reading.
    """

    max_gap: int = 8
    max_registers: int = MAX_REGISTERS
    max_bits: int = MAX_BITS
    forbidden: tuple[Range, ...] = ()
    one_each: bool = False

    def of(self, table: Table) -> tuple[int, int]:
        """(largest request, largest hole) in registers or bits of a table."""
        return (self.max_bits, 16 * self.max_gap) if table.bits else (self.max_registers, self.max_gap)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one request must read whole: `span` registers (or bits) from `at`, for the fields `rows`."""

    at: Address
    span: int
    rows: tuple[int, ...]
    group: str = ""

    @property
    def end(self) -> int:
        """The offset after its last register."""
        return self.at.offset + self.span

    def __str__(self) -> str:
        """Its name in a message."""
        return f"atomic group {self.group!r} from {self.at}" if self.group else str(self.at)


@dataclass(frozen=True, slots=True)
class Block:
    """One request: `count` registers (or bits) of a unit's table from PDU offset `start`; `rows` index the fields."""

    unit: int
    table: Table
    start: int
    count: int
    rows: tuple[int, ...]


def readings(fields: Sequence[Field], groups: Sequence[str] = ()) -> list[Reading]:
    """The readings of all fields: one for each field, and one for all fields of a group, unit and table.

    `groups` has the name of each field's atomic group, empty for none.
    """
    found: list[Reading] = []
    members: dict[tuple[str, int | None, Table], list[int]] = {}
    for row, field in enumerate(fields):
        if groups and groups[row]:
            members.setdefault((groups[row], field.at.unit, field.at.table), []).append(row)
        else:
            found.append(Reading(field.at, field.span, (row,)))
    for (group, _, _), rows in members.items():
        first = min((fields[row].at for row in rows), key=lambda at: at.offset)
        end = max(fields[row].at.offset + fields[row].span for row in rows)
        found.append(Reading(first, end - first.offset, tuple(rows), group))
    return found


def why_not(reading: Reading, limits: Limits) -> str:
    """Why one request cannot read it, as words that follow its name; empty if it can."""
    longest, _ = limits.of(reading.at.table)
    what = "bits" if reading.at.table.bits else "registers"
    if reading.span > longest:
        option = "max_bits" if reading.at.table.bits else "max_registers"
        return f"is {reading.span} {what} long, expected at most {longest} ({option})"
    crossed = next((r for r in limits.forbidden if r.crosses(reading.at, reading.span)), None)
    if crossed is None:
        return ""
    return f"has the forbidden range {crossed} in it" if reading.group else f"lies in the forbidden range {crossed}"


def plan(wanted: Iterable[Reading], limits: Limits = Limits()) -> list[Block]:
    """The fewest blocks that read all of `wanted`, in order of unit, table and offset.

    ValueError names a reading that no request can read.
    """
    by_table: dict[tuple[int, Table], list[Reading]] = {}
    for reading in wanted:
        if why := why_not(reading, limits):
            raise ValueError(f"{reading} {why}")
        by_table.setdefault((reading.at.unit or 0, reading.at.table), []).append(reading)
    return [b for (unit, table), some in sorted(by_table.items()) for b in _of_table(unit, table, some, limits)]


def _of_table(unit: int, table: Table, wanted: list[Reading], limits: Limits) -> list[Block]:
    left = sorted(wanted, key=lambda r: (r.at.offset, r.span))
    if limits.one_each:
        return [_block(unit, table, [reading]) for reading in left]
    longest, max_gap = limits.of(table)
    shut = sorted(r.first for r in limits.forbidden if r.table is table and r.unit in (None, unit))
    blocks: list[Block] = []
    while left:
        start = left[0].at.offset
        after = bisect_right(shut, start)
        edge = min([start + longest, *shut[after : after + 1]])
        taken, left = _walk(left, edge, max_gap)
        blocks.append(_block(unit, table, taken))
    return blocks


def _walk(order: list[Reading], edge: int, max_gap: int) -> tuple[list[Reading], list[Reading]]:
    """(those of one request, the rest), both in order."""
    taken: list[Reading] = []
    left: list[Reading] = []
    end = order[0].at.offset
    for n, reading in enumerate(order):
        if reading.at.offset - end > max_gap or reading.at.offset >= edge:
            return taken, left + order[n:]
        if reading.end > edge:
            left.append(reading)
            continue
        taken.append(reading)
        end = max(end, reading.end)
    return taken, left


def _block(unit: int, table: Table, taken: list[Reading]) -> Block:
    start, end = taken[0].at.offset, max(reading.end for reading in taken)
    return Block(unit, table, start, end - start, tuple(row for reading in taken for row in reading.rows))


def halves(wanted: Iterable[Reading], block: Block, limits: Limits = Limits()) -> list[Block]:
    """A block that a device refused, cut in two: at its largest hole if it has one, else in the middle.

    `wanted` are the readings it was planned from. What is left between the halves is read no more. A block of one
    reading comes back as it is.
    """
    rows = set(block.rows)
    parts = sorted((r for r in wanted if r.rows[0] in rows), key=lambda r: (r.at.offset, r.span))
    if len(parts) < 2:
        return [block]
    ends: list[int] = []
    for reading in parts:
        ends.append(max(ends[-1] if ends else 0, reading.end))
    holes = [reading.at.offset - ends[i] for i, reading in enumerate(parts[1:])]
    cut = 1 + max(range(len(holes)), key=lambda i: (holes[i], -abs(2 * (i + 1) - len(parts))))
    return plan(parts[:cut], limits) + plan(parts[cut:], limits)
