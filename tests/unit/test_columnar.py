"""Blocks of columns: whatever goes in comes out bit by bit, and it is small."""

import random
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import wire
from agent.core.nouns import Batch, Condition, Mode, Snapshot, Tick
from agent.store import blocks, columnar
from agent.store.record import RAW, Entry

N, RUN = 100, 1 << 32


def cycles(count, seed=3):
    """(tick, snapshot) of each second: walks of 16 bit and noise, as a machine gives them."""
    chance = np.random.default_rng(seed)
    walk = chance.integers(5000, 50000, N // 2)
    for n in range(count):
        walk = walk + chance.integers(-3, 4, N // 2)
        value = np.concatenate([walk, chance.normal(300, 1, N // 2).astype(np.float32)]).astype(np.float64)
        t_ns = 10**15 + n * 10**9 + int(chance.integers(10**6))
        zeros, times = np.zeros(N, np.int64), np.full(N, t_ns - 10**8)
        status = np.zeros(N, np.uint32)
        batch = Batch("plc", np.arange(N, dtype=np.int32), value, status, times, zeros)
        high = Condition("m/a.high", "m", "m/a", "limit", "alarm", value=float(value[-1]), limit=0.1, since_ns=t_ns)
        yield (
            Tick("m", 1, RUN + n, t_ns, (batch,)),
            Snapshot("m", 1, RUN + n, t_ns, value, status, times, zeros, {3: f"text {n // 20}"}, Mode.RUNNING, {},
                     (high,), None, (), (), ()),
        )  # fmt: skip


def entries(count):
    for tick, snapshot in cycles(count):
        yield Entry(RAW, "m", "tick", tick.now_ns, wire.encode(tick))
        yield Entry(RAW, "m", "snapshot", snapshot.t_ns, wire.encode(snapshot))


def test_a_minute_comes_back_bit_by_bit_in_fewer_bytes_than_the_messages_compressed():
    given = list(entries(60))
    block = blocks.pack(given)
    assert blocks.unpack(block.body) == [(e.kind, e.t_ns, e.body) for e in given]
    assert len(block.body) < 0.65 * len(zlib.compress(b"".join(e.body for e in given), 6))


def test_groups_are_arrays_over_time():
    ticks = [tick for tick, _ in cycles(20)]
    block = blocks.pack([Entry(RAW, "m", "tick", t.now_ns, wire.encode(t)) for t in ticks]).body
    (group,) = columnar.groups(block)
    assert (group.kind, group.t_ns.tolist()) == ("tick", [t.now_ns for t in ticks])
    assert columnar.together(group.row(7)) == wire.encode(ticks[7])


ODD = (b"", b"\0", b"o", b"\xff\xff\xff\xff", b"\x02\0\0\0{}", wire.encode(Mode.RUNNING), wire.encode([1e300, 10**30]))
numbers = st.floats(width=64) | st.integers(-(2**70), 2**70) | st.just(-0.0) | st.just(1e16)
trees = st.recursive(numbers | st.text(max_size=8) | st.none(), lambda t: st.lists(t, max_size=4), max_leaves=12)
said = st.builds(lambda tree, n: wire.encode([tree, np.arange(n, dtype="<f8"), np.arange(n, dtype="<u2")]), trees,
                 st.integers(0, 3))  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["tick", "snapshot"]), said | st.binary(max_size=40) | st.sampled_from(ODD)),
                min_size=1, max_size=12))  # fmt: skip
def test_any_messages_come_back_bit_by_bit_in_their_order(messages):
    groups = columnar.Groups()
    for n, (kind, message) in enumerate(messages):
        groups.add(kind, n, message)
    assert groups.messages() == [message for _, message in messages]
    assert columnar.messages(groups.packed()) == [(kind, n, message) for n, (kind, message) in enumerate(messages)]


@pytest.mark.parametrize(
    "text", ["1.50", "007.5", "1e5", "2026-11-24", "00012345", "-0", "12345.0", "9" * 30, '\\"c\\":']
)
def test_numbers_written_in_another_way_stay_as_they_are_written(text):
    message = wire.encode({"note": text, "c": [12345, 0.1]})
    assert columnar.together(columnar.apart(message)) == message


def test_a_header_that_is_not_ours_is_kept_as_it_is():
    (tick, _) = next(cycles(1))
    message = wire.encode(tick)
    for cut in (
        message[:-1],
        message + b"x",
        message.replace(b'"m"', b"\x01m\x02"),
        message.replace(b'"m"', b'"\xe9"'),
    ):
        row = columnar.apart(cut)
        assert row.template == b""
        assert columnar.together(row) == cut


def test_flipped_bytes_of_a_block_are_an_error_or_other_bytes_and_nothing_else():
    body, chance = blocks.pack(list(entries(5))).body, random.Random(5)
    for _ in range(150):
        at = chance.randrange(len(body))
        flipped = body[:at] + bytes([body[at] ^ (1 << chance.randrange(8))]) + body[at + 1 :]
        try:
            blocks.unpack(flipped)
        except ValueError:
            continue


def test_large_messages_are_compressed_as_they_come_and_small_ones_after_them_too():
    (tick, _) = next(cycles(1))
    batch = tick.batches[0]
    large = replace(tick, batches=(batch,) * 12)
    given = [Entry(RAW, "m", "tick", n, wire.encode(tick if n == 6 else large)) for n in range(9)]
    filling = blocks.Filling("m")
    for entry in given:
        filling.add(entry)
    body = filling.packed().body
    assert body[0] == blocks.DIFFERENCES
    assert filling.held < 0.3 * filling.size
    assert blocks.unpack(body) == [(e.kind, e.t_ns, e.body) for e in given]
