"""Block planning: complete, within limits, clear of forbidden ranges, groups whole, and minimal."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.address import Address, Range, Table, parse_range
from agent.core.blocks import Limits, halves, plan, readings, why_not
from agent.core.registers import Field


def fields_of(spans, table=Table.HOLDING, unit=1):
    return [Field(Address(unit, table, at), span, ">u2") for at, span in spans]


DEFAULT = Limits()


def planned(spans, limits=DEFAULT, groups=()):
    return plan(readings(fields_of(spans), groups), limits)


def forbidden_of(ranges, unit=None, table=Table.HOLDING):
    return tuple(Range(unit, table, first, first + more) for first, more in ranges)


spans = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 8)), max_size=60)
ranges = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 9)), max_size=6)
names = st.lists(st.sampled_from(["", "", "", "a", "b", "c"]), min_size=60, max_size=60)


@settings(deadline=None)
@given(spans, st.integers(0, 20), st.integers(8, 125), ranges, names)
def test_every_field_once_whole_and_within_limits(chosen, max_gap, max_registers, shut, groups):
    fields, limits = fields_of(chosen), Limits(max_gap, max_registers, forbidden=forbidden_of(shut))
    wanted = [r for r in readings(fields, groups[: len(fields)]) if not why_not(r, limits)]
    blocks = plan(wanted, limits)
    assert sorted(r for b in blocks for r in b.rows) == sorted(r for reading in wanted for r in reading.rows)
    for b in blocks:
        assert 1 <= b.count <= max_registers
        assert not any(b.start <= first + more and first < b.start + b.count for first, more in shut)
        mine = sorted((r for r in wanted if set(r.rows) <= set(b.rows)), key=lambda r: r.at.offset)
        assert sorted(row for r in mine for row in r.rows) == sorted(b.rows)  # a group is never torn
        end = b.start
        for reading in mine:
            assert b.start <= reading.at.offset
            assert reading.end <= b.start + b.count
            assert reading.at.offset - end <= max_gap
            end = max(end, reading.end)
        assert end == b.start + b.count


def fits(group, max_gap, limit, shut):
    """Whether one request may read these (first, end): written without the planner."""
    start, end = group[0][0], max(e for _, e in group)
    covered = {register for first, stop in group for register in range(first, stop)}
    hole = longest = 0
    for register in range(start, end):
        hole = 0 if register in covered else hole + 1
        longest = max(longest, hole)
    return end - start <= limit and longest <= max_gap and not any(a < end and start <= z for a, z in shut)


def fewest(wanted, max_gap, limit, shut):
    """The least number of requests of any division of (first, end): all of them are tried."""
    every = frozenset(range(len(wanted)))

    @cache
    def best(left):
        if not left:
            return 0
        first, rest, found = min(left), sorted(left - {min(left)}), len(left)
        for mask in range(1 << len(rest)):
            chosen = frozenset([first, *(r for i, r in enumerate(rest) if mask >> i & 1)])
            if fits([wanted[i] for i in sorted(chosen)], max_gap, limit, shut):
                found = min(found, 1 + best(left - chosen))
        return found

    return best(every)


@settings(deadline=None, max_examples=400)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6), st.sampled_from(["", "", "", "a", "b"])), max_size=7),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=2),
    st.integers(0, 5),
    st.integers(6, 14),
)
def test_no_division_needs_fewer_requests(chosen, shut, max_gap, limit):
    limits = Limits(max_gap, limit, forbidden=forbidden_of(shut))
    groups = [name for _, _, name in chosen]
    wanted = [r for r in readings(fields_of([(a, n) for a, n, _ in chosen]), groups) if not why_not(r, limits)]
    intervals = sorted((r.at.offset, r.end) for r in wanted)
    expected = fewest(tuple(intervals), max_gap, limit, [(first, first + more) for first, more in shut])
    assert len(plan(wanted, limits)) == expected


def test_an_atomic_group_is_one_request_whatever_lies_in_its_holes():
    chosen = [(0, 2), (90, 2), (45, 1), (130, 1)]
    (together, alone) = planned(chosen, Limits(max_gap=4), ["g", "g", "", ""])
    assert (together.start, together.count, sorted(together.rows)) == (0, 92, [0, 1, 2])
    assert (alone.start, alone.count) == (130, 1)
    assert [b.count for b in planned(chosen, Limits(max_gap=4))] == [2, 1, 2, 1]


def test_a_group_is_apart_for_each_unit_and_table():
    fields = [*fields_of([(0, 1)]), *fields_of([(50, 1)], unit=2), *fields_of([(0, 1)], table=Table.INPUT)]
    assert len(readings(fields, ["g", "g", "g"])) == 3


def test_a_forbidden_range_parts_what_a_hole_would_join():
    chosen = [(0, 2), (4, 2), (8, 2)]
    assert [(b.start, b.count) for b in planned(chosen)] == [(0, 10)]
    shut = Limits(forbidden=(parse_range("holding:6-7"),))
    assert [(b.start, b.count) for b in planned(chosen, shut)] == [(0, 6), (8, 2)]
    other = Limits(forbidden=(parse_range("2/holding:6-7"), parse_range("input:2")))
    assert [(b.start, b.count) for b in planned(chosen, other)] == [(0, 10)]


def test_what_no_request_can_read_says_why():
    limits = Limits(8, 10, forbidden=(parse_range("holding:20-29"),))
    torn, long, inside = (
        readings(fields_of([(18, 1), (30, 1)]), ["x/g", "x/g"]),
        readings(fields_of([(0, 2), (12, 2)]), ["x/g", "x/g"]),
        readings(fields_of([(28, 4)])),
    )
    wide = Limits(forbidden=limits.forbidden)
    assert why_not(torn[0], wide) == "has the forbidden range holding:20-29 in it"
    assert why_not(long[0], limits) == "is 14 registers long, expected at most 10 (max_registers)"
    assert why_not(inside[0], limits) == "lies in the forbidden range holding:20-29"
    with pytest.raises(ValueError, match="1/holding:28 lies in the forbidden range"):
        plan(inside, limits)
    with pytest.raises(ValueError, match="atomic group 'x/g' from 1/holding:18 has the forbidden range"):
        plan(torn, wide)


def test_one_request_a_tag_leaves_groups_together():
    blocks = planned([(0, 1), (1, 1), (2, 1)], Limits(one_each=True), ["", "g", "g"])
    assert [(b.start, b.count) for b in blocks] == [(0, 1), (1, 2)]


@pytest.mark.parametrize(
    ("text", "base", "expected"),
    [
        ("holding:100-199", 0, Range(None, Table.HOLDING, 100, 199)),
        ("2/input:30-39", 1, Range(2, Table.INPUT, 29, 38)),
        ("2/input:30-2/input:39", 0, Range(2, Table.INPUT, 30, 39)),
        ("holding:0x10-0x1F", 0, Range(None, Table.HOLDING, 16, 31)),
        ("40101-40200", 0, Range(None, Table.HOLDING, 100, 199)),
        ("3/400101-400200", 1, Range(3, Table.HOLDING, 100, 199)),
        (" coil:7 ", 0, Range(None, Table.COIL, 7, 7)),
    ],
)
def test_ranges_as_people_write_them(text, base, expected):
    assert parse_range(text, base) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("holding:9-3", "ends before it begins"),
        ("holding:9-input:12", "one table of one unit"),
        ("holding", "expected one such as holding:100-199"),
        ("holding:1-", "expected one such as holding:100-199"),
        ("holding:1-70000", "70000 does not exist"),
        ("1/holding:1-2/holding:4", "one table of one unit"),
    ],
)
def test_a_range_that_is_none_says_what_was_expected(text, says):
    with pytest.raises(ValueError, match=says):
        parse_range(text)


def test_units_tables_and_bits_are_apart():
    fields = [
        *fields_of([(0, 1), (1, 1)]),
        *fields_of([(0, 1)], unit=2),
        *fields_of([(0, 1), (100, 1)], table=Table.COIL),
        *fields_of([(0, 2)], table=Table.INPUT),
    ]
    blocks = plan(readings(fields))
    assert [(b.unit, b.table, b.start, b.count) for b in blocks] == [
        (1, Table.COIL, 0, 101),
        (1, Table.HOLDING, 0, 2),
        (1, Table.INPUT, 0, 2),
        (2, Table.HOLDING, 0, 1),
    ]


def test_a_thousand_floats_in_eight_full_requests_and_a_rest():
    blocks = planned([(2 * i, 2) for i in range(1000)])
    assert len(blocks) == 17  # 62 floats of two registers fit a request of 125
    assert {b.count for b in blocks[:-1]} == {124}


def test_a_field_longer_than_a_request_is_named():
    with pytest.raises(ValueError, match=r"1/holding:10 is 20 registers long, expected at most 10 \(max_registers\)"):
        planned([(10, 20)], Limits(8, 10))


def test_a_refused_block_is_cut_at_its_largest_hole():
    wanted = readings(fields_of([(0, 2), (2, 2), (9, 1), (10, 1), (11, 1)]))
    (block,) = plan(wanted)
    assert [b.rows for b in halves(wanted, block)] == [(0, 1), (2, 3, 4)]
    wanted = readings(fields_of([(i, 1) for i in range(8)]))
    (block,) = plan(wanted)
    assert [b.rows for b in halves(wanted, block)] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert halves(wanted, halves(wanted, block)[0])[0].count == 2


def test_a_refused_group_is_never_cut():
    wanted = readings(fields_of([(0, 1), (1, 1), (2, 1)]), ["g", "g", ""])
    (block,) = plan(wanted)
    (alone,) = [b for b in halves(wanted, block) if len(b.rows) == 1]
    (together,) = [b for b in halves(wanted, block) if len(b.rows) == 2]
    assert (alone.rows, together.rows) == ((2,), (0, 1))
    assert halves(wanted, together) == [together]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 8)), min_size=2, max_size=20), names, ranges)
def test_halves_lose_nothing_and_end(chosen, groups, shut):
    limits = Limits(forbidden=forbidden_of(shut))
    wanted = [r for r in readings(fields_of(chosen), groups[: len(chosen)]) if not why_not(r, limits)]
    waiting, whole = plan(wanted, limits), []
    while waiting:
        block = waiting.pop()
        cut = halves(wanted, block, limits)
        (waiting.extend(cut) if len(cut) > 1 else whole.append(block.rows))
    assert sorted(whole) == sorted(r.rows for r in wanted)
