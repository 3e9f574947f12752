"""What models would have computed: asked in turn, at once where it is urgent, and answered by a Command."""

import base64
from dataclasses import dataclass
from types import SimpleNamespace

import anyio
import numpy as np
import pytest
from life_world import Draining, worn

from agent.core import wire
from agent.core.nouns import Question
from agent.engine.asset import Model
from agent.engine.state import ModelState
from agent.runtime import questions
from agent.runtime.inbox import Inbox
from agent.runtime.working import Done
from agent.twin import twin
from agent.twin.domain import Domain
from agent.twin.lifetime import foresight, life, living
from agent.twin.twin import Twin

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Wearing:
    """A kind with a question; `State` is a word."""

    def question(self, params, state, seed):
        return None if state == "nothing" else Question("life", "agent.x.y", f"{state} {seed}".encode())

    def urgent(self, params, state):
        return state == "urgent"


@dataclass
class Answering:
    """A worker that answers at once, and writes down what it was asked."""

    why: str = ""

    def __post_init__(self):
        self.asked = []

    async def ask(self, function, body, limit_s):
        self.asked.append((function, body.decode()))
        return Done(np.frombuffer(b"ok" if not self.why else b"", np.uint8), self.why)


def cycle(word, kind, entered_ns=1):
    model = Model("twin", kind, None, "hash", (), 1)
    state = SimpleNamespace(seq=5, t_ns=7, models=(ModelState(word, entered_ns, np.zeros(0), np.zeros(0, np.uint32)),))
    return SimpleNamespace(asset=SimpleNamespace(id="rig", models=(model,)), state=state)


async def looked(one, worker, times, **options):
    """The commands after so many looks at the models."""
    inbox, looks = Inbox("rig"), 0

    async def tick(_):
        nonlocal looks
        looks += 1
        if looks > times:
            raise anyio.get_cancelled_exc_class()

    options = {"every_s": 1e9, "soonest_s": 0.0, **options}
    sleep, questions.anyio.sleep = questions.anyio.sleep, tick
    try:
        await questions.run([one], {"rig": inbox}, worker, **options)
    except anyio.get_cancelled_exc_class():
        pass
    finally:
        questions.anyio.sleep = sleep
    return inbox.take()[1]


async def test_a_model_is_asked_once_and_answered_by_a_command():
    worker = Answering()
    (command,) = await looked(cycle("calm", Wearing()), worker, 3)
    assert (command.do, command.target, command.user) == ("life", "rig/twin", "gateway")
    assert base64.b64decode(command.args["result"]) == b"ok"
    ((function, body),) = worker.asked
    assert (function, body.split()[0]) == ("agent.x.y", "calm")


async def test_each_turn_and_each_urgent_change_asks_again():
    assert len(await looked(cycle("calm", Wearing()), Answering(), 3, every_s=0.0)) == 3
    assert len(await looked(cycle("urgent", Wearing()), Answering(), 3)) == 3
    assert len(await looked(cycle("urgent", Wearing()), Answering(), 3, soonest_s=1e9)) == 1


async def test_a_failure_comes_as_a_command_too():
    (command,) = await looked(cycle("calm", Wearing()), Answering("took longer than 60 s"), 1)
    assert command.args == {"failed": "took longer than 60 s", "asked_ns": "7"}


async def test_who_has_no_question_or_does_not_hold_is_left_alone():
    worker = Answering()
    assert await looked(cycle("calm", SimpleNamespace()), worker, 2) == ()
    assert await looked(cycle("calm", Wearing(), entered_ns=-1), worker, 2) == ()
    assert await looked(cycle("nothing", Wearing()), worker, 2) == ()
    assert worker.asked == []


def test_the_question_of_a_twin_is_answered_as_life_itself_would(monkeypatch):
    machine, lives, course, now = worn(1 / 800.0, 320)
    monkeypatch.setattr(twin, "kind", lambda name: Draining())
    domain = Domain(np.zeros(2), np.eye(2), 3.0)
    whole = Twin(machine, ("running",), 10.0, 5, 0.01, np.ones(1), domain, {}, {}, lives=lives)
    state = SimpleNamespace(started=1, life=living.State(course, None, 0.0), tracking=SimpleNamespace(belief=now))
    asked = foresight.question(whole, state, 7)
    assert asked.function == "agent.twin.lifetime.foresight.answer"
    given = wire.decode(life.Life, foresight.answer(asked.body))
    told = life.predict(machine, now, lives, course, 7)
    assert life.encode(given) == life.encode(told)
    assert not given.whole.reason
    assert foresight.urgent(whole, state)
    state.life = living.told(state.life, life.encode(told))
    assert not foresight.urgent(whole, state)
    state.started = 0
    assert foresight.question(whole, state, 7) is None
    assert not foresight.urgent(whole, state)
