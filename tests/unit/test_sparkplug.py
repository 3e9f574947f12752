"""Sparkplug without a broker: what becomes a metric, what is news, what a host is believed, what outlasts a restart."""

import json

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import quality
from agent.core.nouns import Catalogue, Condition, Kind, Mode, Part, Point, Role, Snapshot, Tag
from agent.sinks import mqtt
from agent.sinks.mqtt.sparkplug import bdseq, changes, commands, host, metrics, payload
from agent.sinks.mqtt.sparkplug.host import State
from agent.sinks.mqtt.sparkplug.proto import DataType, Payload, decoded

LEVEL = Point("a/x/level", Role.MEASURED, deadband=0.5, unit="m", eu_lo=0, eu_hi=2, description="Level")
COUNT = Point("a/x/count", Role.MEASURED, type="uint32")
WORD = Point("a/x/word", Role.STATUS, kind=Kind.TEXT)
WAVE = Point("a/x/wave", Role.MEASURED, kind=Kind.ARRAY)
CATALOGUE = Catalogue("g", 1, (LEVEL, COUNT, WORD, WAVE), (Part("a", 0, 4),))
DEVICE = metrics.devices(CATALOGUE)["a"]
NAN = float("nan")


def snapshot(level=1.0, count=3.0, word="on", wave=(1.0,), status=(0, 0, 0, 0), conditions=(), t_ns=10_000_000):
    status = np.array(status, np.uint32)
    value = np.where(quality.bad_mask(status), NAN, np.array([level, count, NAN, NAN]))
    return Snapshot("a", 1, 1, t_ns, value, status, np.full(4, t_ns - 1_000_000), np.zeros(4, np.int64), {2: word},
                    Mode.RUNNING, {}, conditions, None, (), (), (), arrays={3: np.array(wave)})  # fmt: skip


def told(first, *later):
    """Names and values told of each of `later`, after everything of `first` was."""
    aliases = metrics.Aliases(100)
    known, _ = changes.everything(DEVICE, first, aliases, 0)
    rounds = []
    for one in later:
        known, readings = changes.differing(DEVICE, known, one, aliases, 0)
        rounds.append({r.metric.name: r.value for r in readings})
    return rounds


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ({"type": "bool"}, "bool"),
        ({"type": "bit3"}, "bool"),
        ({"type": "uint16.3"}, "bool"),
        ({"type": "int8l"}, "int8"),
        ({"type": "uint8h"}, "uint8"),
        ({"type": "int16"}, "int16"),
        ({"type": "bcd32"}, "uint32"),
        ({"type": "uint64"}, "uint64"),
        ({"type": "float32"}, "float32"),
        ({"type": "float64"}, ""),
        ({"type": "int16", "scale": 0.1}, ""),
        ({"type": "int16", "offset": 2.0}, ""),
        ({"type": "int16", "beyond": "clamp"}, ""),
        ({"type": "string(8)"}, ""),
        ({"type": "int16[4]"}, ""),
        ({"type": "uint16", "enum": {0: "off"}}, "uint16"),
    ],
)
def test_a_tag_says_what_its_values_are_after_scaling(tag, expected):
    assert Tag("a/x/y", "1", **tag).published_type == expected


def test_a_device_has_its_points_in_order_under_their_own_names():
    assert [(m.name, m.alias, m.type) for m in DEVICE.metrics] == [
        ("x/level", 1, DataType.DOUBLE),
        ("x/count", 2, DataType.INT64),
        ("x/word", 3, DataType.STRING),
        ("x/wave", 4, DataType.DOUBLE_ARRAY),
    ]
    assert {p.key: p.value for p in DEVICE.metrics[0].properties} == {
        "engUnit": "m", "engLow": 0, "engHigh": 2, "documentation": "Level", "role": "measured", "readOnly": True,
    }  # fmt: skip


def test_points_of_another_time_are_found_by_name_and_kind():
    then = (WORD, Point("a/x/count", Role.MEASURED, kind=Kind.TEXT), LEVEL)
    assert DEVICE.rows(then).tolist() == [2, -1, 0, -1]


def test_names_that_differ_in_capitals_alone_are_told():
    two = Catalogue("g", 1, (LEVEL, Point("a/X/Level", Role.MEASURED)), (Part("a", 0, 2),))
    assert metrics.doubtful(two) == ("a/X/Level",)
    assert metrics.doubtful(CATALOGUE) == ()


