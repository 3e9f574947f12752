"""The breaker: closed, open for a growing pause, one trial, closed again."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.breaker import Breaker, Patience, Position, answered, failed, trying

SECOND = 1_000_000_000
PATIENCE = Patience(1, SECOND, 30 * SECOND)


def test_it_opens_after_so_many_failures_in_a_row():
    patience = Patience(3, SECOND, 30 * SECOND)
    one = failed(Breaker(), patience, 0)
    two = failed(one, patience, 0)
    assert (one.position, two.position) == (Position.CLOSED, Position.CLOSED)
    three = failed(two, patience, 5 * SECOND)
    assert (three.position, three.retry_ns) == (Position.OPEN, 6 * SECOND)
    assert failed(answered(), patience, 0).position is Position.CLOSED  # an answer between begins the row anew


def test_the_pause_doubles_up_to_the_longest_and_an_answer_ends_it():
    state, pauses, now_ns = Breaker(), [], 0
    for _ in range(8):
        state = failed(trying(state) if state.shut_out else state, PATIENCE, now_ns)
        pauses.append((state.retry_ns - now_ns) // SECOND)
        now_ns = state.retry_ns
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert not answered().shut_out


def test_nothing_but_its_trial_is_asked_while_it_is_tried():
    trial = trying(failed(Breaker(), PATIENCE, 0))
    assert trial.position is Position.HALF_OPEN
    assert trial.shut_out


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 5), st.integers(1, 10**10), st.integers(1, 10**12), st.floats(0, 0.999))
def test_no_pause_is_longer_than_the_longest_or_shorter_than_three_quarters(n, failures, first_ns, longest_ns, spread):
    patience, state = Patience(failures, first_ns, longest_ns), Breaker()
    for _ in range(n):
        state = failed(state, patience, 0, spread)
    if n < failures:
        assert not state.shut_out
    else:
        whole = min(first_ns * 2 ** (n - failures), longest_ns)
        assert 0.75 * whole - 2 <= state.retry_ns <= whole <= longest_ns
