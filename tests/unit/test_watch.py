"""The view: a fold over the feed, drawn for any width; and what the demo counts."""

import io
import math
from collections import deque

import pytest
from engine_world import SECOND, asset, batch, high, tick
from rich.console import Console

from agent.cli.demo.counting import Counts, report
from agent.cli.watch.history import View, sparkline
from agent.cli.watch.screen import draw
from agent.core.nouns import Catalogue, Part
from agent.engine import state as states
from agent.engine.step import step


def watched(levels):
    built = asset([high(message="Level is high")])
    view, state = View(), states.initial(built)
    view.take(Catalogue("g", 1, built.points, (Part("rig", 0, len(built.points), "Test rig"),)))
    snapshots = []
    for t, level in enumerate(levels, 1):
        state, snapshot = step(built, state, tick(t, batch(t, level=level, state=2, product="water")))
        view.take(snapshot)
        snapshots.append(snapshot)
    return view, snapshots


def drawn(view, width):
    console = Console(file=io.StringIO(), width=width, height=60, force_terminal=False)
    console.print(draw(view, "q quit", 3 * SECOND, 1_700_000_000 * SECOND, width))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_numbers_are_whole_at_any_width(width):
    view, _ = watched([1.234, 11.5, 12.75])
    shown = drawn(view, width)
    assert "12.75" in shown
    assert "RUNNING" in shown
    assert "product=water" in shown
    assert "CASE" in shown
    assert "Level is high" in shown
    assert max(len(line) for line in shown.splitlines()) <= width


def test_without_a_daemon_it_says_what_it_waits_for():
    view = View(notice="no daemon answers")
    assert "no daemon answers" in drawn(view, 80)


def test_a_trend_has_its_own_range_and_shows_holes():
    assert sparkline(deque([0.0, math.nan, 7.0]), 3) == "▁ █"
    assert sparkline(deque([math.nan]), 4) == "    "
    assert sparkline(deque([5.0]), 3) == "  ▁"


def test_the_demo_is_only_well_when_every_hop_flowed_and_the_fault_was_found():
    view, snapshots = watched([1.0, 1.0, 11.5])
    counts = Counts("rig")
    counts.take(view.catalogue)
    counts.samples, counts.estimates, counts.injected_ns = 9.0, 1, 2 * SECOND
    for snapshot in snapshots:
        counts.take(snapshot)
    cloud, scada = '{"classes": {"summary": 3, "event": 2}}', '{"nodes": 4, "changes": 9}'
    good = report(counts, "leak", cloud, scada, 3.0)
    assert good["ok"]
    found = good["fault"]
    assert (found["found"], found["delay_s"], found["alerts_before"]) == (True, 1.0, 0)
    assert (found["first_alert"], found["blamed"]) == ("rig/tank/level.high", "rig/tank/level")
    assert not report(counts, "leak", "", scada, 3.0)["ok"]
    assert not report(counts, "leak", cloud, "junk", 3.0)["ok"]
    counts.injected_ns = 5 * SECOND
    late = report(counts, "leak", cloud, scada, 3.0)
    assert not late["ok"]
    assert late["fault"]["alerts_before"] == 1
