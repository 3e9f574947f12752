"""The engine's state of one asset: a value that goes in and comes out of each step, and its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.core import conditions, latest, quality, window, wire
from agent.core.latest import Latest
from agent.core.memory import Memory
from agent.core.nouns import F8, U4, Case, Condition, Mode
from agent.core.window import Window
from agent.engine import comparison, derived, heartbeats
from agent.engine.asset import SHADOW, Asset, Model, Pair
from agent.engine.comparison import Comparison
from agent.engine.derived import Kept
from agent.engine.heartbeats import Beat


@dataclass(frozen=True, slots=True, eq=False)
class ModeState:
    """The mode, since when, when it was last known, and since when each declared rule has held (0: does not)."""

    mode: Mode = Mode.UNKNOWN
    since_ns: int = 0
    known_ns: int = 0
    holding_ns: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ModelState:
    """One model's own state, since when it is inside its modes (-1: outside), and its last values. `undo`: its state
    before the last maintenance, None where there was none. `until_ns`: it is suspended until then."""

    state: Any
    entered_ns: int
    value: F8
    status: U4
    texts: Mapping[int, str] = field(default_factory=dict)
    undo: Any = None
    until_ns: int = 0


@dataclass(frozen=True, slots=True)
class Care:
    """Whether people work on the machine: since when (0: they do not), when they last ended (0: never), who began."""

    since_ns: int = 0
    ended_ns: int = 0
    user: str = ""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """How it is, and how it was before the last step (None: nothing to take back); when that step was (0: never)."""

    now: Care = Care()
    before: Care | None = None
    step_ns: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """All that one asset carries from tick to tick. `pending_ns` and `conditions` follow the asset's rules, `beats` its
    heartbeats, `memories` what its derived tags recall, `comparisons` its pairs. `mode` is the machine's own, also in
    maintenance."""

    seq: int
    t_ns: int
    latest: Latest
    mode: ModeState
    conditions: tuple[Condition, ...]
    pending_ns: tuple[int, ...]
    case: Case | None
    window: Window
    models: tuple[ModelState, ...]
    beats: tuple[Beat, ...] = ()
    memories: tuple[Memory, ...] = ()
    maintenance: Maintenance = Maintenance()
    comparisons: tuple[Comparison, ...] = ()

    @property
    def speaks(self) -> tuple[int, ...]:
        """Which of the two speaks, of each pair."""
        return tuple(known.speaks for known in self.comparisons)


def initial(asset: Asset) -> State:
    """The state before the first tick ever."""
    n = len(asset.tags)
    return State(
        seq=0,
        t_ns=0,
        latest=latest.nothing_yet(n),
        mode=ModeState(holding_ns=(0,) * len(asset.modes.rules)),
        conditions=tuple(conditions.initial(rule, asset.id) for rule in asset.rules),
        pending_ns=(0,) * len(asset.rules),
        case=None,
        window=window.opened(n, 0, Mode.UNKNOWN, {}, asset.lines),
        models=tuple(outside(model, quality.NOT_APPLICABLE) for model in asset.models),
        beats=(Beat(),) * len(asset.heartbeats),
        memories=derived.begun(asset.derived),
        comparisons=tuple(comparison.begun(len(pair.rules)) for pair in asset.pairs),
    )


def outside(model: Model, why: int, before: ModelState | None = None) -> ModelState:
    """A model that gives nothing, for the reason `why`."""
    k = len(model.points)
    kept = model.kind.init(model.params) if before is None else before.state
    nothing, because = np.full(k, np.nan), np.full(k, why, np.uint32)
    until_ns = before.until_ns if before else 0
    return ModelState(kept, -1, nothing, because, undo=before and before.undo, until_ns=until_ns)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    sha256: str
    entered_ns: int
    value: F8
    status: U4
    state: npt.NDArray[np.uint8]
    texts: Mapping[int, str] = field(default_factory=dict)
    undo: npt.NDArray[np.uint8] | None = None
    until_ns: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """Of a pair: the hashes of the two, and the rules by which their alerts were folded."""

    sha256: tuple[str, ...]
    rules: tuple[str, ...]
    known: Comparison


@dataclass(frozen=True, slots=True, eq=False)
class _Frozen:
    tags: tuple[str, ...]
    seq: int
    t_ns: int
    latest: Latest
    mode: ModeState
    conditions: tuple[Condition, ...]
    pending_ns: tuple[int, ...]
    case: Case | None
    window: Window
    models: Mapping[str, _Part]
    beats: Mapping[str, Beat] = field(default_factory=dict)
    memories: Kept = field(default_factory=Kept)
    maintenance: Maintenance = Maintenance()
    comparisons: Mapping[str, _Compared] = field(default_factory=dict)
    key: str = ""


def freeze(asset: Asset, state: State) -> bytes:
    """A checkpoint: the state with the hashes of the models it belongs to."""
    parts = {
        model.name: _Part(
            model.sha256,
            kept.entered_ns,
            kept.value,
            kept.status,
            _octets(kept.state),
            kept.texts,
            None if kept.undo is None else _octets(kept.undo),
            kept.until_ns,
        )
        for model, kept in zip(asset.models, state.models, strict=True)
    }
    frozen = _Frozen(
        tuple(asset.names),
        state.seq,
        state.t_ns,
        state.latest,
        state.mode,
        state.conditions,
        state.pending_ns,
        state.case,
        state.window,
        parts,
        {h.tag: beat for h, beat in zip(asset.heartbeats, state.beats, strict=True)},
        derived.frozen(asset.derived, state.memories),
        state.maintenance,
        {
            pair.name: _Compared(*_identity(asset, pair), c)
            for pair, c in zip(asset.pairs, state.comparisons, strict=True)
        },
        asset.key,
    )
    return wire.encode(frozen)


def _identity(asset: Asset, pair: Pair) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(hashes of the two models, ids of the rules) that a comparison belongs to."""
    both = asset.models[pair.number : pair.number + 2]
    return tuple(model.sha256 for model in both), tuple(asset.rules[row].id for row in pair.rules)


