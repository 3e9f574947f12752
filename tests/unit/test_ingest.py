"""The receiving end without broker and database: what a message says, what is missing, which message stands."""

import json
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_rig import event, key_of, names, summary

from agent.ingest import message, options, rows
from agent.ingest.flow import Arrived, confirmations, content_of
from agent.ingest.message import Names, Record, RefusedError
from agent.ingest.sequence import Stream, seen

NUMBERS = st.lists(st.integers(1, 40), max_size=30)


@given(st.lists(NUMBERS))
def test_holes_are_what_has_not_come_whatever_the_order_and_the_batches(batches):
    stream, arrived = Stream(), set()
    for batch in batches:
        stream, arrived = seen(stream, batch), arrived | {*batch}
        last = max(arrived, default=0)
        assert stream.last == last
        assert {n for first, end in stream.holes for n in range(first, end + 1)} == {*range(1, last + 1)} - arrived
        assert all(a[1] + 1 < b[0] for a, b in pairwise(stream.holes))


def test_a_message_is_read_only_if_it_is_whole():
    whole = event(7)
    said = message.read(("event", "tank"), whole)
    assert isinstance(said, Record)
    assert (said.name, said.body) == (("gw1", "event", 1, 7), whole.decode())
    for at in range(1, len(whole)):
        with pytest.raises(RefusedError):
            message.read(("event", "tank"), whole[:at])


@given(st.integers(0, 10**9), st.integers(1, 255))
def test_no_changed_byte_is_taken_for_what_was_sent(at, flip):
    changed = bytearray(event(7))
    changed[at % len(changed)] ^= flip
    with pytest.raises(RefusedError) as refused:
        message.read(("event", "tank"), bytes(changed))
    assert refused.value.name is None  # nobody knows what it was: it is not confirmed


@given(
    st.binary(max_size=60), st.sampled_from([("event", "tank"), ("names", "tank"), ("birth",), ("status",), ("x",), ()])
)
def test_any_bytes_are_read_or_refused(payload, rest):
    try:
        message.read(rest, payload)
    except RefusedError as error:
        assert str(error)


VERSIONS = [
    event(3, clock=clock, at_ns=10**18 + shift, text=text)
    for clock in ("unknown", "unsynchronised", "synchronised")
    for shift in (0, 1)
    for text in ("a", "b", "longer")
]


@given(st.permutations(VERSIONS))
def test_of_messages_of_one_record_the_same_one_stands_in_whatever_order_they_come(order):
    content = content_of([Arrived("edgetwin/gw1", ("event", "tank"), payload) for payload in order])
    ((name, stands),) = content.records.items()
    assert (stands.clock, stands.tree["text"]) == ("synchronised", "longer")
    assert stands.hash == max(p[-18:-2].decode() for p in VERSIONS if b'"synchronised"' in p and b"longer" in p)
    assert confirmations(content) == [("edgetwin/gw1/stored", b'{"epoch":1,"class":"event","ranges":[[3,3]]}')]
    assert name.seq == 3


def test_both_layouts_give_the_same_rows():
    tags = ["level", "flow", "state"]
    named = message.read(("summary", "tank"), summary(5, tags))
    columns = message.read(("summary", "tank"), summary(5, tags, layout="columns"))
    told = message.read(("names", "tank"), names(tags))
    assert told == Names(key_of(tags), tuple(tags))
    assert rows.key_of(columns.tree) == told.key
    assert rows.rows(named.tree) == rows.rows(columns.tree, told.tags)
    assert rows.rows(named.tree)[1] == ("flow", *[5.1] * 6)


def test_what_is_no_number_is_null_and_columns_must_fit_their_names():
    tree = json.loads('{"columns": {"last": [1e999, [1, 2], null, true, "x", 3]}, "names": "0123456789abcdef"}')
    assert [row[4] for row in rows.rows(tree, "abcdef")] == [None, None, None, None, None, 3.0]
    with pytest.raises(RefusedError, match="lists of 2"):
        rows.rows(tree, "ab")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mqtt://far", "not on this machine"),
        ("mqtts://u:secret@h", "use --password-file"),
        ("http://h", "expected mqtts://"),
        ("mqtts://h:port", "--broker"),
    ],
)
def test_a_broker_that_cannot_be_is_told_in_a_line(url, said):
    with pytest.raises(options.OptionError, match=said) as error:
        options.broker(url, "", "5", options.Credentials())
    assert "secret" not in str(error.value)


def test_a_database_beyond_this_machine_is_spoken_to_encrypted(monkeypatch):
    monkeypatch.delenv("PGSSLMODE", raising=False)
    assert "sslmode=verify-full" in options.database("postgresql://u@db.example/x")
    assert "sslmode=require" in options.database("postgresql://u@db.example/x?sslmode=require")
    for near in ("postgresql:///x", "postgresql://u@127.0.0.1/x", "postgresql:///x?host=/run/pg"):
        assert "sslmode" not in options.database(near)
    with pytest.raises(options.OptionError, match="PGPASSFILE"):
        options.database("postgresql://u:secret@db.example/x")


def test_random_messages_of_many_gateways_are_confirmed_each_to_its_own():
    chance = random.Random(3)
    numbers = [(f"gw{chance.randint(1, 3)}", chance.randint(1, 9)) for _ in range(40)]
    arrived = [Arrived(f"site/{gw}", ("event", "tank"), event(n, gateway=gw)) for gw, n in numbers]
    told = {(topic, n) for topic, payload in confirmations(content_of(arrived))
            for first, last in json.loads(payload)["ranges"] for n in range(first, last + 1)}  # fmt: skip
    assert told == {(f"site/{gw}/stored", n) for gw, n in numbers}
