"""An array on its way through the house: engine, summary, journal and backtest, MQTT, status, watch, one line."""

import json
import math

import numpy as np
from derived_world import SECOND, Play, asset, batch
from test_mqtt_config import record
from test_watch import drawn

from agent.cli.status import described
from agent.cli.telling import listed
from agent.cli.watch.history import View
from agent.core import quality, wire
from agent.core.nouns import Batch, Catalogue, Part, Snapshot, Summary, Tick
from agent.engine import state as states
from agent.engine.replay import play
from agent.engine.step import step
from agent.sinks.feed import protocol
from agent.sinks.mqtt import payload
from agent.sinks.opcua.server.values import octets

ZONES = [1.5, math.nan, 3.0]


def lived(seconds=60):
    shown, summaries = Play(asset({"d/x": "{m/a}"}, stale_s=5.0)), []
    for t in range(1, seconds + 1):
        shown.tick(t, batch((t, "m/a", 1.0), arrays=[(t, "m/zones", ZONES)]))
        summaries += shown.shot.summaries
    return shown, summaries


def test_the_newest_array_is_in_the_snapshot_while_it_is_fresh():
    shown, _ = lived(2)
    assert octets(shown.shot.arrays[2]) == np.array(ZONES).tobytes()
    assert shown.of("m/zones")[1] == "Good"
    assert math.isnan(shown.of("m/zones")[0])
    assert shown.tick(9).shot.arrays == {}


def test_the_feed_carries_it_bit_for_bit():
    shown, _ = lived(1)
    message = protocol.pack(shown.shot)
    length, kind = protocol.measure(message[:5], protocol.DAEMON_MESSAGE_LIMIT)
    found = protocol.unpack(kind, message[5 : 5 + length])
    assert isinstance(found, Snapshot)
    assert octets(found.arrays[2]) == np.array(ZONES).tobytes()


def test_a_summary_has_the_last_array_and_no_numbers_of_it():
    _, (summary,) = lived()
    assert octets(summary.arrays[2]) == np.array(ZONES).tobytes()
    assert np.isnan([summary.min[2], summary.mean[2], summary.max[2], summary.last[2], summary.std[2]]).all()
    assert summary.good[2] == 1.0
    again = wire.decode(Summary, wire.encode(summary))
    said = json.loads(payload.message("g", record(again, "summary")).content)["tags"]
    assert said["m/zones"] == {
        "min": None,
        "mean": None,
        "max": None,
        "last": [1.5, None, 3.0],
        "std": None,
        "good": 1.0,
    }
    assert said["m/a"]["last"] == 1.0


def test_a_backtest_holds_it():
    built = asset({"d/x": "{m/zones}[2] * 2"})
    state = states.initial(built)
    messages = [("state", states.freeze(built, state), 0)]
    for t in range(1, 70):
        one = Tick("rig", 1, t, t * SECOND, (batch(arrays=[(t, "m/zones", [t, 2.0, t * 0.1])]),))
        state, shot = step(built, state, one)
        messages += [("tick", wire.encode(one), 0), ("snapshot", wire.encode(shot), 0)]
    assert (play(built, messages).same, float(shot.value[3])) == (69, 69 * 0.1 * 2)


def test_status_and_watch_show_it():
    shown, _ = lived(2)
    points = shown.asset.points
    catalogue = Catalogue("g", 1, points, (Part("rig", 0, len(points), "Rig"),))
    cell = described(catalogue, {"rig": shown.shot}, shown.shot.t_ns)["assets"][0]["points"]["m/zones"]
    assert (cell["value"][0], cell["value"][2], cell["status"]) == (1.5, 3.0, "Good")
    view = View()
    view.take(catalogue)
    view.take(shown.shot)
    assert "[1.5, nan, 3]" in drawn(view, 140)


def test_a_long_array_is_shortened_for_people():
    assert listed([1.5, 2.0, 3.0]) == "[1.5, 2, 3]"
    assert listed([]) == "[]"
    assert listed(list(range(100))) == "[0, 1, 2, 3, 4, 5, 6, 7, ... 100 values]"


def test_a_bad_array_is_no_array():
    shown, _ = lived(1)
    nothing, t_ns = np.zeros(1, np.int64), np.array([2 * SECOND], np.int64)
    bad = np.array([quality.BAD_TIMEOUT], np.uint32)
    shown.tick(2, Batch("plc", np.array([2], np.int32), np.array([np.nan]), bad, t_ns, nothing))
    assert shown.shot.arrays == {}
