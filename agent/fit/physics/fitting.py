"""The plant of a machine's file: unknown parameters found within their bounds, each with its interval, and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from agent.core.nouns import F8
from agent.fit.physics import noise, parameters, reading, search, starting, trajectories
from agent.fit.physics.reading import Sketch
from agent.fit.physics.report import Found, ParameterReport
from agent.fit.physics.search import Fit
from agent.fit.physics.trajectories import Run, Trial
from agent.fit.recording import FitError
from agent.twin.kind import Channel
from agent.twin.kinds import physics
from agent.twin.kinds.physics import network, running
from agent.twin.kinds.physics.params import Params, Start
from agent.twin.plant import Plant

# How much of a recording a search looks at: enough for a few dozen parameters, in stretches that free runs survive.
ROWS = 4000
WINDOW_ROWS = 1200
SEARCHES = 3
# A step is fine enough if half of it changes no output by more than this share of its noise.
FINE = 0.1
FINEST = 6
# Steps of a search that begins near its end.
AGAIN = 12


def fit_plant(
    file: str | Path,
    runs: Sequence[Run],
    inputs: tuple[Channel, ...],
    outputs: tuple[Channel, ...],
    virtual: tuple[Channel, ...] = (),
    *,
    period_s: float,
    searches: int = SEARCHES,
    window_rows: int = WINDOW_ROWS,
) -> tuple[Plant, ParameterReport]:
    """The plant of a file, its unknown parameters fitted to runs in the units of the channels.

    FitError names what is wrong with the file, as file:line:col, or what it needs and the recording lacks."""
    sketch = read_for(file, tags(inputs), tags((*outputs, *virtual)))
    trial = _trial(sketch, runs, period_s, window_rows)
    scaled = search.scale(sketch.unknown)
    starts, start_sd = starting.starts(sketch, trial.y)
    fits = search.fitted(trial, scaled, starts, start_sd, searches)
    trial = _fine(trial, fits[0], sketch.own_substep)
    fit = search.refined(trial, scaled, fits[0].s, starts, start_sd, fits[0].sigma)
    sure = parameters.certainty(trial, scaled, fit, start_sd)
    params = parameters.settled(sketch, fit.theta)
    params = replace(
        params,
        estimates=parameters.estimates(sketch.unknown, scaled, fit, sure),
        substep_s=trial.params.substep_s,
    )
    plant = _plant(params, trial, fit, inputs, outputs, virtual)
    return plant, _report(sketch, plant, fit, fits)


def refit(file: str | Path, plant: Plant, runs: Sequence[Run], sigma: F8, window_rows: int = WINDOW_ROWS) -> Plant:
    """The plant fitted to other runs, residuals weighted by sigma f8[p+v]: the search begins where it was.

    Its noise and starts stay as they are."""
    sketch = read_for(file, tags(plant.inputs), tags((*plant.outputs, *plant.virtual)))
    trial = _trial(sketch, runs, plant.period_s, window_rows)
    trial = replace(trial, params=replace(trial.params, substep_s=plant.params.substep_s))
    scaled = search.scale(sketch.unknown)
    starts, start_sd = starting.starts(sketch, trial.y)
    s = scaled.share(np.array([e.value for e in plant.params.estimates]))
    fit = search.refined(trial, scaled, s, starts, start_sd, sigma, AGAIN)
    params = parameters.settled(sketch, fit.theta)
    kept = plant.params
    return replace(plant, params=replace(kept, components=params.components, lines=params.lines, health=params.health))


def _trial(sketch: Sketch, runs: Sequence[Run], period_s: float, window_rows: int) -> Trial:
    params = sketch.params if sketch.own_substep else replace(sketch.params, substep_s=period_s)
    return trajectories.trial(replace(sketch, params=params), _some(runs, window_rows), period_s)


def tags(channels: Sequence[Channel]) -> tuple[str, ...]:
    """Of each channel."""
    return tuple(c.tag for c in channels)


def read_for(file: str | Path, inputs: Sequence[str], outputs: Sequence[str]) -> Sketch:
    """The machine of a file with its inputs and outputs in this order; outputs that it shows besides are left out."""
    sketch = reading.read(file)
    drives = {d.tag: d for d in sketch.params.inputs}
    readings = {r.tag: r for r in sketch.params.outputs}
    for what, known, wanted in (("input", tuple(drives), inputs), ("output", tuple(readings), outputs)):
        missing = [tag for tag in wanted if tag not in known]
        if missing:
            raise FitError(f"{sketch.file}: no {what} {', '.join(missing)}; it has {', '.join(known)}")
    unread = [tag for tag in drives if tag not in inputs]
    if unread:
        raise FitError(f"{sketch.file}: it reads {', '.join(unread)}, expected among the inputs")
    params = replace(
        sketch.params,
        inputs=tuple(drives[tag] for tag in inputs),
        outputs=tuple(readings[tag] for tag in outputs),
    )
    return replace(sketch, params=params)


def _some(runs: Sequence[Run], window_rows: int) -> list[Run]:
    """Windows spread over the recording, of at most ROWS rows in all."""
    every = trajectories.windows([r for r in runs if len(r.u) > 2], window_rows)
    if not every:
        raise FitError("no unbroken stretch of rows to fit to")
    stride = max(1, -(-sum(len(r.u) for r in every) // ROWS))
    return every[::stride]


def _fine(trial: Trial, fit: Fit, given: bool) -> Trial:
    """The trial with a step that halving does not change any more; a step that the file gives stays."""
    x = np.hstack([fit.starts, np.broadcast_to(fit.theta, (len(fit.starts), len(fit.theta)))])
    r = np.sqrt(noise.measurement(trial.y - trial.outputs(x), noise.quantum(trial.y)))
    for _ in range(0 if given else FINEST):
        half = replace(trial, params=replace(trial.params, substep_s=0.5 * trial.params.substep_s))
        if np.max(np.abs(half.outputs(x) - trial.outputs(x)) / r) < FINE:
            break
        trial = half
    return trial


def _plant(
    params: Params,
    trial: Trial,
    fit: Fit,
    inputs: tuple[Channel, ...],
    outputs: tuple[Channel, ...],
    virtual: tuple[Channel, ...],
) -> Plant:
    """The plant with noise and starts from the runs that it was fitted to."""
    p = len(outputs)
    x = np.hstack([fit.starts, np.broadcast_to(fit.theta, (len(fit.starts), len(fit.theta)))])
    error = trial.y - trial.outputs(x)
    quantum = noise.quantum(trial.y)
    r = noise.measurement(error, quantum)
    walk = noise.wandering(error, r, trial.period_s)
    states = _states(trial, x)
    params = replace(params, starts=tuple(_start(params, s, i, states, walk) for i, s in enumerate(params.starts)))
    return Plant(physics, params, inputs, outputs, virtual, trial.period_s, r[:p], quantum[:p])


def _states(trial: Trial, x: F8) -> F8:
    """Moving states over the rows that count: f8[rows,n]."""
    found: list[F8] = []
    there = np.asarray(np.isfinite(trial.y).any(axis=-1), np.bool_)
    for k, u in enumerate(trial.u):
        found.append(x[there[k]][:, : trial.moving])
        x = running.advance(trial.params, x, u, trial.period_s)
    return np.vstack(found)


def _start(params: Params, start: Start, i: int, states: F8, walk: F8) -> Start:
    """The middle and spread of a state over the recording. It wanders as the file says, else as the residuals of the
    output that shows it do; where none does, by its spread in an hour."""
    sd = max(float(np.std(states[:, i])), 1e-9)
    shown = starting.shows(params, start.state)
    wander = float(walk[shown[0]] / abs(shown[1])) if shown else sd / 60.0
    return Start(start.state, float(np.mean(states[:, i])), sd, wander if np.isnan(start.walk) else start.walk)


def _report(sketch: Sketch, plant: Plant, fit: Fit, fits: Sequence[Fit]) -> ParameterReport:
    params = plant.params
    constants, quantities = network.constants(params), network.quantities(params)
    fitted = {n.parameter for n in sketch.unknown}
    channels = (*plant.outputs, *plant.virtual)
    return ParameterReport(
        file=sketch.file,
        found=tuple(Found(quantities[e.parameter].unit, e) for e in params.estimates),
        fixed=tuple((n, v, quantities[n].unit) for n, v in constants.items() if n not in fitted),
        rms=tuple((c.tag, float(s), sketch.units[c.tag]) for c, s in zip(channels, fit.sigma, strict=True)),
        substep_s=params.substep_s,
        searches=tuple(f.loss for f in fits),
    )
