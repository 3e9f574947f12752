"""The twin, `type: twin`: a model of a machine that runs beside it. `cycle` is what the daemon calls."""

from agent.twin.cycle import State, init, load, points, resume, step
from agent.twin.lifetime.foresight import question, urgent
from agent.twin.obeying import obey
from agent.twin.twin import fingerprint

__all__ = [
    "State",
    "fingerprint",
    "init",
    "load",
    "obey",
    "points",
    "question",
    "resume",
    "step",
    "urgent",
]
