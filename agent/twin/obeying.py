"""What a twin is told: a prediction that has come back, a component that was replaced, a sensor that was set right."""

from __future__ import annotations

from dataclasses import replace

from agent.core.nouns import Command
from agent.twin.cycle import State
from agent.twin.departure import judging
from agent.twin.filtering import Belief
from agent.twin.filtering.roots import root
from agent.twin.lifetime import living
from agent.twin.twin import Twin

# How much wider than that of a new part the health of a replaced one is taken: nobody knows yet how good it is.
WIDE = 2.0


def obey(twin: Twin, state: State, command: Command) -> State:
    """The state after a command; ValueError says why it cannot be done, and what could."""
    if command.do == "life":
        if why := command.args.get("failed"):
            raise ValueError(f"its life was not predicted: {why}")
        return replace(state, life=living.told(state.life, command.args.get("result", "")))
    if command.do != "maintenance":
        raise ValueError(f"a twin takes life and maintenance, not {command.do}")
    if component := command.args.get("replaced"):
        state = replaced(twin, state, component)
    if tag := command.args.get("recalibrated"):
        state = recalibrated(twin, state, tag)
    return state


def replaced(twin: Twin, state: State, component: str) -> State:
    """Its health is that of a new part, with a wide spread; there is no estimate of its life, and no filter to mislead:
    the next frame starts one."""
    known = {h.component for h in twin.plant.health}
    if component not in known:
        raise ValueError(f"no component {component!r}; health is known of {', '.join(sorted(known)) or 'none'}")
    x, P = state.health.x.copy(), state.health.P
    for k, h in enumerate(twin.plant.health):
        if h.component == component:
            x[k] = h.inner(h.nominal)
            P[k, :] = P[:, k] = 0.0
            P[k, k] = (WIDE * h.spread) ** 2
    kept = replace(state, health=Belief(x, root(P)), life=living.renewed(twin, state.life, component))
    return replace(kept, started=0, judging=judging.begin(twin))


def recalibrated(twin: Twin, state: State, tag: str) -> State:
    """Only what was held against this sensor is forgotten; health and life stay."""
    tags = [c.tag for c in twin.plant.outputs]
    if tag not in tags:
        raise ValueError(f"no measured output {tag!r}; there are {', '.join(tags)}")
    return replace(state, started=0, judging=judging.recalibrated(twin, state.judging, tags.index(tag)))
