"""The life of a battery, all the way: the file of its twin, its cycle, the worker, a command, the published points."""

import anyio
import battery_twin
import numpy as np
import pytest

import agent.twin
from agent.core import quality
from agent.core.nouns import Batch, Mode, Names, Point, Role, Tag
from agent.engine import state as states
from agent.engine.asset import Asset, Model, ModeRule, Modes
from agent.runtime import questions
from agent.runtime.cycle import Cycle
from agent.runtime.inbox import Inbox
from agent.runtime.worker import Worker
from agent.twin import twin

pytestmark = pytest.mark.anyio
SECOND = 1_000_000_000
LIVES = battery_twin.discharged((2.0,), 300.0, 10.0, 400)


@pytest.fixture
def anyio_backend():
    return "asyncio"


def asset() -> Asset:
    params = agent.twin.load(twin.dump(battery_twin.twin(LIVES)))
    tags = tuple(Tag(f"cell1/{name}", "x") for name in params.tags)
    points = tuple(agent.twin.points(params))
    given = tuple(Point(f"cell1/{p.id}", p.role, p.of, p.kind, p.unit) for p in points)
    measured = tuple(Point(t.id, Role.MEASURED) for t in tags)
    model = Model("twin", agent.twin, params, "hash", given, len(tags) + 1)
    running = Modes(rules=(ModeRule(Mode.RUNNING, params.tags[0]),))
    return Asset(
        id="cell1", epoch=1, period_s=1.0, tags=tags, names=Names(params.tags), modes=running, models=(model,),
        points=(*measured, Point("cell1/state/mode", Role.MODE), *given), stale_s=(3.0,) * 3,
    )  # fmt: skip


def fed(cycle: Cycle, inbox: Inbox, seconds: range):
    """The snapshot after the battery was read so long, at 2 A."""
    plant, x, u = battery_twin.battery(), np.array(list(battery_twin.STATES.values())), np.array([2.0])
    for k in range(seconds.stop):
        if k in seconds:
            value = np.concatenate([u, plant.observe(x, u)])
            stamp = np.full(3, (k + 1) * SECOND)
            inbox.put(Batch("plc", np.arange(3, dtype=np.int32), value, np.zeros(3, np.uint32), stamp, 0 * stamp))
            snapshot = cycle.turn((k + 1) * SECOND + 1000)
        x = plant.advance(x, u)
    return snapshot


def at(built: Asset, snapshot, name: str):
    row = [p.id for p in built.points].index(f"cell1/{name}")
    return float(snapshot.value[row]), int(snapshot.status[row]), snapshot.texts.get(row)


async def test_the_life_of_a_battery_is_published():
    built, inbox = asset(), Inbox("cell1")
    cycle = Cycle(built, states.initial(built), inbox, lambda tick, snapshot: None)
    before = fed(cycle, inbox, range(30))
    base = next(p.id for p in built.points if p.role == Role.LIFE).removeprefix("cell1/")
    assert "no estimate" in at(built, before, base)[2]
    worker = Worker()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        tasks.start_soon(questions.run, [cycle], {"cell1": inbox}, worker, 1e9, 0.05)
        with anyio.fail_after(60):
            while not inbox._commands:
                await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    after = fed(cycle, inbox, range(30, 33))
    assert after.events == ()
    hours, status, _ = at(built, after, f"{base}.p50")
    assert quality.is_good(status)
    # 2 A from 7856 C: an hour and a little less.
    assert 3400 < hours * 3600 < 3900
    low, high = (at(built, after, f"{base}.{name}")[0] for name in ("p5", "p95"))
    assert low < hours < high
    restarted = states.thaw(built, states.freeze(built, cycle.state))
    again = Cycle(built, restarted, Inbox("cell1"), lambda tick, snapshot: None)
    assert at(built, again.turn(34 * SECOND), f"{base}.p50")[0] == pytest.approx(hours, abs=0.01)
