"""What decides in the MQTT sink: whose turn it is, how fast a backlog goes, what is sent again. No broker here."""

import json
import zlib
from dataclasses import replace

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import wire
from agent.runtime.journal import Record
from agent.sinks.mqtt import Config, bucket, confirming, envelope, payload
from agent.sinks.mqtt.brokers import CALM_NS, STEADY_NS, Tries, after
from agent.sinks.mqtt.confirming import Unconfirmed
from agent.sinks.mqtt.faults import WORDS, Fault
from agent.store.record import ClockRow

S = 1_000_000_000


def test_brokers_stand_in_an_order_with_their_ports():
    config = Config(brokers=["127.0.0.1", "localhost:1884", "[::1]:1885", "::1"])
    assert config.places == (("127.0.0.1", 1883), ("localhost", 1884), ("::1", 1885), ("::1", 1883))
    assert Config(brokers=["a.example", "b.example:99"], tls=True).places == (("a.example", 8883), ("b.example", 99))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "the broker is missing, expected host or brokers"),
        ({"host": "localhost", "brokers": ["localhost"]}, "expected one of them"),
        ({"brokers": ["localhost"], "port": 1}, "expected host:port in brokers"),
        ({"brokers": ["localhost", "b.example"]}, "b.example is not on this machine"),
        *(
            ({"brokers": [wrong]}, "names no broker")
            for wrong in ("", ":1", "a:b", "a:0", "[::1", "mqtt://a", "a:99999")
        ),
    ],
)
def test_what_names_no_broker(options, said):
    with pytest.raises(pydantic.ValidationError, match=said):
        Config(**options)


def test_every_fault_has_words():
    assert set(WORDS) == set(Fault)


def test_the_next_broker_has_its_turn_and_only_a_whole_round_makes_the_waits_grow():
    tries, turns, waits = Tries(), [], []
    for _ in range(30):
        turns.append(tries.turn)
        tries, wait_s = after(tries, Fault.UNREACHABLE, 0, 3)
        waits.append(wait_s)
    assert turns == [0, 1, 2] * 10
    assert all(wait_s < 1 for n, wait_s in enumerate(waits) if n % 3 != 2)
    assert min(waits[-1], waits[-4]) >= 5
    assert max(waits) <= 15
    assert all(after(Tries(failures=20), fault, 0, 1)[1] >= 30 for fault in (Fault.REFUSED_US, Fault.TLS))


def test_a_connection_that_held_begins_at_the_first_and_one_that_did_not_leads_on():
    tried = Tries(turn=1, failures=7)
    assert after(tried, Fault.HUNG_UP, STEADY_NS + 1, 3)[0] == Tries(0, 1, 1, 0, Fault.HUNG_UP)
    assert after(tried, Fault.HUNG_UP, STEADY_NS - 1, 3)[0].turn == 2


def test_a_connection_that_lived_for_seconds_makes_the_waits_begin_anew():
    tried = Tries(failures=7)
    for held_ns, failures in ((0, 8), (S, 8), (3 * S, 1)):
        tries, wait_s = after(tried, Fault.HUNG_UP, held_ns, 1)
        assert tries.failures == failures
        assert (wait_s < 1) == (failures == 1)
    assert after(tried, Fault.SILENT, S, 1, useful=True)[0].failures == 1
    assert after(replace(tried, hung_up=2), Fault.HUNG_UP, 3 * S, 1)[0].failures == 8  # somebody pushes us out


def test_being_pushed_out_waits_longer_each_time_until_it_was_calm():
    tries, waits = Tries(), []
    for _ in range(8):
        tries, wait_s = after(tries, Fault.TAKEN_OVER, STEADY_NS + 1, 1)
        waits.append(wait_s)
    assert waits[0] >= 5
    assert waits[-1] >= 150
    assert tries.taken_over == 8
    assert after(tries, Fault.TAKEN_OVER, CALM_NS + 1, 1)[0].taken_over == 1


def test_a_broker_that_hangs_up_again_and_again_means_another_client_with_our_id():
    tries = Tries()
    for n in range(4):
        assert tries.taken_over == max(0, n - 2)
        assert (tries.fault is Fault.TAKEN_OVER) == (n == 3)
        tries, _ = after(tries, Fault.HUNG_UP, S, 1)
    for _ in range(9):  # never let in is something else
        tries, _ = after(tries, Fault.HUNG_UP, 0, 1)
    assert tries.hung_up == 0


@given(st.lists(st.tuples(st.floats(0, 5000), st.floats(0, 3)), min_size=1, max_size=60))
def test_a_bucket_lets_through_its_rate_and_one_burst(takes):
    state, now_ns, last = bucket.full(100.0, 200.0, 0), 0, 0.0
    let_through = []
    for amount, pause_s in takes:
        now_ns += int(pause_s * S)
        state, wait_s = bucket.taken(state, amount, now_ns)
        let_through.append((now_ns, amount))
        now_ns += int(wait_s * S)
        last = amount
    span_s = (let_through[-1][0] - let_through[0][0]) / S
    assert sum(amount for _, amount in let_through) <= 200 + 100 * span_s + last + 1e-3


