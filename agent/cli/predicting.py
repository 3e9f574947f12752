"""`edgetwin model predict`: remaining lives of the units of a table, by the daemon's own code row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import typer

from agent.cli.telling import fail
from agent.core import quality
from agent.core.nouns import F8, Frame, Mode, Names
from agent.detect import rul
from agent.detect.rul import Params
from agent.detect.rul_file import UNIT_S
from agent.fit.lives import runs
from agent.fit.lives.runs import Runs, Unit
from agent.fit.recording import FitError
from agent.runtime.admission import keys, trial

HEADER = ("unit", "time", "p5", "p50", "p95", "more_than", "note")


def run(model: Path, table: Path, out: Path, unit: str, time: str) -> None:
    """Read, predict, write; what is wrong is one line and exit 1."""
    try:
        content = model.read_bytes()
        trial.passed("detect.rul", content, keys.usual())
        params = rul.load(content)
    except (ValueError, OSError) as error:
        fail(f"{model}: {error}" if isinstance(error, ValueError) else str(error))
    about = params.about
    try:
        found = runs.read(table, unit or about.columns[0], time or about.columns[1], about.time_unit)
        given = predicted(params, found)
        with out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([HEADER, *given])
    except (FitError, OSError) as error:
        fail(str(error))
    without = [row for row in given if not row[3]]
    over = sum(1 for row in given if row[5])
    typer.echo(
        f"{out}: {len(given)} rows of {len(found.units)} units; {over} more than {about.cap:g} {about.time_unit};"
        f" {len(without)} without an estimate"
    )


def predicted(params: Params, found: Runs) -> list[tuple[str, ...]]:
    """A row for each row of the table, in its order. FitError where it lacks a column of the model."""
    missing = [name for name in params.about.tags if name not in found.names]
    if missing:
        raise FitError(f"{found.path}: no numeric column {', '.join(missing)}; it has {', '.join(found.names)}")
    at = [found.names.index(name) for name in params.about.tags]
    rows: dict[int, tuple[str, ...]] = {}
    for unit in found.units:
        for place, told in zip(unit.row.tolist(), lives(params, unit, unit.value[:, at]), strict=True):
            rows[place] = (unit.name, found.times[place], *told)
    return [rows[place] for place in sorted(rows)]


def lives(params: Params, unit: Unit, value: F8) -> Iterator[tuple[str, ...]]:
    """p5, p50, p95, the cap where the estimate is more than that, and why there is none, after each row of a unit."""
    about, state = params.about, rul.init(params)
    names = Names(params.tags)
    step_s = np.diff(unit.time, prepend=unit.time[0]) * UNIT_S.get(about.time_unit, 1.0)
    for now, row, passed_s in zip(unit.time, value, step_s, strict=True):
        read = np.append(row, now) if about.counter else row
        state, _ = rul.step(params, state, frame(names, read, float(passed_s)), {})
        yield _cells(params, state)


def frame(names: Names, value: F8, passed_s: float) -> Frame:
    """One row as the engine gives it to a model: one sample a tag, Bad where there is none."""
    here = np.isfinite(value)
    none = np.zeros(len(value), np.int64)
    return Frame(
        names=names,
        t_ns=0,
        dt_ns=round(passed_s * 1e9),
        value=value,
        status=np.where(here, quality.GOOD, quality.BAD_NO_DATA).astype(np.uint32),
        age_ns=none,
        source_ns=none,
        mean=value,
        min=value,
        max=value,
        count=here.astype(np.int32),
        texts={},
        batches=(),
        mode=Mode.RUNNING,
    )


def _cells(params: Params, state: rul.State) -> tuple[str, ...]:
    if state.why:
        return "", "", "", "", f"no estimate: {state.why}"
    over = (state.status & quality.LIMITED_HIGH) == quality.LIMITED_HIGH
    p5, p50, p95 = (f"{value:.6g}" for value in state.value)
    cap = f"{params.about.cap:g}"
    note = rul.words(params.about, state)
    return p5, p50, "inf" if over[2] else p95, cap if over[1] else "", note
