"""Runs the models of an asset, each only where it holds, and turns a failing one into an absent value and a fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agent.core import quality
from agent.core.nouns import F8, U4, Command, Fault, Frame, Kind, Point, Role
from agent.engine.asset import Asset, Model, Pair
from agent.engine.state import ModelState, outside

# What a model may raise on bad numbers or files. Anything else is a bug of ours and ends the cycle.
FAILURES = (ArithmeticError, LookupError, RuntimeError, TimeoutError, TypeError, ValueError)

# What summaries tell of a model: that is what people far away plan by.
TOLD = frozenset({Role.HEALTH, Role.LIFE, Role.TRUST, Role.ACCURACY, Role.FAULT})

SoFar = dict[str, tuple[float, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What is published of a model, or of a pair by the one of the two that speaks. Its points follow `first`."""

    first: int
    points: tuple[Point, ...]
    value: F8
    status: U4
    texts: Mapping[int, str]


def step(
    asset: Asset, states: tuple[ModelState, ...], frame: Frame, seq: int, speaks: Sequence[int] = ()
) -> tuple[tuple[ModelState, ...], SoFar, tuple[Fault, ...]]:
    """All models in order: (states, what they gave by relative id, faults). speaks: of each pair, which of the two."""
    so_far: SoFar = {}
    after, faults = [], []
    for model, before in zip(asset.models, states, strict=True):
        try:
            state = _one(model, before, frame, so_far, seq)
        except FAILURES as error:
            state = _failed(model, before)
            faults.append(Fault(model.name, frame.t_ns, f"{type(error).__name__}: {error}"))
        after.append(state)
        given = _given(asset, len(after) - 1, after, speaks)
        so_far.update(named(asset, given) if given else {})
    return tuple(after), so_far, tuple(faults)


def given(asset: Asset, states: Sequence[ModelState], speaks: Sequence[int]) -> list[Given]:
    """What is published of all models, in order."""
    each = (_given(asset, number, states, speaks) for number in range(len(asset.models)))
    return [one for one in each if one is not None]


def _given(asset: Asset, number: int, states: Sequence[ModelState], speaks: Sequence[int]) -> Given | None:
    """What is published once a model has stepped: of a pair once both have."""
    for pair, which in zip(asset.pairs, speaks, strict=True):
        if number == pair.number + 1:
            return of_pair(pair, states, which)
        if number == pair.number:
            return None
    model, state = asset.models[number], states[number]
    return Given(model.first, model.points, state.value, state.status, state.texts)


def of_pair(pair: Pair, states: Sequence[ModelState], which: int) -> Given:
    """What a pair gives where `which` of the two speaks; what only the other knows is not applicable."""
    state, rows, n = states[pair.number + which], pair.rows[which], len(pair.points)
    value, status = np.full(n, np.nan), np.full(n, quality.NOT_APPLICABLE, np.uint32)
    value[list(rows)], status[list(rows)] = state.value, state.status
    return Given(pair.first, pair.points, value, status, {rows[row]: text for row, text in state.texts.items()})


def named(asset: Asset, given: Given) -> SoFar:
    """(value, status) by relative id."""
    columns = zip(given.points, given.value.tolist(), given.status.tolist(), strict=True)
    return {asset.relative(point.id): (value, status) for point, value, status in columns}


def _one(model: Model, before: ModelState, frame: Frame, so_far: SoFar, seq: int) -> ModelState:
    if frame.t_ns < before.until_ns:
        if before.entered_ns >= 0:
            raise TimeoutError("it is suspended, its steps take too long")
        return outside(model, quality.BAD_INTERNAL_ERROR, before)
    if frame.mode not in model.modes:
        return outside(model, quality.NOT_APPLICABLE, before)
    entered = before.entered_ns < 0
    if not entered and seq % model.every:
        return before
    own = _begun(model, before.state) if entered else before.state
    entered_ns = frame.t_ns if entered else before.entered_ns
    own, values = model.kind.step(model.params, own, frame, so_far)
    if frame.t_ns - entered_ns < model.settle_s * 1e9:
        settling = outside(model, quality.BAD_WAITING_FOR_INITIAL_DATA, before)
        return replace(settling, state=own, entered_ns=entered_ns)
    return ModelState(own, entered_ns, values.value, values.status, values.texts, before.undo, before.until_ns)


