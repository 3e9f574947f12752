"""Maintenance: people work on the machine. Its mode says so, models and alerts are silent, and models are told what was
replaced.

    maintenance rig  step=begin | end  [replaced=COMPONENT,..]  [recalibrated=TAG,..]
    maintenance rig  step=undo        takes the last step back, with the health that the models had before it

A model is told of one component or tag at a time, and begins anew what it knows of it.

Alarms of the machine itself (ISA-18.2) go on, in the mode that the machine itself is in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from agent.core.nouns import Command, Event, Frame, Mode
from agent.engine import models
from agent.engine.alarms import Say
from agent.engine.asset import Asset
from agent.engine.state import Care, Maintenance, ModelState, State

DO = "maintenance"
STEPS = ("begin", "end", "undo")
TOLD = ("replaced", "recalibrated")
ASKED = "asked_ns"  # of a command that answers a question: the time of the state that was asked
CHANGE = {"begin": "maintenance_began", "end": "maintenance_ended", "undo": "maintenance_undone"}


def obey(asset: Asset, state: State, command: Command, now_ns: int, say: Say) -> tuple[State, Event]:
    """(state, event) of one command; what cannot be done changes nothing and is said."""
    step = command.args.get("step", "")
    try:
        after, text = _undone(state, now_ns) if step == "undo" else _done(asset, state, command, now_ns)
    except ValueError as error:
        return state, say("refused", f"maintenance {step}: {error}", user=command.user)
    return after, say(CHANGE[step], f"{text} by {command.user}", user=command.user)


def _done(asset: Asset, state: State, command: Command, now_ns: int) -> tuple[State, str]:
    step, care = command.args.get("step", ""), state.maintenance.now
    if step not in STEPS:
        raise ValueError(f"step is {step!r}, expected one of {', '.join(STEPS)}")
    if (step == "begin") == bool(care.since_ns):
        raise ValueError("it is in maintenance already" if care.since_ns else "it is not in maintenance")
    begun = replace(care, since_ns=now_ns, user=command.user)
    now = begun if step == "begin" else Care(ended_ns=now_ns)
    told = [(what, name) for what in TOLD for name in command.args.get(what, "").split(",") if name]
    after = tuple(replace(s, undo=s.state) for s in state.models)
    for what, name in told:
        after = models.obey(asset, after, replace(command, args={"step": step, what: name}))
    text = f"maintenance {'began' if step == 'begin' else 'ended'}{''.join(f', {what} {n}' for what, n in told)}"
    return replace(state, maintenance=Maintenance(now, care, now_ns), models=after), text


def _undone(state: State, now_ns: int) -> tuple[State, str]:
    care, before = state.maintenance.now, state.maintenance.before
    if before is None:
        raise ValueError("there is no step to take back")
    text = f"the {'begin' if care.since_ns else 'end'} of maintenance was taken back"
    after = Maintenance(before, None, now_ns)
    return replace(state, maintenance=after, models=tuple(map(_restored, state.models))), text


def _restored(state: ModelState) -> ModelState:
    """The model as it was; it is outside its modes then, so that it goes on with what is lasting in it."""
    return state if state.undo is None else replace(state, state=state.undo, entered_ns=-1, undo=None)


def outdated(state: State, command: Command) -> bool:
    """Whether a command answers what was asked before the last step: it is about a machine that is no more."""
    asked_ns = command.args.get(ASKED)
    return asked_ns is not None and int(asked_ns) < state.maintenance.step_ns


def periods(events: Iterable[tuple[int, str]]) -> list[tuple[int, int]]:
    """From (time, change) in order: (begin, end) of each maintenance, end 0 where it goes on; one whose beginning was
    taken back is none."""
    found, last = list[tuple[int, int]](), ""
    for t_ns, change in events:
        if change == CHANGE["begin"]:
            found.append((t_ns, 0))
        elif change == CHANGE["end"] and found:
            found[-1] = (found[-1][0], t_ns)
        elif change == CHANGE["undo"] and found:
            found[-1:] = [(found[-1][0], 0)] if last == CHANGE["end"] else []
        last = change if change in CHANGE.values() else last
    return found


def mode(state: State) -> Mode:
    """The mode that people see: the machine's own, or maintenance."""
    return Mode.MAINTENANCE if state.maintenance.now.since_ns else state.mode.mode


def placed(frame: Frame, care: Care) -> Frame:
    """The frame as models and alerts see it: in maintenance, or since it ended."""
    if care.since_ns:
        return replace(frame, mode=Mode.MAINTENANCE, mode_age_ns=frame.t_ns - care.since_ns)
    if care.ended_ns:
        return replace(frame, mode_age_ns=min(frame.mode_age_ns, frame.t_ns - care.ended_ns))
    return frame
