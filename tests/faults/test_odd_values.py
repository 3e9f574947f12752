"""Row 26 of the fault table: NaN, infinity, overflow, registers that mean something else. Bad quality, nothing stops.

Whatever lies in the registers goes the whole way, from the answer of a device to what is published: decoding, scaling,
routing, the engine with a real twin, and the messages. Only the wire and the clock are left out.
"""

import json
import math

import numpy as np
import pytest
import twin_rig
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent import twin
from agent.core import quality, wire
from agent.core.blocks import plan, readings
from agent.core.conditions import Rule
from agent.core.nouns import Batch, Mode, Names, Point, Role, Snapshot, Tag, Tick
from agent.core.registers import field_of
from agent.core.scaling import Scaling
from agent.drivers.modbus.layout import Layout, Outcome
from agent.engine import state as states
from agent.engine.asset import Asset, Model, Modes
from agent.engine.step import step
from agent.runtime.inbox import Route, routed
from agent.runtime.journal import Record
from agent.sinks.mqtt import payload
from agent.store import record as records

SECOND = 1_000_000_000
TWIN = ("pump/speed", "upper/level", "lower/level")
NUMBERS = [f"{sign}int{n}" for sign in ("", "u") for n in (8, 16, 32, 64)]
NUMBERS += ["float16", "float32", "float64", "bcd16", "bcd32", "int8h", "uint8l", "bit7", "uint16.0", "bool"]
KINDS = [*NUMBERS, *(f"{kind}[3]" for kind in NUMBERS), "string(7)"]

# Quiet and signalling NaN, infinities, the largest and smallest floats, BCD that is none, text that is no UTF-8.
ODD = [
    0x7FC0,
    0x7F80,
    0xFF80,
    0x7FA0,
    0x7F7F,
    0x0001,
    0x7FF0,
    0x7FF8,
    0xFFF0,
    0x7C00,
    0xFC01,
    0xFFFF,
    0x8000,
    0xAAAA,
    0,
]
words = st.lists(st.one_of(st.sampled_from(ODD), st.integers(0, 0xFFFF)), min_size=1, max_size=23)

numbers = st.sampled_from([1.0, -1.0, 0.1, 1e-300, 1e300, 1.7e308, -1.7e308])
offsets = st.sampled_from([0.0, -5.0, 1e308, -1e308])
ends = st.sampled_from([math.nan, 0.0, 1.0, 1e300])


