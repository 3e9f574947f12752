"""What of a stored block a Sparkplug host is still told, without journal or broker."""

from types import SimpleNamespace

import numpy as np
import pytest

from agent.core import quality, wire
from agent.core.nouns import Catalogue, Condition, Mode, Part, Point, Role, Snapshot
from agent.sinks.mqtt.sparkplug import changes, metrics
from agent.sinks.mqtt.sparkplug.history import FOREVER, History
from agent.store import blocks
from agent.store.record import RAW, Entry, Record

LEVEL, FLOW, OLD = (Point(f"a/x/{name}", Role.MEASURED) for name in ("level", "flow", "old"))
NOW = Catalogue("g", 1, (FLOW, LEVEL), (Part("a", 0, 2),))
THEN = (LEVEL, OLD)
MS = 1_000_000
KNOWN, FORGOTTEN = (Condition(f"a/{name}", "a", "a/x/level", "limit", "alarm") for name in ("known", "forgotten"))


def snapshot(t_ms, level, old=0.0, status=0, conditions=(), epoch=7):
    value, codes = np.array([level, old]), np.full(2, status, np.uint32)
    return Snapshot("a", epoch, t_ms, t_ms * MS, value, codes, np.full(2, t_ms * MS), np.zeros(2, np.int64), {},
                    Mode.RUNNING, {}, conditions, None, (), (), ())  # fmt: skip


def record(*snapshots):
    entries = [Entry(RAW, "a", "snapshot", s.t_ns, wire.encode(s)) for s in snapshots]
    block = blocks.pack(entries)
    return Record(5, RAW, 1, 1, "boot", block.t_ns, block.t_ns + 1000 * MS, "synchronised", "a", block.kind, block.body,
                  block.n, block.end_ns)  # fmt: skip


@pytest.fixture
def history():
    devices, aliases = metrics.devices(NOW), metrics.Aliases(3)
    metrics.of_condition(KNOWN, aliases)
    born = changes.Told(np.zeros(2), np.zeros(2, np.uint32), conditions={KNOWN.id: (False, True, 0)})
    node = SimpleNamespace(naming=SimpleNamespace(devices=devices, aliases=aliases), told={"a": born})
    return History(SimpleNamespace(id="spb"), None, node)


def told(history, *snapshots, points=THEN, born_ms=None):
    until_ns = FOREVER if born_ms is None else born_ms * MS
    return [(r.metric.name, r.wall_ms, r.value) for r in history._untold(record(*snapshots), points, until_ns)]


def test_values_are_told_by_name_whatever_stood_beside_them(history):
    assert told(history, snapshot(1, 0.5), snapshot(2, 0.5, old=9.0), snapshot(3, 0.75)) == [
        ("x/level", 1001, 0.5), ("x/level", 1003, 0.75)]  # fmt: skip


def test_a_block_goes_on_where_the_one_before_it_ended(history):
    assert told(history, snapshot(1, 0.5)) == [("x/level", 1001, 0.5)]
    assert told(history, snapshot(2, 0.5), snapshot(3, 0.6)) == [("x/level", 1003, 0.6)]


def test_what_was_told_as_it_happened_is_not_told_again(history):
    assert told(history, snapshot(1, 0.5), snapshot(2, 0.6), snapshot(3, 0.7), born_ms=2) == [("x/level", 1001, 0.5)]


def test_a_machine_that_was_not_heard_has_no_history_and_then_all_of_it(history):
    lost = snapshot(2, np.nan, status=quality.BAD_NO_COMMUNICATION)
    assert told(history, snapshot(1, 0.5), lost, snapshot(3, 0.5)) == [
        ("x/level", 1001, 0.5), ("x/level", 1003, 0.5)]  # fmt: skip


def test_conditions_that_a_host_was_not_told_of_stay_untold(history):
    found = told(history, snapshot(1, 0.5, conditions=(KNOWN, FORGOTTEN)))
    assert {name for name, _, _ in found} == {
        "x/level", *(f"conditions/known/{what}" for what in ("active", "acknowledged", "since"))}  # fmt: skip
    assert len(history.node.naming.aliases.given) == 3


def test_a_block_that_cannot_be_read_says_so_and_no_more(history, caplog):
    whole = record(snapshot(1, 0.5))
    broken = Record(**{name: getattr(whole, name) for name in Record.__slots__} | {"body": b"\x09nonsense"})
    assert list(history._untold(broken, THEN, FOREVER)) == []
    assert "cannot be read" in caplog.text
