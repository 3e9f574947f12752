"""Source stamps on our axis."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.core.stamps import StampMap, fold

S = 1_000_000_000
UTC = 1_700_000_000 * S  # what the source's clock says when ours says 0


def i8(*values):
    return np.array(values, np.int64)


def test_the_smallest_delay_is_taken_as_none():
    true = i8(*(n * S for n in range(5)))
    delay = i8(30, 5, 80, 50, 9) * 1_000_000
    state, mapped = StampMap(), []
    for k in range(5):
        state, t = fold(state, true[k : k + 1] + delay[k : k + 1], true[k : k + 1] + UTC)
        mapped.append(int(t[0]))
    assert mapped[0] == true[0] + delay[0]  # nothing better is known yet
    late = np.array(mapped[1:]) - true[1:]
    assert (late >= 5_000_000).all()
    assert (late <= 5_000_000 + 4 * S // 10_000).all()  # at most the drift allowed since


def test_without_a_stamp_the_receipt_stands():
    state, t = fold(StampMap(), i8(7, 9), i8(0, 0))
    assert t.tolist() == [7, 9]
    assert state == StampMap()


def test_a_source_clock_set_back_restarts_the_map_and_one_set_forward_is_followed():
    state, _ = fold(StampMap(), i8(S), i8(UTC + S))
    state, t = fold(state, i8(2 * S), i8(UTC + 2 * S - 3600 * S))
    assert t.tolist() == [2 * S]
    assert state.restarts == 1
    state, t = fold(state, i8(3 * S), i8(UTC + 3 * S + 3600 * S))
    assert t.tolist() == [3 * S]
    assert state.restarts == 1


def test_a_late_message_within_the_bound_keeps_its_time():
    state, _ = fold(StampMap(), i8(S), i8(UTC + S))
    _, t = fold(state, i8(4 * S), i8(UTC + int(2.5 * S)))
    assert abs(int(t[0]) - int(2.5 * S)) <= 300_000


stamp = st.integers(0, 10**12)


@given(st.lists(st.lists(st.tuples(stamp, stamp), min_size=1, max_size=5), max_size=8))
def test_never_later_than_received(folds):
    state = StampMap()
    for pairs in folds:
        received, source = i8(*(r for r, _ in pairs)), i8(*(s for _, s in pairs))
        state, t = fold(state, received, source)
        assert (t <= received).all()
        assert t.dtype == np.int64