def test_only_what_differs_from_what_was_told_is_told():
    assert told(snapshot(), snapshot(), snapshot(count=4.0), snapshot(count=4.0)) == [{}, {"x/count": 4.0}, {}]


def test_a_slow_drift_is_told_against_what_was_told_and_not_the_sample_before():
    """As asyncua's deadband does not (research/reliability.md, finding 2)."""
    rounds = told(snapshot(0.0), *(snapshot(0.25 * n) for n in range(1, 11)))
    assert [r["x/level"] for r in rounds if r] == [0.75, 1.5, 2.25]


def test_a_change_of_status_is_told_within_the_deadband_and_with_its_quality():
    aliases = metrics.Aliases(100)
    known, _ = changes.everything(DEVICE, snapshot(), aliases, 0)
    bad = snapshot(status=(quality.BAD_SENSOR_FAILURE, 0, 0, 0))
    known, (gone,) = changes.differing(DEVICE, known, bad, aliases, 0)
    assert (gone.value, gone.status, gone.wall_ms) == (None, quality.BAD_SENSOR_FAILURE, 10)
    known, (back,) = changes.differing(DEVICE, known, snapshot(1.1), aliases, 0)
    assert (back.value, back.status, back.wall_ms) == (1.1, quality.GOOD, 9)
    assert changes.differing(DEVICE, known, snapshot(1.2, status=(0x500, 0, 0, 0)), aliases, 0)[1] == []  # info bits


def test_texts_and_arrays_are_compared_whole():
    assert told(snapshot(), snapshot(word="off"), snapshot(word="off", wave=(1.0, 2.0)))[0] == {"x/word": "off"}
    assert told(snapshot(wave=(NAN,)), snapshot(wave=(NAN,))) == [{}]


@given(st.lists(st.tuples(st.floats(-5, 5) | st.just(NAN), st.sampled_from([0, quality.UNCERTAIN, quality.BAD]))))
def test_a_host_is_never_further_off_than_the_deadband(samples):
    aliases, knows = metrics.Aliases(100), {}
    known, readings = changes.everything(DEVICE, snapshot(), aliases, 0)
    for level, status in samples:
        knows |= {r.metric.name: r.value for r in readings}
        one = snapshot(level, status=(status, 0, 0, 0))
        known, readings = changes.differing(DEVICE, known, one, aliases, 0)
        knows |= {r.metric.name: r.value for r in readings}
        true = one.value[0]
        assert (knows["x/level"] is None) == np.isnan(true)
        assert knows["x/level"] is None or abs(knows["x/level"] - true) <= 0.5


def test_conditions_are_metrics_of_the_device_with_aliases_that_stay():
    def condition(active, acknowledged, since_ns):
        return Condition("a/x/level.high", "a", "a/x/level", "limit", "alarm", active=active,
                         acknowledged=acknowledged, since_ns=since_ns)  # fmt: skip

    before, after = (snapshot(conditions=(c,)) for c in (condition(False, True, 0), condition(True, False, 7_000_000)))
    assert told(before, after, after) == [
        {f"conditions/x/level.high/{key}": value for key, value in
         {"active": True, "acknowledged": False, "since": 7.0}.items()}, {},
    ]  # fmt: skip
    aliases = metrics.Aliases(100)
    first, again = (metrics.of_condition(condition(True, True, 1), aliases) for _ in range(2))
    assert [m.alias for m in first] == [m.alias for m in again] == [100, 101, 102]
    assert not changes.same_metrics(changes.everything(DEVICE, snapshot(), aliases, 0)[0], after)


@pytest.mark.parametrize(
    ("status", "heard"),
    [
        ((0, 0, 0, 0), True),
        ((quality.BAD_NO_COMMUNICATION, 0, 0, 0), True),
        ((quality.BAD_SENSOR_FAILURE,) * 4, True),
        ((quality.BAD_NO_COMMUNICATION, quality.BAD_NO_COMMUNICATION, 0, quality.BAD_NO_COMMUNICATION), False),
        ((quality.BAD_WAITING_FOR_INITIAL_DATA,) * 4, False),
    ],
)
def test_a_device_is_there_as_long_as_one_measured_value_is(status, heard):
    assert changes.heard(DEVICE, snapshot(status=status)) is heard


