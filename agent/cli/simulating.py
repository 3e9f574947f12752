"""`edgetwin model simulate`: a twin over the rows of a recording."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import typer

from agent.cli.showing import loaded
from agent.cli.telling import fail
from agent.core.nouns import F8
from agent.fit.recording import FitError, Recording, read
from agent.twin import filtering
from agent.twin.filtering import Sample
from agent.twin.plant import Plant
from agent.twin.simulate import free_run, held

GAP_PERIODS = 1.5
SAME_PERIOD = 0.02


def run(twin: Path, recording: Path, out: Path, free: bool, init_samples: int) -> None:
    """Write the outputs: one row for each row of the recording, its time as it stands there."""
    plant = loaded(twin).plant
    try:
        rows = read(recording)
        value = _free(plant, rows, init_samples) if free else expected(plant, rows)
    except (FitError, OSError) as error:
        fail(str(error))
    tags = [c.tag for c in (*plant.outputs, *plant.virtual)]
    lines = [["time", *tags], *([t, *_cells(row)] for t, row in zip(rows.stamps, value.tolist(), strict=True))]
    try:
        with out.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)
    except OSError as error:
        fail(str(error))
    known = int(np.isfinite(value).all(axis=1).sum())
    typer.echo(f"written: {out}, {len(rows.stamps)} rows, {known} with values, {len(tags)} outputs")


def _cells(row: list[float]) -> list[str]:
    return [f"{x:.9g}" if np.isfinite(x) else "" for x in row]


def _signals(plant: Plant, rows: Recording) -> tuple[F8, F8]:
    """u f8[rows,m], y f8[rows,p]; outputs that the recording does not have are absent."""
    u = rows.columns([c.tag for c in plant.inputs])
    y = np.full((len(u), len(plant.outputs)), np.nan)
    for i, channel in enumerate(plant.outputs):
        if channel.tag in rows.names:
            y[:, i] = rows.columns([channel.tag])[:, 0]
    return u, y


def _pieces(plant: Plant, rows: Recording, u: F8) -> list[slice]:
    """Unbroken stretches, each from its first row with all inputs: cut where time jumps."""
    step = np.diff(rows.time_s)
    cuts = np.flatnonzero((step <= 0) | (step > GAP_PERIODS * plant.period_s)) + 1
    edges = [0, *cuts.tolist(), len(u)]
    complete = np.flatnonzero(np.isfinite(u).all(axis=1))
    found = []
    for a, b in pairwise(edges):
        first = int(np.searchsorted(complete, a))
        if first < len(complete) and complete[first] < b:
            found.append(slice(int(complete[first]), b))
    return found


def _free(plant: Plant, rows: Recording, init_samples: int) -> F8:
    """Free runs f8[rows,p+v], each stretch from its own start; NaN before its inputs are complete."""
    if abs(rows.period_s - plant.period_s) > SAME_PERIOD * plant.period_s:
        raise FitError(f"{rows.path}: one row each {rows.period_s:g} s, the twin was made for {plant.period_s:g} s")
    u, y = _signals(plant, rows)
    out = np.full((len(u), len(plant.outputs) + len(plant.virtual)), np.nan)
    for part in _pieces(plant, rows, u):
        out[part] = free_run(plant, u[part], y[part], init_samples)
    return out


def expected(plant: Plant, rows: Recording) -> F8:
    """What the filter expects of each row before it sees its outputs: f8[rows,p+v]. NaN before inputs are complete."""
    u, y = _signals(plant, rows)
    out = np.full((len(u), len(plant.outputs) + len(plant.virtual)), np.nan)
    t_ns = np.round((rows.time_s - rows.time_s[0]) * 1e9).astype(np.int64)
    weight = np.ones(len(plant.outputs))
    for part in _pieces(plant, rows, u):
        inputs, a = held(plant, u[part]), part.start
        out[a] = plant.observe(plant.prior[0], inputs[0])
        known = filtering.begin(plant, Sample(int(t_ns[a]), inputs[0], y[a], weight))
        for k in range(a + 1, part.stop):
            known, said = filtering.step(plant, known, Sample(int(t_ns[k]), inputs[k - a], y[k], weight))
            out[k] = said.expected
    return out
