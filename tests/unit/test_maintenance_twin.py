"""Maintenance and a real twin, through the engine: a worn outlet is replaced, and the replacement is taken back."""

import math

import cycle_world as world
import numpy as np
import pytest
from engine_world import SECOND, at

from agent import twin
from agent.core import quality
from agent.core.nouns import Batch, Command, Mode, Names, Point, Role, Tag, Tick
from agent.engine import state as states
from agent.engine.asset import Asset, Model, Modes
from agent.engine.step import step

WEAR = "twin/tank.wear"


@pytest.fixture(scope="module")
def tank():
    made = world.twin()
    tags = tuple(Tag(f"rig/{name}", "x") for name in made.tags)
    given = tuple(Point(f"rig/{p.id}", p.role, p.of, p.kind) for p in twin.points(made))
    model = Model("twin", twin, made, "hash", given, len(tags) + 1)
    points = (*(Point(t.id, Role.MEASURED) for t in tags), Point("rig/state/mode", Role.MODE), *given)
    always = Modes(otherwise=Mode.RUNNING)
    return Asset("rig", 1, 1.0, tags, Names(made.tags), points, always, models=(model,), stale_s=(2.5,) * len(tags))


def play(built, state, u, y, *commands):
    """The rows after what the state has seen; commands come with the first."""
    shots = []
    for row in np.hstack([u, y]):
        now_ns, n = state.t_ns + SECOND, len(row)
        one = Batch(
            "s", np.arange(n, dtype=np.int32), row, np.zeros(n, np.uint32), np.full(n, now_ns), np.zeros(n, int)
        )
        state, shot = step(built, state, Tick("rig", 1, state.seq + 1, now_ns, (one,), commands))
        shots.append(shot)
        commands = ()
    return state, shots


def care(what, **args):
    return Command("1", "maintenance", "rig", "jane", {"step": what, **args})


def test_health_is_set_back_to_that_of_a_new_part_and_brought_back(tank):
    worn = world.truth(2200, 8, np.where(np.arange(2200) < 300, 0.0, 0.25))
    state, shots = play(tank, states.initial(tank), *worn)
    before, status = at(tank, shots[-1], WEAR)
    assert not quality.is_bad(status)
    assert before == pytest.approx(0.5 * math.exp(0.25), rel=0.05)
    state, shots = play(tank, state, *world.truth(20, 2), care("begin"))
    assert shots[-1].mode == Mode.MAINTENANCE
    assert at(tank, shots[-1], WEAR)[1] == quality.NOT_APPLICABLE
    frozen = states.freeze(tank, state)
    state, shots = play(tank, states.thaw(tank, frozen), *world.truth(900, 3), care("end", replaced="outlet"))
    assert "replaced outlet by jane" in shots[0].events[-1].text
    assert at(tank, shots[-1], WEAR)[0] == pytest.approx(0.5, rel=0.03)
    _, shots = play(tank, state, *world.truth(60, 4, 0.25), care("undo"))
    assert shots[-1].mode == Mode.MAINTENANCE
    state, _ = play(tank, state, *world.truth(1, 4, 0.25), care("undo"))
    state, shots = play(tank, state, *world.truth(200, 4, 0.25), care("end"))
    assert at(tank, shots[-1], WEAR)[0] == pytest.approx(before, rel=0.05)


def test_what_the_twin_does_not_have_is_refused_with_what_it_has(tank):
    state, _ = play(tank, states.initial(tank), *world.truth(50, 1))
    _, shots = play(tank, state, *world.truth(1, 2), care("begin", replaced="inlet"))
    (event,) = shots[0].events
    assert (event.change, "no component 'inlet'; health is known of outlet" in event.text) == ("refused", True)
    assert shots[0].mode == Mode.RUNNING
