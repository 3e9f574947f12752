"""A prediction of life as a question to the worker: all that it needs as bytes, and the answer as bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core import wire
from agent.core.nouns import F8, Question
from agent.twin import life, twin
from agent.twin.life import Course
from agent.twin.passage import Belief
from agent.twin.twin import Twin

DO = "life"


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """file u1[k]: the twin's; x, root: what is believed of it now."""

    file: npt.NDArray[np.uint8]
    x: F8
    root: F8
    course: Course
    seed: int


def question(whole: Twin, belief: Belief, course: Course, seed: int) -> Question | None:
    """The life of this machine from now on; None of a twin whose file has no section `life`."""
    if whole.life is None:
        return None
    file = np.frombuffer(twin.dump(whole), np.uint8)
    body = wire.encode(_Asked(file, belief.x, belief.root, course, seed))
    return Question(DO, f"{__name__}.{answer.__name__}", body)


def answer(body: bytes) -> bytes:
    """The message of a Life: what `life.decode` reads in base64."""
    asked = wire.decode(_Asked, body)
    whole = twin.load(asked.file.tobytes())
    if whole.life is None:
        raise ValueError("a twin without a section `life`")
    return wire.encode(life.predict(whole.plant, asked, whole.life, asked.course, asked.seed))
