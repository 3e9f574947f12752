"""What models would have computed apart (remaining life): asked of the worker now and then, answered by a Command.

A model takes part that has two functions more, both pure and quick:

    question(params, state, seed) -> Question | None     what to compute now; None: nothing
    urgent(params, state) -> bool                        whether that cannot wait for its turn

The answer goes into the asset's inbox as Command(do, target="asset/model", args={"result": base64}), or with
{"failed": why}: it is in the recorded tick, so that a backtest has it too.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import anyio

from agent.core.nouns import Command, Question
from agent.engine.asset import Model
from agent.engine.maintenance import ASKED
from agent.engine.state import ModelState
from agent.runtime import clock
from agent.runtime.cycle import Cycle
from agent.runtime.inbox import Inbox
from agent.runtime.worker import Worker

EVERY_S = 600.0
LOOK_S = 10.0
SOONEST_S = 60.0  # between two answers, however urgent
LIMIT_S = 60.0


async def run(
    cycles: Sequence[Cycle],
    inboxes: Mapping[str, Inbox],
    worker: Worker,
    every_s: float = EVERY_S,
    look_s: float = LOOK_S,
    soonest_s: float = SOONEST_S,
) -> None:
    """Ask for each model that has a question until cancelled."""
    asked_ns: dict[str, int] = {}
    number = count(1)
    while True:
        await anyio.sleep(look_s)
        for cycle in cycles:
            for model, kept in zip(cycle.asset.models, cycle.state.models, strict=True):
                target = f"{cycle.asset.id}/{model.name}"
                age_s = (clock.now_ns() - asked_ns[target]) * 1e-9 if target in asked_ns else float("inf")
                if not _due(model, kept, age_s, every_s, soonest_s):
                    continue
                asked_ns[target] = clock.now_ns()
                question = _question(model, kept, target, cycle.state.seq)
                if question is not None:
                    about = {ASKED: str(cycle.state.t_ns)}
                    args = about | await _answered(worker, question)
                    command = Command(f"worker-{next(number)}", question.do, target, "gateway", args)
                    inboxes[cycle.asset.id].command(command)


def _due(model: Model, kept: ModelState, age_s: float, every_s: float, soonest_s: float) -> bool:
    """Whether a model is to be asked now: one that takes part, while it holds."""
    kind: Any = model.kind
    if kept.entered_ns < 0 or not hasattr(kind, "question"):
        return False
    return age_s >= every_s or (age_s >= soonest_s and bool(kind.urgent(model.params, kept.state)))


def _question(model: Model, kept: ModelState, target: str, seq: int) -> Question | None:
    """Another seed each time, the same for the same tick of the same model."""
    kind: Any = model.kind
    seed = (zlib.crc32(target.encode()) + seq) % 2**63
    question: Question | None = kind.question(model.params, kept.state, seed)
    return question


async def _answered(worker: Worker, question: Question) -> dict[str, str]:
    done = await worker.ask(question.function, question.body, LIMIT_S)
    return {"failed": done.why} if done.why else {"result": base64.b64encode(done.body.tobytes()).decode()}
