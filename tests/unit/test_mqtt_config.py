"""What the MQTT sink's configuration refuses, and what its messages look like. No broker here."""

import hashlib
import json
import math

import numpy as np
import pydantic
import pytest

from agent.core import wire
from agent.core.nouns import Case, Event, Mode, Summary, Trace
from agent.runtime.journal import Record
from agent.sinks.mqtt import Config, payload

NOON_NS = 1_795_348_800_000_000_000  # 2026-11-22T12:00:00Z


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_plain_text_on_this_machine(host):
    assert Config(host=host).places == ((host, 1883),)


@pytest.mark.parametrize("host", ["broker.example", "192.168.1.5", "10.0.0.1", "localhost.example", "::2"])
def test_no_plain_text_over_a_network(host):
    with pytest.raises(pydantic.ValidationError, match="expected tls: true"):
        Config(host=host)
    assert Config(host=host, tls=True).places == ((host, 8883),)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tls": True, "cert_file": "a"}, "go together"),
        ({"ca_file": "a"}, "expected tls: true"),
        ({"password_file": "a"}, "needs user"),
        ({"prefix": "a/#"}, "cannot begin topics"),
        ({"prefix": "/a"}, "cannot begin topics"),
        ({"figures": ["last", "last"]}, "expected each once"),
        ({"figures": []}, "at least 1 item"),
        ({"prefix": "$SYS"}, "cannot begin topics"),
        ({"keepalive_s": 1}, "greater than or equal to 5"),
        ({"version": "4"}, "'5' or '3.1.1'"),
        ({"hots": "a"}, "Extra inputs"),
    ],
)
def test_what_is_refused(options, said):
    with pytest.raises(pydantic.ValidationError, match=said):
        Config(host="localhost", **options)


def record(noun, kind, clock="synchronised", t_ns=1000, wall_ns=NOON_NS):
    body = noun if isinstance(noun, bytes) else wire.encode(noun)
    return Record(1, kind, 2, 7, "boot", t_ns, wall_ns, clock, "tank", kind, body)


def said(*arguments, **over):
    text = payload.message("gw1", record(*arguments, **over)).content.decode()
    return json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))


def test_a_summary_is_strict_json_with_utc_times():
    nothing = np.array([math.nan, math.inf, 0.1])
    summary = Summary("tank", 1000 - 500_000_000, 1000, Mode.RUNNING, {}, "window", ("a", "b", "c"),
                      *[nothing] * 6, math.nan)  # fmt: skip
    message = said(summary, "summary")
    assert (message["gateway"], message["class"], message["epoch"], message["seq"]) == ("gw1", "summary", 2, 7)
    assert (message["start"], message["end"]) == ("2026-11-22T11:59:59.500Z", "2026-11-22T12:00:00.000Z")
    assert message["end_ns"] == NOON_NS
    assert message["tags"]["a"] == dict.fromkeys(("min", "mean", "max", "last", "std", "good"))
    assert message["tags"]["b"]["max"] is None
    assert message["tags"]["c"]["mean"] == 0.1
    assert "boot" not in message


def test_an_event_carries_its_case_and_times_that_are_not_there_are_null():
    case = Case("c1", "tank", 500, ("a", "b"), "lower/level")
    message = said(Event("e1", "tank", 1000, "case_opened", "look at ä", case=case), "event", clock="unsynchronised")
    assert message["text"] == "look at ä"
    assert message["case"]["opened_ns"] == NOON_NS - 500
    assert (message["case"]["closed"], message["case"]["closed_ns"]) == (None, None)
    assert message["condition"] is None
    assert (message["clock"], message["boot"], message["boot_ns"]) == ("unsynchronised", "boot", 1000)


def test_without_any_clock_there_is_no_time_but_a_message():
    message = said(Event("e1", "tank", 1000, "mode", "x"), "event", clock="unknown", wall_ns=0)
    assert (message["time"], message["time_ns"], message["boot_ns"]) == (None, None, 1000)


@pytest.mark.parametrize("kind", ["event", "summary", "other"])
def test_what_cannot_be_read_is_told_and_not_left_out(kind):
    message = said(b"junk", kind)
    assert message["seq"] == 7
    assert message["unreadable"]


@pytest.mark.parametrize("noun", [b"junk", Event("e1", "tank", 1000, "mode", 'x","hash":"0')])
def test_the_last_member_is_the_hash_of_all_before_it(noun):
    content = payload.message("gw1", record(noun, "event")).content
    before, _, rest = content.rpartition(b',"hash":"')
    assert rest == hashlib.sha256(before).hexdigest()[:16].encode() + b'"}'
    assert json.loads(content)["hash"] == rest[:16].decode()


def test_a_record_of_another_time_has_another_hash():
    at_noon, later = (said(Event("e", "tank", 1000, "mode", "x"), "event", wall_ns=NOON_NS + n) for n in (0, 1))
    assert at_noon["hash"] != later["hash"]


def test_a_summary_can_be_told_in_fewer_figures():
    assert Config(host="localhost", figures=["last", "good"]).figures == ("last", "good")


def test_a_trace_is_points_since_the_start_of_the_window():
    trace = Trace(np.array([0, 0, 2]), np.array([990, 1200, 1300]), np.array([1.5, math.nan, 2.0]))
    summary = Summary("tank", 1000, 2000, Mode.RUNNING, {}, "window", ("a", "b", "c"), *[np.zeros(3)] * 6, math.nan,
                      trace=trace)  # fmt: skip
    assert said(summary, "summary", t_ns=2000)["trace"] == {"a": [[-10, 1.5], [200, None]], "c": [[300, 2.0]]}


def columns_of(*names):
    column = np.arange(float(len(names)))
    summary = Summary("tank", 0, 1000, Mode.RUNNING, {}, "window", names, *[column] * 6, math.nan)
    return payload.message("gw1", record(summary, "summary"), ("last", "good"), "columns")


def test_a_summary_by_columns_names_the_list_that_says_which_tag_stands_where():
    found = columns_of("a/x", "ä/y")
    message, names = json.loads(found.content), json.loads(payload.names_of("gw1", "tank", found.names, found.key))
    assert message["columns"] == {"last": [0.0, 1.0], "good": [0.0, 1.0]}
    assert "tags" not in message
    assert names == {"gateway": "gw1", "asset": "tank", "names": message["names"], "tags": ["a/x", "ä/y"]}
    assert (message["asset"], message["seq"], message["mode"]) == ("tank", 7, "running")


def test_other_tags_or_another_order_of_them_are_another_list():
    keys = [columns_of(*names).key for names in (("a", "b"), ("b", "a"), ("a",), ("a", "b", "c"), ())]
    assert len(set(keys)) == 5
    assert columns_of("a", "b").key == keys[0]
