"""A prediction of life as a question to the worker: all that it needs as bytes, and the answer as bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core import wire
from agent.core.nouns import F8, Question
from agent.twin import twin
from agent.twin.cycle import State
from agent.twin.lifetime import life
from agent.twin.lifetime.life import Course
from agent.twin.twin import Twin


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """file u1[k]: the twin's; x, root: what is believed of it now."""

    file: npt.NDArray[np.uint8]
    x: F8
    root: F8
    course: Course
    seed: int


def question(whole: Twin, state: State, seed: int) -> Question | None:
    """The life from now on; None of a twin whose file has no section `lives`, and before its first frame."""
    if state.life is None or not state.started:
        return None
    belief = state.tracking.belief
    file = np.frombuffer(twin.dump(whole), np.uint8)
    body = wire.encode(_Asked(file, belief.x, belief.root, state.life.course, seed))
    return Question("life", f"{__name__}.{answer.__name__}", body)


def urgent(whole: Twin, state: State) -> bool:
    """Whether health has moved so far since the last prediction that the next one cannot wait for its turn."""
    if state.life is None or whole.lives is None or not state.started:
        return False
    return life.moved(whole.plant, whole.lives, state.tracking.belief, state.life.last)


def answer(body: bytes) -> bytes:
    """The message of a Life: what `life.decode` reads in base64."""
    asked = wire.decode(_Asked, body)
    whole = twin.load(asked.file.tobytes())
    if whole.lives is None:
        raise ValueError("a twin without a section `lives`")
    return wire.encode(life.predict(whole.plant, asked, whole.lives, asked.course, asked.seed))