def _begun(model: Model, state: Any) -> Any:
    """A model's state where a mode begins in which it holds: anew, or with what it keeps over a pause."""
    resume = getattr(model.kind, "resume", None)
    return resume(model.params, state) if resume else model.kind.init(model.params)


def _failed(model: Model, before: ModelState) -> ModelState:
    """What is lasting in the state is kept, unless that is where it failed."""
    lasting = hasattr(model.kind, "resume") and before.entered_ns >= 0
    kept = before if lasting else replace(before, state=model.kind.init(model.params))
    return outside(model, quality.BAD_INTERNAL_ERROR, kept)


def obey(asset: Asset, states: tuple[ModelState, ...], command: Command) -> tuple[ModelState, ...]:
    """What a command to one model (`asset/model`) or to all of an asset does. ValueError where none takes it, with
    what each says."""
    _, _, name = command.target.partition("/")
    after, taken, said = [], False, list[str]()
    for model, state in zip(asset.models, states, strict=True):
        own, why_not = (state.state, "") if name not in ("", model.name) else _asked(model, state, command)
        taken |= not why_not and name in ("", model.name)
        said += [f"{model.name}: {why_not}"] * bool(why_not)
        after.append(replace(state, state=own))
    if not taken:
        raise ValueError("; ".join(said) or f"no model {command.target}")
    return tuple(after)


def _asked(model: Model, state: ModelState, command: Command) -> tuple[Any, str]:
    """(state, why not)."""
    does = getattr(model.kind, "obey", None)
    if does is None:
        return state.state, f"takes no command {command.do}"
    try:
        return does(model.params, state.state, command), ""
    except FAILURES as error:
        return state.state, str(error)


def suspend(
    asset: Asset, states: tuple[ModelState, ...], command: Command, now_ns: int
) -> tuple[tuple[ModelState, ...], str]:
    """(states, what is said): a model that takes too long gives nothing for a while. ValueError: no such model."""
    name, for_s = command.target.partition("/")[2], float(command.args["for_s"])
    if name not in [model.name for model in asset.models]:
        raise ValueError(f"no model {command.target}")
    until_ns = now_ns + int(for_s * 1e9)
    pairs = zip(asset.models, states, strict=True)
    after = tuple(replace(state, until_ns=until_ns) if model.name == name else state for model, state in pairs)
    return after, f"{command.target}: suspended for {for_s / 60.0:.3g} min: {command.args.get('why', '')}"


def said(
    asset: Asset, states: tuple[ModelState, ...], speaks: Sequence[int]
) -> tuple[dict[str, float], dict[str, str]]:
    """(figures, findings) of models about the machine and themselves, by relative id: numbers and words."""
    figures, findings = dict[str, float](), {asset.relative(asset.points[row].id): t for row, t in asset.texts.items()}
    for one in given(asset, states, speaks):
        for row, (point, value, status) in enumerate(zip(one.points, one.value, one.status, strict=True)):
            name = asset.relative(point.id)
            if row in one.texts:
                findings[name] = one.texts[row]
            elif point.role in TOLD and point.kind is not Kind.TEXT and not quality.is_bad(int(status)):
                figures[name] = float(value)
    return figures, findings


def silenced(states: tuple[ModelState, ...], why: int) -> tuple[ModelState, ...]:
    """The same states giving nothing, for the reason `why`."""
    nothing = [(np.full_like(s.value, np.nan), np.full_like(s.status, why)) for s in states]
    return tuple(replace(s, value=v, status=u, texts={}) for s, (v, u) in zip(states, nothing, strict=True))
