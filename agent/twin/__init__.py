"""The twin, `type: twin`: a model of a machine that runs beside it. `cycle` is what the daemon calls."""

from agent.twin.cycle import State, init, load, points, resume, step
from agent.twin.obeying import obey

__all__ = ["State", "init", "load", "obey", "points", "resume", "step"]
