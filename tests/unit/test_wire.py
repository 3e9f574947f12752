"""core.wire: what goes in comes out, to the bit, and junk is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import wire
from agent.core.nouns import Batch, Catalogue, Command, Mode, Part, Point, Role, Summary, Tick


def batch(values):
    n = len(values)
    return Batch(
        "plc",
        np.arange(n, dtype=np.int32),
        np.array(values, float),
        np.zeros(n, np.uint32),
        np.arange(n),
        np.zeros(n, np.int64),
        ((0, "text"),) if n else (),
    )


@given(st.lists(st.floats(width=64), max_size=20), st.integers(0, 2**62))
def test_a_tick_survives_to_the_bit(values, now_ns):
    tick = Tick("rig", 3, 7, now_ns, (batch(values),), (Command("1", "ack", "x", "me", {"a": "b"}),))
    back = wire.decode(Tick, wire.encode(tick))
    assert back.batches[0].value.tobytes() == tick.batches[0].value.tobytes()
    assert back.batches[0].tag.dtype == np.int32
    assert (back.now_ns, back.commands, back.batches[0].texts) == (now_ns, tick.commands, tick.batches[0].texts)


def test_scalars_that_are_not_finite_keep_the_header_valid_json():
    point = Point("a/b/c", Role.SCORE, eu_hi=float("inf"), enum={1: "on"})
    message = wire.encode(Catalogue("g", 1, (point,), (Part("a", 0, 1, path=("x", "y")),)))
    assert b"Infinity" not in message.replace(b'"Infinity"', b"").replace(b'"inf"', b"")
    back = wire.decode(Catalogue, message)
    assert back.points[0].eu_hi == float("inf")
    assert back.points[0].enum == {1: "on"}
    assert back.part("a").path == ("x", "y")


def test_a_summary_with_enumeration_and_columns():
    f = np.array([1.0, np.nan])
    summary = Summary("a", 1, 2, Mode.RUNNING, {"p": "q"}, "window", ("x", "y"), f, f, f, f, f, f, float("nan"))
    back = wire.decode(Summary, wire.encode(summary))
    assert back.mode is Mode.RUNNING
    assert np.isnan(back.score_max)
    assert back.min.tobytes() == f.tobytes()


@given(st.binary(max_size=200))
def test_junk_is_a_wire_error_and_nothing_else(junk):
    with pytest.raises(wire.WireError):
        wire.decode(Tick, junk)


def test_a_truncated_message_is_refused():
    message = wire.encode(batch([1.0, 2.0]))
    with pytest.raises(wire.WireError):
        wire.decode(Batch, message[:-3])


def test_what_cannot_be_sent_is_named():
    with pytest.raises(TypeError, match="object"):
        wire.encode(object())