def _octets(state: Any) -> npt.NDArray[np.uint8]:
    return np.frombuffer(wire.encode(state), np.uint8)


def thaw(asset: Asset, checkpoint: bytes) -> State:
    """The state of a checkpoint, as far as it still fits the asset: other tags, rules or models start anew.

    WireError where the bytes are not a checkpoint.
    """
    frozen = wire.decode(_Frozen, checkpoint)
    fresh = initial(asset)
    state = replace(
        fresh,
        seq=frozen.seq,
        case=frozen.case,
        conditions=kept_conditions(asset, frozen.conditions),
        beats=tuple(frozen.beats.get(h.tag, Beat()) for h in asset.heartbeats),
        memories=derived.thawed(asset.derived, frozen.memories),
        maintenance=frozen.maintenance,
        comparisons=tuple(_recalled(asset, pair, frozen.comparisons.get(pair.name)) for pair in asset.pairs),
    )
    if frozen.tags != tuple(asset.names):
        return state
    mode = frozen.mode if len(frozen.mode.holding_ns) == len(asset.modes.rules) else fresh.mode
    models = tuple(_thawed(model, frozen.models) for model in asset.models)
    waiting = {c.id: ns for c, ns in zip(frozen.conditions, frozen.pending_ns, strict=True)}
    pending_ns = tuple(waiting.get(c.id, 0) for c in state.conditions)
    return replace(
        state,
        t_ns=frozen.t_ns,
        latest=frozen.latest,
        mode=mode,
        pending_ns=pending_ns,
        window=_window(asset, frozen.window),
        models=models,
    )


def fits(asset: Asset, checkpoint: bytes) -> bool:
    """Whether a checkpoint is of this very asset, so that the ticks after it give what they gave then."""
    frozen = wire.decode(_Frozen, checkpoint)
    return frozen.key == asset.key and frozen.tags == tuple(asset.names)