@pytest.mark.parametrize(
    ("kind", "value", "field", "sent"),
    [
        (DataType.INT8, -1.0, "int_value", 0xFFFF_FFFF),
        (DataType.INT16, -30000.0, "int_value", 0xFFFF_8AD0),
        (DataType.UINT16, 65535.0, "int_value", 65535),
        (DataType.INT64, -2.0, "long_value", 0xFFFF_FFFF_FFFF_FFFE),
        (DataType.BOOLEAN, 1.0, "boolean_value", True),
        (DataType.FLOAT, 0.5, "float_value", 0.5),
        (DataType.DOUBLE_ARRAY, np.array([12.354213]), "bytes_value", b""),
    ],
)
def test_a_value_is_carried_as_the_specification_says(kind, value, field, sent):
    reading = changes.Reading(metrics.Metric("m", 1, kind), value, 5)
    (metric,) = decoded(payload.data(0, [reading], 5)).metrics
    assert metric.WhichOneof("value") == field
    if isinstance(sent, bytes):
        assert metric.bytes_value == np.array([12.354213], "<f8").tobytes()
    else:
        assert getattr(metric, field) == sent


def test_a_host_is_believed_in_the_order_of_its_own_clock():
    state = State()
    for online, timestamp, believed in [(True, 10, True), (False, 9, True), (False, 10, False), (True, 12, True)]:
        state = host.after(state, json.dumps({"online": online, "timestamp": timestamp}).encode())
        assert state.online is believed


@pytest.mark.parametrize("said", [b"", b"ONLINE", b"{", b"[]", b'{"online":1,"timestamp":2}', b'{"online":true}',
                                  b'{"online":true,"timestamp":true}', b"\xff", b"[" * 100_000])  # fmt: skip
def test_what_is_no_state_changes_nothing(said):
    with pytest.raises(ValueError, match=r"expected|JSON"):
        host.after(State(), said)


def test_a_command_is_known_by_name_or_alias_and_only_a_rebirth_is_one():
    message = Payload(timestamp=1)
    message.metrics.add(name=payload.REBIRTH, boolean_value=True)
    message.metrics.add(alias=7, double_value=2.5)
    message.metrics.add(name="x", is_null=True)
    content = message.SerializeToString()
    assert commands.read(content, True, {7: "a/x/level"}.get) == commands.Commands(
        True, (("a/x/level", "2.5"), ("x", "null"))
    )
    assert commands.read(content, False, str).others[0] == (payload.REBIRTH, "True")
    assert not commands.read(content, False, str).rebirth


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_a_value_error(content):
    try:
        commands.read(content, True, str)
    except ValueError:
        pass


def test_bdseq_goes_round_and_outlasts_what_can_happen_to_its_file(tmp_path, caplog):
    file = bdseq.path(tmp_path / "journal.db", "spb")
    assert bdseq.following(bdseq.read(file)) == 0
    bdseq.write(file, 255)
    assert bdseq.following(bdseq.read(file)) == 0
    file.write_bytes(b"\0\0\0\0")  # a power cut, and a file system that promises little
    assert bdseq.following(bdseq.read(file)) == 0
    assert "bdSeq begins at 0" in caplog.text
    assert [f.name for f in tmp_path.iterdir()] == ["journal.db.spb.bdseq"]
    with pytest.raises(OSError, match="No such file"):
        bdseq.write(tmp_path / "gone" / "file", 3)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"format": "sparkplug_b"}, "go together"),
        ({"sparkplug": {"group_id": "a"}}, "go together"),
        ({"format": "sparkplug_b", "sparkplug": {}}, "group_id"),
        ({"format": "sparkplug_b", "sparkplug": {"group_id": "a/b"}}, "no level of a topic"),
        ({"format": "sparkplug_b", "sparkplug": {"group_id": "a", "edge_node_id": ""}}, "no level of a topic"),
        ({"format": "sparkplug_b", "sparkplug": {"group_id": "a"}, "prefix": "x"}, "prefix: not of format sparkplug_b"),
    ],
)
def test_a_configuration_that_cannot_be_says_why(keys, said):
    with pytest.raises(pydantic.ValidationError, match=said):
        mqtt.Config(host="127.0.0.1", **keys)


def test_history_without_raw_history_is_advised_against():
    config = mqtt.Config(host="127.0.0.1", format="sparkplug_b", sparkplug={"group_id": "a"})
    assert "history: off" in mqtt.advice(config, False)[0]
    assert mqtt.advice(config, True) == []
    assert mqtt.advice(mqtt.Config(host="127.0.0.1"), False) == []