@st.composite
def tag_lists(draw):
    """Three tags of the twin and some more, each of any type, order and scaling."""
    names = [*TWIN, *(f"more/n{i}" for i in range(draw(st.integers(0, 12))))]
    return tuple(
        Tag(
            f"rig/{name}",
            f"holding:{draw(st.integers(0, 380))}",
            draw(st.sampled_from(NUMBERS if name in TWIN else KINDS)),
            draw(st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"])),
            scale=draw(numbers),
            offset=draw(offsets),
            eu_lo=draw(ends),
            eu_hi=draw(ends),
            beyond=draw(st.sampled_from(["uncertain", "clamp", "bad"])),
        )
        for name in names
    )


def asset_of(tags):
    """An asset with a twin, a limit on a value and one on a deviation; its mode is a rule over a value."""
    made = twin_rig.twin()
    given_points = tuple(Point(f"rig/{p.id}", p.role, kind=p.kind) for p in twin.points(made))
    model = Model("twin", twin, made, "hash", given_points, len(tags) + 1)
    measured = tuple(Point(t.id, Role.MEASURED, kind=t.kind) for t in tags)
    rules = (
        Rule("upper/level.high", "upper/level", "limit", "high", 0.4, of="upper/level"),
        Rule("upper/level.residual", "upper/level.deviation", "residual", "both", 1.0, of="upper/level"),
    )
    return Asset(
        id="rig",
        epoch=1,
        period_s=1.0,
        tags=tags,
        names=Names(t.id.removeprefix("rig/") for t in tags),
        points=(*measured, Point("rig/state/mode", Role.MODE), *given_points),
        modes=Modes(otherwise=Mode.RUNNING),
        rules=rules,
        models=(model,),
        summary_s=3.0,
        stale_s=(2.5,) * len(tags),
    )


class Reader:
    """What the driver does between the answers of a device and `put`."""

    def __init__(self, tags):
        fields = [field_of(t, 1) for t in tags]
        self.blocks = plan(readings(fields))
        self.layout = Layout.of(self.blocks, fields, np.arange(len(tags), dtype=np.int32), Scaling.of(tags))
        self.route = Route("rig", np.arange(len(tags), dtype=np.int32))

    def batch(self, registers, t_ns):
        """What is put when the holding registers are these, again and again."""
        answers = [[registers[i % len(registers)] for i in range(b.start, b.start + b.count)] for b in self.blocks]
        found = self.layout.columns([Outcome(values, quality.GOOD, t_ns) for values in answers])
        stamps = np.zeros(len(found.tag), np.int64)
        batch = Batch("plc", found.tag, found.value, found.status, found.t_ns, stamps, found.texts, found.arrays)
        return routed(batch, self.route)


def assert_honest(batch, tags):
    """Good is a finite number, a text or a finite array; what is Bad has neither number nor array."""
    texts, arrays = dict(batch.texts), dict(batch.arrays)
    for row, (tag, value, status) in enumerate(zip(batch.tag, batch.value, batch.status, strict=True)):
        kind = tags[tag].kind.value
        if quality.is_bad(int(status)):
            assert np.isnan(value)
            assert row not in arrays
        elif kind == "text":
            assert isinstance(texts[row], str)
        elif kind == "array":
            assert np.isfinite(arrays[row]).all()
            assert len(arrays[row]) == 3
        else:
            assert np.isfinite(value)


def assert_sendable(snapshot):
    """Feed and journal give it back as it is, and the messages are strict JSON."""
    again = wire.decode(Snapshot, wire.encode(snapshot))
    np.testing.assert_array_equal(again.value, snapshot.value)
    for entry in [*map(records.summary, snapshot.summaries), *map(records.event, snapshot.events)]:
        record = Record(1, entry.class_, 2, 7, "boot", 0, 0, "synchronised", entry.asset, entry.kind, entry.body)
        for layout in ("named", "columns"):
            said = payload.message("g", record, layout=layout)
            json.loads(said.content, parse_constant=pytest.fail)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(tags=tag_lists(), polls=st.lists(words, min_size=1, max_size=4))
@example(tags=tuple(Tag(f"rig/{n}", f"holding:{2 * i}", "float32") for i, n in enumerate(TWIN)), polls=[ODD])
def test_whatever_the_registers_hold_nothing_stops_and_nothing_lies(tags, polls):
    built, reader = asset_of(tags), Reader(tags)
    state = states.initial(built)
    for second, registers in enumerate(polls, 1):
        batch = reader.batch(registers, second * SECOND)
        assert_honest(batch, tags)
        tick = Tick("rig", 1, second, second * SECOND + 1000, (batch,))
        state, snapshot = step(built, state, tick)
        assert not snapshot.faults
        good = quality.good_mask(snapshot.status)
        numbers = np.array([p.kind.value not in ("text", "array") for p in built.points])
        assert np.isfinite(snapshot.value[good & numbers]).all()
        assert_sendable(snapshot)
        state = states.thaw(built, states.freeze(built, state))


def floats(*values):
    return np.array(values, ">f4").view(">u2").astype(int).tolist()


@settings(max_examples=20, deadline=None, derandomize=True)
@given(polls=st.lists(words, min_size=1, max_size=8))
def test_a_twin_is_itself_again_after_a_device_that_went_mad(polls):
    """Registers that were floats hold anything for a while, then floats again."""
    tags = tuple(Tag(f"rig/{n}", f"holding:{2 * i}", "float32", eu_lo=-1e3, eu_hi=1e3) for i, n in enumerate(TWIN))
    built, reader = asset_of(tags), Reader(tags)
    sane = floats(50.0, 0.3, 0.2)
    state = states.initial(built)
    for second, registers in enumerate([sane] * 20 + polls + [sane] * 100, 1):
        state, snapshot = step(
            built, state, Tick("rig", 1, second, second * SECOND, (reader.batch(registers, second * SECOND),))
        )
        assert not snapshot.faults
    at = {p.id: row for row, p in enumerate(built.points)}
    expected = at["rig/upper/level.expected"]
    assert quality.is_good(int(snapshot.status[expected]))
    assert snapshot.value[expected] == pytest.approx(0.3, abs=0.05)
    assert snapshot.value[at["rig/upper/level"]] == pytest.approx(0.3)
