"""Block planning: complete, within limits, minimal."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.address import Address, Table
from agent.core.blocks import halves, plan
from agent.core.registers import Field


def fields_of(spans, table=Table.HOLDING, unit=1):
    return [Field(Address(unit, table, at), span, ">u2") for at, span in spans]


spans = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 8)), max_size=60)


@given(spans, st.integers(0, 20), st.integers(8, 125))
def test_every_field_once_whole_and_within_limits(chosen, max_gap, max_registers):
    fields = fields_of(chosen)
    blocks = plan(fields, None, max_gap, max_registers)
    assert sorted(r for b in blocks for r in b.rows) == list(range(len(fields)))
    for b in blocks:
        assert 1 <= b.count <= max_registers
        end = b.start
        for row in sorted(b.rows, key=lambda r: fields[r].at.offset):
            at, span = fields[row].at.offset, fields[row].span
            assert b.start <= at
            assert at + span <= b.start + b.count
            assert at - end <= max_gap
            end = max(end, at + span)
        assert end == b.start + b.count


def fits(group, max_gap, limit):
    group = sorted(group)
    end = group[0][0]
    for at, span in group:
        if at - end > max_gap:
            return False
        end = max(end, at + span)
    return end - group[0][0] <= limit


def fewest(chosen, max_gap, limit):
    """The least number of groups of any division of the spans: brute force."""
    chosen = sorted(chosen)
    if not chosen:
        return 0
    first, rest = chosen[0], chosen[1:]
    best = len(chosen)
    for size in range(len(rest), -1, -1):
        for others in combinations(range(len(rest)), size):
            if fits([first, *(rest[i] for i in others)], max_gap, limit):
                left = [s for i, s in enumerate(rest) if i not in others]
                best = min(best, 1 + fewest(left, max_gap, limit))
                if best == 1:
                    return 1
    return best


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6)), max_size=6),
    st.integers(0, 5),
    st.integers(6, 12),
)
def test_no_division_needs_fewer_requests(chosen, max_gap, limit):
    assert len(plan(fields_of(chosen), None, max_gap, limit)) == fewest(chosen, max_gap, limit)


def test_units_tables_and_bits_are_apart():
    fields = [
        *fields_of([(0, 1), (1, 1)]),
        *fields_of([(0, 1)], unit=2),
        *fields_of([(0, 1), (100, 1)], table=Table.COIL),
        *fields_of([(0, 2)], table=Table.INPUT),
    ]
    blocks = plan(fields, None, max_gap=8)
    assert [(b.unit, b.table, b.start, b.count) for b in blocks] == [
        (1, Table.COIL, 0, 101),
        (1, Table.HOLDING, 0, 2),
        (1, Table.INPUT, 0, 2),
        (2, Table.HOLDING, 0, 1),
    ]


def test_a_thousand_floats_in_eight_full_requests_and_a_rest():
    fields = fields_of([(2 * i, 2) for i in range(1000)])
    blocks = plan(fields)
    assert len(blocks) == 17  # 62 floats of two registers fit a request of 125
    assert {b.count for b in blocks[:-1]} == {124}


def test_a_field_longer_than_a_request_is_named():
    with pytest.raises(ValueError, match="holding:10 is 20 long, a request reads at most 10"):
        plan(fields_of([(10, 20)]), None, 8, 10)


def test_a_refused_block_is_cut_at_its_largest_hole():
    fields = fields_of([(0, 2), (2, 2), (9, 1), (10, 1), (11, 1)])
    (block,) = plan(fields)
    assert [b.rows for b in halves(fields, block)] == [(0, 1), (2, 3, 4)]
    fields = fields_of([(i, 1) for i in range(8)])
    (block,) = plan(fields)
    assert [b.rows for b in halves(fields, block)] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert halves(fields, halves(fields, block)[0])[0].count == 2


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 8)), min_size=2, max_size=20))
def test_halves_lose_nothing_and_end(chosen):
    fields = fields_of(chosen)
    waiting, singles = plan(fields), []
    while waiting:
        block = waiting.pop()
        (waiting.extend(halves(fields, block)) if len(block.rows) > 1 else singles.append(block.rows[0]))
    assert sorted(singles) == list(range(len(fields)))
