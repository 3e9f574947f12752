"""One cycle of one asset: a Tick goes in, a Snapshot comes out. Pure: no clock, no I/O, the same bits every time.

batches -> heartbeats -> latest -> derived tags -> frame -> commands -> mode, context -> models -> conditions, case
-> window -> snapshot
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

import numpy as np

from agent.core import latest, quality, window
from agent.core.latest import Seen
from agent.core.nouns import Case, Command, Condition, Event, Fault, Frame, Mode, Snapshot, Summary, Tick, Values
from agent.core.window import Window
from agent.engine import alarms, cases, compared, derived, heartbeats, maintenance, models, modes, shadow
from agent.engine.alarms import Say
from agent.engine.asset import Asset
from agent.engine.models import Given
from agent.engine.state import ModelState, State


def step(asset: Asset, state: State, tick: Tick) -> tuple[State, Snapshot]:
    """The state after the tick and what is published of it."""
    # A PLC can send any number that fits a float64: what overflows is infinite, and is not a reason to stop.
    with np.errstate(over="ignore", invalid="ignore"):
        return _last(asset, state, tick) if tick.last else _step(asset, state, tick)


def _step(asset: Asset, state: State, tick: Tick) -> tuple[State, Snapshot]:
    say = _reporter(asset.id, tick)
    read, frame = _read(asset, state, tick)
    told, spoken = _obey(asset, read, tick, say)
    mode = modes.step(asset.modes, told.mode, frame)
    own = modes.placed(frame, mode, modes.context(asset, frame))
    care = told.maintenance.now
    frame = maintenance.placed(own, care)
    told, turned = shadow.decide(asset, told, say)
    speaks = told.speaks
    model_states, so_far, faults = models.step(asset, told.models, frame, tick.seq, speaks)
    comparisons = shadow.compare(asset, told, model_states, frame, faults)
    if not state.t_ns:  # told once a run: their points say it all the time
        faults += tuple(Fault(name, tick.now_ns, why) for name, why in asset.absent.items())
    events = _mode_event(maintenance.mode(state), frame, say)
    believed = shadow.placed(asset, told.comparisons)
    conditions, pending, raised = alarms.step(believed, told, own if care.since_ns else frame, so_far, say)
    case, joined = cases.step(asset.id, told.case, conditions, raised, tick.now_ns, say)
    summaries, open_window = _fold(asset, state, frame, model_states, speaks)
    events += spoken + turned + raised + joined
    after = replace(
        told,
        seq=tick.seq,
        t_ns=tick.now_ns,
        mode=mode,
        conditions=conditions,
        pending_ns=pending,
        case=case,
        window=open_window,
        models=model_states,
        comparisons=comparisons,
    )
    return after, _snapshot(asset, after, tick, frame, tuple(events), summaries, faults)


def _reporter(asset: str, tick: Tick) -> Say:
    number = count(1)

    def say(
        change: str, text: str, *, user: str = "", condition: Condition | None = None, case: Case | None = None
    ) -> Event:
        event_id = f"{asset}-{tick.seq:x}-{next(number)}"
        return Event(event_id, asset, tick.now_ns, change, text, user, condition, case)

    return say


def _read(asset: Asset, state: State, tick: Tick) -> tuple[State, Frame]:
    """The state with what the machine says (heartbeats, newest values) and what is derived of it, as a Frame too."""
    n, stale_ns = len(asset.tags), asset.stale_ns
    state = state if state.t_ns else _resumed(asset, state, tick)
    beats = heartbeats.step(asset.heartbeats, state.beats, tick.batches)
    muted, dead = heartbeats.standing(asset.heartbeats, beats, n)
    newest = latest.fold(state.latest, tick.batches, state.t_ns, muted)
    seen = latest.seen(newest, tick.now_ns, stale_ns, dead)
    made, memories = derived.step(asset.derived, state.memories, newest, seen, tick, muted)
    if len(asset.derived.rows):
        newest = derived.folded(asset.derived, newest, made)
        seen = latest.seen(newest, tick.now_ns, stale_ns, dead)
    whole = replace(tick, batches=(*tick.batches, made)) if made else tick
    frame = latest.frame(newest, seen, whole, asset.names, state.t_ns)
    return replace(state, latest=newest, beats=beats, memories=memories), frame


def _resumed(asset: Asset, state: State, tick: Tick) -> State:
    """The state at the first tick of a run, knowing what grew stale in the pause before it: nothing bridges that."""
    none = np.zeros(len(asset.tags), np.bool_)
    seen = latest.seen(state.latest, tick.now_ns, asset.stale_ns, none)
    _, memories = derived.step(asset.derived, state.memories, state.latest, seen, replace(tick, batches=()), none)
    return replace(state, beats=heartbeats.resumed(state.beats), memories=memories)


def _mode_event(before: Mode, frame: Frame, say: Say) -> list[Event]:
    return [] if before == frame.mode else [say("mode", f"{before.word} -> {frame.mode.word}")]


def _obey(asset: Asset, state: State, tick: Tick, say: Say) -> tuple[State, list[Event]]:
    """The state after all commands. What is for a model (its life, predicted elsewhere) says nothing if it is taken."""
    events = list[Event]()
    for command in tick.commands:
        if command.do == "close":
            case, said = cases.close(state.case, command, tick.now_ns, say)
            state = replace(state, case=case)
        elif command.do in ("ack", "shelve", "unshelve"):
            known, said = alarms.obey(state.conditions, command, tick.now_ns, say)
            state = replace(state, conditions=known)
        elif command.do == maintenance.DO:
            state, event = maintenance.obey(asset, state, command, tick.now_ns, say)
            said = [event]
        elif command.do in shadow.DO:
            state, event = shadow.obey(asset, state, command, say)
            said = [event]
        elif maintenance.outdated(state, command):
            said = []
        else:
            state, said = _modelled(asset, state, command, tick.now_ns, say)
        events += said
    return state, events


def _modelled(asset: Asset, state: State, command: Command, now_ns: int, say: Say) -> tuple[State, list[Event]]:
    try:
        if command.do == "suspend":
            after, text = models.suspend(asset, state.models, command, now_ns)
            return replace(state, models=after), [say("model_suspended", text, user=command.user)]
        return replace(state, models=models.obey(asset, state.models, command)), []
    except ValueError as error:
        return state, [say("refused", f"{command.do} {command.target}: {error}", user=command.user)]


def _score(asset: Asset, states: tuple[ModelState, ...], speaks: Sequence[int]) -> float:
    """The largest Good score of this cycle, NaN for none."""
    scores = [
        float(value)
        for given in models.given(asset, states, speaks)
        for point, value, status in zip(given.points, given.value, given.status, strict=True)
        if point.role == "score" and quality.is_good(int(status))
    ]
    return max(scores, default=float("nan"))


def _fold(
    asset: Asset, state: State, frame: Frame, after: tuple[ModelState, ...], speaks: Sequence[int]
) -> tuple[tuple[Summary, ...], Window]:
    """Closed windows and the open one. A change of mode or context closes before this cycle, the clock after it, and a
    pause of ours where it began."""
    length_ns, current, held = int(asset.summary_s * 1e9), state.window, _held(asset, state)
    summaries = []
    ends = _ends(current, frame)
    if ends:
        if current.total_s > 0:
            end_ns = state.t_ns or current.start_ns + round(current.total_s * 1e9)
            current = window.paused(current, end_ns) if ends == "restart" else current
            summaries.append(_closed(asset, current, end_ns, ends, state.models, state.speaks))
        current = window.following(current, frame.t_ns - frame.dt_ns, frame.mode, frame.context)
        held = window.before_samples(frame, held)
    current = window.fold(current, frame, held, _score(asset, after, speaks))
    if current.start_ns // length_ns != frame.t_ns // length_ns and current.total_s > 0:
        summaries.append(_closed(asset, current, frame.t_ns, "window", after, speaks))
        current = window.following(current, frame.t_ns, frame.mode, frame.context)
    return tuple(summaries), current


def _ends(current: Window, frame: Frame) -> str:
    """Why the open window ends before this cycle; "" where it goes on."""
    if not frame.dt_ns or not current.start_ns:
        return "restart"
    if current.mode != frame.mode:
        return "mode"
    return "context" if current.context != frame.context else ""


def _held(asset: Asset, state: State) -> Seen:
    """How the tags stood at the end of the cycle before."""
    _, dead = heartbeats.standing(asset.heartbeats, state.beats, len(asset.tags))
    return latest.seen(state.latest, state.t_ns, asset.stale_ns, dead)


def _closed(
    asset: Asset, open_window: Window, end_ns: int, by: str, states: tuple[ModelState, ...], speaks: Sequence[int]
) -> Summary:
    """The window with what the models said last."""
    figures, findings = models.said(asset, states, speaks)
    summary = window.closed(open_window, asset.id, asset.names, end_ns, by)
    return replace(summary, figures=figures, findings=findings)


def _last(asset: Asset, state: State, tick: Tick) -> tuple[State, Snapshot]:
    """The tick before a stop: everything says BadShutdown, nothing is an event, nothing enters a summary."""
    _, frame = _read(asset, state, replace(tick, batches=()))
    down = np.full(len(asset.tags), quality.BAD_SHUTDOWN, np.uint32)
    frame = replace(frame, status=down, value=np.full(len(down), np.nan), texts={}, arrays={})
    frame = modes.placed(frame, replace(state.mode, mode=Mode.UNKNOWN), {})
    summaries: tuple[Summary, ...] = ()
    if state.window.total_s > 0:
        ended = window.paused(state.window, state.t_ns)
        summaries = (_closed(asset, ended, state.t_ns, "shutdown", state.models, state.speaks),)
    empty = window.opened(len(down), 0, state.mode.mode, state.window.context, asset.lines)
    after = replace(state, seq=tick.seq, window=empty)
    shown = replace(after, models=models.silenced(state.models, quality.BAD_SHUTDOWN))
    return after, _snapshot(asset, shown, tick, frame, (), summaries, ())


def _published(asset: Asset, state: State) -> Iterator[tuple[int, Given | Values]]:
    """(its first row, what stands there) of all that models give, and of what compares the two of a pair."""
    yield from ((given.first, given) for given in models.given(asset, state.models, state.speaks))
    for pair, known in zip(asset.pairs, state.comparisons, strict=True):
        yield pair.first + len(pair.points), compared.values(pair, known)


def _snapshot(
    asset: Asset,
    state: State,
    tick: Tick,
    frame: Frame,
    events: tuple[Event, ...],
    summaries: tuple[Summary, ...],
    faults: tuple[Fault, ...],
) -> Snapshot:
    n, m = len(asset.tags), len(asset.points)
    value, status = np.full(m, np.nan), np.zeros(m, np.uint32)
    time_ns, source_ns = np.full(m, tick.now_ns, np.int64), np.zeros(m, np.int64)
    value[:n], status[:n] = frame.value, frame.status
    time_ns[:n], source_ns[:n] = state.latest.t_ns, state.latest.source_ns
    value[n] = float(frame.mode)
    texts = {**frame.texts, **asset.texts}
    for first, given in _published(asset, state):
        rows = slice(first, first + len(given.value))
        value[rows], status[rows] = given.value, given.status
        texts.update({first + row: text for row, text in given.texts.items()})
    return Snapshot(
        asset=asset.id,
        epoch=tick.epoch,
        seq=tick.seq,
        t_ns=tick.now_ns,
        value=value,
        status=status,
        time_ns=time_ns,
        source_ns=source_ns,
        texts=texts,
        mode=frame.mode,
        context=frame.context,
        conditions=state.conditions,
        case=state.case,
        events=events,
        summaries=summaries,
        faults=faults,
        last=tick.last,
        arrays=frame.arrays,
    )
