"""The fewest Modbus requests that read a set of fields. Pure.

Of all fields not yet read take the one that begins first; its request can begin there. Walk on in order of offset
and take every field that ends within the largest request, as long as no hole is larger than `max_gap`. What did not
fit begins the next request. A field that could be added never makes the rest cost more, so this greedy walk is
minimal (a test compares it with all possible divisions).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.address import Table
from agent.core.registers import Field

MAX_REGISTERS = 125
MAX_BITS = 2000


@dataclass(frozen=True, slots=True)
class Block:
    """One request: `count` registers (or bits) of a unit's table from PDU offset `start`; `rows` index the fields."""

    unit: int
    table: Table
    start: int
    count: int
    rows: tuple[int, ...]


def plan(
    fields: Sequence[Field],
    rows: Sequence[int] | None = None,
    max_gap: int = 8,
    max_registers: int = MAX_REGISTERS,
    max_bits: int = MAX_BITS,
) -> list[Block]:
    """The fewest blocks that read `rows` of `fields` (all, unless given), in order of unit, table and offset.

    `max_gap`: most registers read in between that no field wants (for bits 16 times as many). A field is never split;
    ValueError names one that is longer than the largest request.
    """
    wanted: dict[tuple[int, Table], list[int]] = {}
    for row in range(len(fields)) if rows is None else rows:
        at = fields[row].at
        wanted.setdefault((at.unit or 0, at.table), []).append(row)
    blocks: list[Block] = []
    for (unit, table), members in sorted(wanted.items()):
        limit, gap = (max_bits, 16 * max_gap) if table.bits else (max_registers, max_gap)
        blocks += _of_table(unit, table, fields, members, limit, gap)
    return blocks


def _of_table(
    unit: int, table: Table, fields: Sequence[Field], members: list[int], limit: int, max_gap: int
) -> list[Block]:
    left = sorted(members, key=lambda row: (fields[row].at.offset, fields[row].span))
    blocks: list[Block] = []
    while left:
        first = fields[left[0]]
        if first.span > limit:
            raise ValueError(f"{first.at} is {first.span} long, a request reads at most {limit}")
        taken, left, end = _walk(fields, left, first.at.offset, limit, max_gap)
        blocks.append(Block(unit, table, first.at.offset, end - first.at.offset, tuple(taken)))
    return blocks


def _walk(
    fields: Sequence[Field], order: list[int], start: int, limit: int, max_gap: int
) -> tuple[list[int], list[int], int]:
    taken: list[int] = []
    left: list[int] = []
    end = start
    for n, row in enumerate(order):
        at, stop = fields[row].at.offset, fields[row].at.offset + fields[row].span
        if at - end > max_gap or at >= start + limit:
            return taken, left + order[n:], end
        if stop > start + limit:
            left.append(row)
            continue
        taken.append(row)
        end = max(end, stop)
    return taken, left, end


def halves(fields: Sequence[Field], block: Block, max_gap: int = 8) -> list[Block]:
    """A block that a device refused, cut in two: at its largest hole if it has one, else in the middle.

    What is left between the halves is read no more. A block of one field comes back as it is.
    """
    if len(block.rows) < 2:
        return [block]
    ends: list[int] = []
    for row in block.rows:
        ends.append(max(ends[-1] if ends else 0, fields[row].at.offset + fields[row].span))
    holes = [fields[row].at.offset - ends[i] for i, row in enumerate(block.rows[1:])]
    cut = 1 + max(range(len(holes)), key=lambda i: (holes[i], -abs(2 * (i + 1) - len(block.rows))))
    parts = (block.rows[:cut], block.rows[cut:])
    return [b for part in parts for b in plan(fields, part, max_gap)]