def _window(asset: Asset, known: Window) -> Window:
    """The window with the traces that its tags have now: with others, or by another bound, they begin anew."""
    now, then = asset.lines, known.lines
    same = np.array_equal(now.row, then.row) and np.array_equal(now.bound, then.bound)
    return known if same else replace(known, lines=now)


def _recalled(asset: Asset, pair: Pair, part: _Compared | None) -> Comparison:
    """The comparison of the same two models by the same rules, else a new one."""
    same = part is not None and (part.sha256, part.rules) == _identity(asset, pair)
    return part.known if part and same else comparison.begun(len(pair.rules))


def _thawed(model: Model, parts: Mapping[str, _Part]) -> ModelState:
    """Its state, also where it was the shadow of that name until now, or what the shadow has replaced."""
    name = model.name.removesuffix(SHADOW)
    part = next((p for n in (name, name + SHADOW) if (p := parts.get(n)) and p.sha256 == model.sha256), None)
    if part is None or len(part.value) != len(model.points):
        return outside(model, quality.NOT_APPLICABLE)
    own = wire.decode(model.kind.State, part.state.tobytes())
    undo = None if part.undo is None else wire.decode(model.kind.State, part.undo.tobytes())
    return ModelState(own, part.entered_ns, part.value, part.status, part.texts, undo, part.until_ns)


def kept_conditions(asset: Asset, known: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """The conditions of the asset's rules, those known before carried on with the rule's present words."""
    by_id = {c.id: c for c in known}
    kept = []
    for rule in asset.rules:
        new = conditions.initial(rule, asset.id)
        old = by_id.get(new.id)
        kept.append(
            new
            if old is None
            else replace(
                old,
                priority=new.priority,
                category=new.category,
                message=new.message,
                kind=new.kind,
                provisional=new.provisional,
            )
        )
    return tuple(kept)


def rebased(asset: Asset, state: State, by_ns: int) -> State:
    """The state carried to another boot's time axis: conditions, the case, heartbeats and maintenance move, totals and
    counters of derived tags are kept, and what a model keeps over a pause; all else starts anew."""
    known = tuple(moved(c, by_ns) for c in state.conditions)
    case = moved_case(state.case, by_ns) if state.case else None
    kept = [
        replace(s, until_ns=0) if hasattr(m.kind, "resume") else None
        for m, s in zip(asset.models, state.models, strict=True)
    ]
    care, before = state.maintenance.now, state.maintenance.before
    moved_ns = _moved(state.maintenance.step_ns, by_ns)
    return replace(
        initial(asset),
        seq=state.seq,
        conditions=known,
        case=case,
        beats=tuple(heartbeats.moved(beat, by_ns) for beat in state.beats),
        memories=derived.moved(asset.derived, state.memories),
        models=tuple(outside(m, quality.NOT_APPLICABLE, s) for m, s in zip(asset.models, kept, strict=True)),
        maintenance=Maintenance(_moved_care(care, by_ns), before and _moved_care(before, by_ns), moved_ns),
        comparisons=tuple(map(comparison.waiting_for_nothing, state.comparisons)),
    )


def _moved_care(care: Care, by_ns: int) -> Care:
    return replace(care, since_ns=_moved(care.since_ns, by_ns), ended_ns=_moved(care.ended_ns, by_ns))


def moved(condition: Condition, by_ns: int) -> Condition:
    """A condition with its times on another axis."""
    return replace(
        condition,
        since_ns=_moved(condition.since_ns, by_ns),
        shelved_until_ns=_moved(condition.shelved_until_ns, by_ns),
    )


def moved_case(case: Case, by_ns: int) -> Case:
    """A case with its times on another axis."""
    return replace(case, opened_ns=_moved(case.opened_ns, by_ns), closed_ns=_moved(case.closed_ns, by_ns))


def _moved(t_ns: int, by_ns: int) -> int:
    return t_ns + by_ns if t_ns else 0
