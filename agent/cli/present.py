"""How a machine is now, for `edgetwin whatif`: from the daemon's newest checkpoint, or from the end of a recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agent.cli.configuration import planned
from agent.cli.telling import fail
from agent.core import quality
from agent.core.nouns import F8
from agent.core.wire import WireError
from agent.engine import state as states
from agent.engine.asset import SHADOW, Asset
from agent.runtime import clock, restore
from agent.store.read import Reader
from agent.store.schema import StoreError
from agent.twin import cycle, filtering
from agent.twin.filtering import Belief, Sample
from agent.twin.simulate import held
from agent.twin.trial.tally import Constraint
from agent.twin.trial.whatif import Start
from agent.twin.twin import FORMAT, Twin, load

if TYPE_CHECKING:
    from agent.config.plan import Plan
    from agent.fit.recording import Recording

SOON_S = 60.0


@dataclass(frozen=True, slots=True)
class Present:
    """A twin and where its machine is.

    asset: "" for a bare twin file; age_s: of the state (NaN: not known); told: where the state is from; limits: what
    the configuration says should not be passed."""

    asset: str
    twin: Twin
    start: Start
    age_s: float
    told: str
    limits: tuple[Constraint, ...]


def present(
    file: Path,
    asset: str | None,
    state_dir: Path | None,
    recording: Recording | None,
    where: Mapping[str, float] | None = None,
) -> Present:
    """Of a configuration (from the daemon's journal) or of a twin file (end of a recording, of its last rows where
    `where` holds; else the prior)."""
    try:
        content = file.read_bytes()
    except OSError as error:
        fail(str(error))
    if FORMAT.encode() in content[:200]:
        return _of_file(file, content, recording, where or {})
    return _of_daemon(planned(file, state_dir, {}), asset)


def _of_file(file: Path, content: bytes, recording: Recording | None, where: Mapping[str, float]) -> Present:
    try:
        twin = load(content)
    except ValueError as error:
        fail(f"{file}: {error}")
    plant = twin.plant
    if recording is None:
        u = np.array([c.mean for c in plant.inputs])
        x, P = plant.prior
        belief = Belief(x, np.asarray(np.linalg.cholesky(P), np.float64))
        told = "nothing is known of the machine now: the state is the twin's prior, the inputs their mean (see --from)"
        return Present("", twin, Start(belief, u, {}), float("nan"), told, ())
    try:
        recording = _held(recording, where)
        belief, u = followed(twin, recording)
    except ValueError as error:
        fail(str(error))
    last = {name: _last(recording.value[:, i]) for i, name in enumerate(recording.names)}
    told = f"the state is that of {recording.path} at time {recording.time_s[-1]:g}, {len(recording.time_s)} rows"
    return Present("", twin, Start(belief, u, last), float("nan"), told, ())


def followed(twin: Twin, recording: Recording) -> tuple[Belief, F8]:
    """The belief after all rows of a recording, and the inputs f8[m] at its end."""
    plant, m = twin.plant, len(twin.plant.inputs)
    rows = recording.columns(plant.tags)
    u, weight = held(plant, rows[:, :m]), np.ones(len(plant.outputs))
    t_ns = np.round((recording.time_s - recording.time_s[0]) * 1e9).astype(np.int64)
    samples = (Sample(int(t), a, y, weight) for t, a, y in zip(t_ns, u, rows[:, m:], strict=True))
    known = filtering.begin(plant, next(samples))
    for sample in samples:
        known, _ = filtering.step(plant, known, sample)
    return known.belief, u[-1]


def _held(recording: Recording, where: Mapping[str, float]) -> Recording:
    """The last unbroken rows in which every condition holds."""
    holds = np.ones(len(recording.time_s), np.bool_)
    for name, wanted in where.items():
        holds &= recording.columns([name])[:, 0] == wanted
    if not holds.any():
        raise ValueError(f"{recording.path}: no row where {', '.join(f'{k} is {v:g}' for k, v in where.items())}")
    stop = int(np.flatnonzero(holds)[-1]) + 1
    before = np.flatnonzero(~holds[:stop])
    rows = slice(int(before[-1]) + 1 if len(before) else 0, stop)
    return replace(recording, time_s=recording.time_s[rows], value=recording.value[rows])


def _last(column: F8) -> float:
    finite = column[np.isfinite(column)]
    return float(finite[-1]) if len(finite) else float("nan")


def _of_daemon(plan: Plan, wanted: str | None) -> Present:
    asset, number = _twin_of(plan, wanted)
    if not plan.journal.path.exists():
        fail(f"{asset.id}: there is no journal {plan.journal.path} yet. Start the daemon with: edgetwin run FILE", 3)
    try:
        reader = Reader.open(plan.journal.path)
        try:
            found = restore.newest(asset, reader)
        finally:
            reader.close()
    except (StoreError, OSError, WireError) as error:
        fail(f"{asset.id}: its state cannot be read from {plan.journal.path}: {error}", 3)
    if found is None:
        fail(f"{asset.id}: no state in {plan.journal.path} yet. Start the daemon with: edgetwin run FILE", 3)
    state = found.state
    number += next((s for p, s in zip(asset.pairs, state.speaks, strict=True) if p.number == number), 0)
    twin, own = asset.models[number].params, state.models[number].state
    if not isinstance(own, cycle.State) or not own.started:
        other = "; or the daemon runs with another twin file" if state.mode.mode.word in twin.modes else ""
        fail(f"{asset.id}: its twin says nothing now, the machine is {state.mode.mode.word}{other}", 3)
    age_s = (clock.wall_ns() - found.wall_ns) * 1e-9 if found.wall_ns else float("nan")
    told = f"the daemon's checkpoint, {_aged(age_s)}, mode {state.mode.mode.word}"
    belief = own.tracking.belief
    start = Start(belief, own.tracking.u, _known(asset, state))
    return Present(asset.id, twin, start, age_s, told, _limits(asset, twin))


def _aged(age_s: float) -> str:
    if not np.isfinite(age_s):
        return "of unknown age"
    if age_s < SOON_S:
        return f"{age_s:.0f} s old"
    return f"{age_s / 60:.0f} min old (is the daemon running?)"


def _twin_of(plan: Plan, wanted: str | None) -> tuple[Asset, int]:
    """The asset that is asked about, and the number of its twin among its models."""
    twins = [(a, i) for a in plan.assets for i, m in enumerate(a.models) if isinstance(m.params, Twin)]
    found = [(a, i) for a, i in twins if not a.models[i].name.endswith(SHADOW)]
    named = [(a, i) for a, i in found if wanted in (None, a.id)]
    have = ", ".join(dict.fromkeys(a.id for a, _ in found)) or "none"
    if not named:
        fail(f"no twin of {wanted or 'any asset'} in this configuration; assets with one: {have}")
    if len({a.id for a, _ in named}) > 1:
        fail(f"several assets have a twin, choose one with --asset: {have}", 2)
    return named[0]


def _known(asset: Asset, state: states.State) -> Mapping[str, float]:
    """The newest usable value of each tag."""
    usable = np.isfinite(state.latest.value) & ~quality.bad_mask(state.latest.status)
    return {name: float(state.latest.value[row]) for row, name in enumerate(asset.names) if usable[row]}


def _limits(asset: Asset, twin: Twin) -> tuple[Constraint, ...]:
    """Limits of the class over signals of the twin, then the ranges of its tags."""
    signals = {c.tag for c in (*twin.plant.inputs, *twin.plant.outputs, *twin.plant.virtual)}
    limits = [
        Constraint(rule.point, rule.side, rule.limit, rule.on_delay_s, rule.message)
        for rule in asset.rules
        if rule.kind == "limit" and rule.side in ("low", "high") and rule.point in signals
    ]
    ranges = [
        Constraint(name, side, bound, 0.0, "range")
        for name, tag in zip(asset.names, asset.tags, strict=True)
        if name in signals
        for side, bound in (("low", tag.eu_lo), ("high", tag.eu_hi))
        if np.isfinite(bound)
    ]
    return (*limits, *ranges)