@given(st.binary(min_size=1), st.integers(64, 300))
def test_a_payload_is_json_or_zlib_by_its_first_byte(junk, above):
    content = b'{"x":"%s"}' % junk.hex().encode()
    payload = envelope.packed(content, above)
    assert (payload[:1] == b"{") == (len(content) <= above)
    assert (payload if payload[:1] == b"{" else zlib.decompress(payload)) == content
    assert envelope.packed(content, None) == content
    if payload[:1] != b"{":
        assert payload[0] == 0x78


def record(seq, class_="event"):
    return Record(seq, class_, 1, seq, "boot", 1, 1, "synchronised", "tank", "event", b"body")


def stored(*ranges, class_="event", epoch=1):
    return json.dumps({"epoch": epoch, "class": class_, "ranges": ranges}).encode()


def waiting(n, timeout_s=10.0):
    unconfirmed = Unconfirmed(timeout_s)
    for seq in range(1, n + 1):
        unconfirmed.publishing(record(seq), "cursor", seq)
    return unconfirmed


def seqs(sent):
    return [s.record.seq for s in sent]


def test_what_is_confirmed_waits_no_more_and_nothing_else_is_touched():
    unconfirmed = waiting(9)
    assert seqs(unconfirmed.confirmed(stored([2, 3], [3, 4]))) == [2, 3, 4]
    assert not unconfirmed.confirmed(stored([2, 3]))
    assert not unconfirmed.confirmed(stored([1, 9], class_="summary"))
    assert not unconfirmed.confirmed(stored([1, 9], epoch=2))
    assert not unconfirmed.confirmed(stored([9, 1], [-5, -1]))
    assert seqs(unconfirmed.confirmed(stored([0, 10**18]))) == [1, 5, 6, 7, 8, 9]
    assert len(unconfirmed) == 0


@pytest.mark.parametrize(
    "payload",
    [b"", b"junk", b"[]", b"1", b'{"epoch":1}', stored(1), stored([1]), stored([1, 2, 3]), stored(["1", "2"]),
     stored([1.5, 2]), stored([True, 2]), stored([1, 2], epoch="1"), stored([1, 2], class_=["event"]), b"\xff",
     b"[" * 99999],
)  # fmt: skip
def test_what_confirms_nothing_says_what_was_expected(payload):
    with pytest.raises(ValueError, match="expected"):
        waiting(3).confirmed(payload)


def test_what_is_not_confirmed_is_sent_again_once_and_then_only_the_oldest_ever_more_seldom():
    unconfirmed, sent = waiting(4), {}
    for second in range(2000):
        again = unconfirmed.overdue(second * S)
        if again:
            sent[second] = [r.seq for r in again]
    times = list(sent)
    assert sent[times[0]] == [1, 2, 3, 4]
    assert 10 <= times[0] <= 12
    assert all(len(seqs) == 1 for second, seqs in sent.items() if second > times[0])
    assert times[-1] - times[-2] >= 160
    assert 10 <= len(times) <= 20
    assert not unconfirmed.overdue(times[-1] * S)


def test_as_soon_as_anything_is_confirmed_all_that_is_overdue_follows():
    unconfirmed = waiting(4)
    for second in range(100):
        unconfirmed.overdue(second * S)
    assert seqs(unconfirmed.confirmed(stored([1, 1]))) == [1]
    assert {r.seq for r in unconfirmed.overdue(200 * S)} == {2, 3, 4}


def test_a_record_that_failed_is_not_known_and_one_that_waits_goes_to_its_new_cursor():
    unconfirmed = waiting(2)
    unconfirmed.failed(record(1))
    assert not unconfirmed.knows(record(1), "new")
    assert unconfirmed.knows(record(2), "new")
    assert [s.cursor for s in unconfirmed.confirmed(stored([1, 2]))] == ["new"]
    assert not unconfirmed.full()
    assert waiting(confirming.MOST).full()


def test_a_clock_that_comes_right_is_a_message_by_which_all_of_its_boot_are_placed():
    row = ClockRow(5_000, 1_700_000_000_000_000_000, "synchronised")
    record = Record(
        9, "event", 1, 3, "boot-7", 5_000, row.wall_ns, "synchronised", "gateway", "clock", wire.encode(row)
    )
    told = json.loads(payload.message("g", record).content)
    told.pop("hash")
    assert told == {
        "gateway": "g", "class": "event", "epoch": 1, "seq": 3, "asset": "gateway", "kind": "clock",
        "clock": "synchronised", "boot": "boot-7", "boot_ns": 5_000,
        "time": "2023-11-14T22:13:20.000Z", "time_ns": 1_700_000_000_000_000_000,
    }  # fmt: skip
