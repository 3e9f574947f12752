"""Requests from the cloud, as text: nothing that anybody sends is more than an answer that says what was expected."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sinks.mqtt import asked
from agent.sinks.mqtt.asked import RequestError

KEYS = ("id", "do", "class", "epoch", "from", "to", "asset", "condition", "comment", "target")
TEXT = st.text(st.characters(), max_size=300)  # lone surrogates and control characters too
LEAF = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT)
VALUE = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
TREE = st.dictionaries(st.sampled_from(KEYS) | TEXT, VALUE, max_size=6)


@given(TREE)
def test_any_object_is_read_or_refused_and_answered(tree):
    for read in (asked.word, asked.whole, asked.utc_ns):
        for key in KEYS:
            try:
                read(tree, key)
            except RequestError as error:
                assert "expected" in str(error)
                answer = json.loads(asked.answer(tree, False, str(error)))
                assert answer["ok"] is False
    for check in (asked.expect, asked.comment):
        try:
            check(tree)
        except RequestError as error:
            json.loads(asked.answer(tree, False, str(error)))


@given(st.binary(max_size=200) | TREE.map(lambda tree: json.dumps(tree).encode()))
def test_any_bytes_are_an_object_or_refused(content):
    try:
        assert isinstance(asked.tree_of(content), dict)
    except RequestError as error:
        json.loads(asked.answer({}, False, str(error)))


@pytest.mark.parametrize(
    ("value", "ns"),
    [
        (1_795_348_800_000_000_000, 1_795_348_800_000_000_000),
        ("2026-11-22T12:00:00Z", 1_795_348_800_000_000_000),
        ("2026-11-22T13:00:00.25+01:00", 1_795_348_800_250_000_000),
    ],
)
def test_times_as_people_and_programs_write_them(value, ns):
    assert asked.utc_ns({"from": value}, "from") == ns


@pytest.mark.parametrize("value", ["2026-11-22T12:00:00", "0001-01-01T00:00:00+23:59", "yesterday", -1, 1 << 70, 1.5])
def test_times_without_a_place_on_the_earth_or_in_this_age(value):
    with pytest.raises(RequestError, match="expected a time"):
        asked.utc_ns({"from": value}, "from")


def test_a_text_that_would_forge_a_line_of_the_log_is_refused():
    with pytest.raises(RequestError, match="expected a text"):
        asked.word({"condition": "a\nb"}, "condition")
