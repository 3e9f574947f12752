"""How long a queue must be, which filter an item gets, and the order of sequence numbers."""

from types import SimpleNamespace

import pytest

from agent.drivers.opcua.items import Wish
from agent.drivers.opcua.publishing import after
from agent.drivers.opcua.subscription import filter_of, queue_for


@pytest.mark.parametrize(
    ("sampling_s", "publishing_s", "fastest_s", "least", "expected"),
    [
        (0.5, 0.5, 0.0, 1, 3),  # two samples a publish at worst, one more as a margin
        (0.01, 1.0, 0.0, 50, 201),
        (0.01, 1.0, 0.1, 1, 21),  # the server samples no faster
        (0.0, 1.0, 0.0, 50, 50),  # as fast as it can: nobody knows how fast
        (0.001, 60.0, 0.0, 50, 10_000),
    ],
)
def test_queues_hold_what_is_sampled_between_two_publishes(sampling_s, publishing_s, fastest_s, least, expected):
    session = SimpleNamespace(fastest_s=fastest_s, config=SimpleNamespace(queue_size=least))
    assert queue_for(sampling_s, publishing_s, session) == expected


def test_filters():
    assert filter_of(Wish()) is None
    assert filter_of(Wish(trigger="status")).Trigger == 0
    absolute = filter_of(Wish(deadband=0.5))
    assert (absolute.Trigger, absolute.DeadbandType, absolute.DeadbandValue) == (1, 1, 0.5)
    percent = filter_of(Wish(deadband=0.5, deadband_percent=2.0, trigger="timestamp"))
    assert (percent.Trigger, percent.DeadbandType, percent.DeadbandValue) == (2, 2, 2.0)


def test_sequence_numbers_never_are_0():
    assert [after(n) for n in (0, 1, 2**32 - 2, 2**32 - 1)] == [1, 2, 2**32 - 1, 1]
