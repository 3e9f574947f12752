"""`edgetwin fit loop`: the PLC's loops into a twin file, stated or read off a recording."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import typer

from agent.cli import wording
from agent.cli.showing import loaded
from agent.cli.telling import fail
from agent.cli.telling import where as conditions
from agent.fit.loops import Found, identify
from agent.fit.recording import FitError, Recording, read
from agent.twin.trial.loop import Control, Loop
from agent.twin.twin import Twin, dump


def run(
    recording: Path, twin: Path, texts: Sequence[str], interlocks: Sequence[str], where: Sequence[str], settle_s: float
) -> None:
    """Find each loop, write them all into the twin's section `control`."""
    whole = loaded(twin)
    try:
        rows = read(recording)
        found = [located(text, whole, rows, where, settle_s) for text in texts]
        locks = tuple(wording.interlock(text, whole.tags) for text in interlocks)
    except (FitError, wording.WordingError, OSError) as error:
        fail(str(error))
    stated = whole.control or Control()
    taken = {one.loop.manipulated for one in found}
    loops = (*(k for k in stated.loops if k.manipulated not in taken), *(k.loop for k in found))
    control = Control(loops, locks or stated.interlocks)
    plant = whole.plant
    wrong = control.problems(*([c.tag for c in part] for part in (plant.inputs, plant.outputs, plant.virtual)))
    if wrong:
        fail(f"{twin}: expected {'; '.join(wrong)}")
    twin.write_bytes(dump(replace(whole, control=control)))
    typer.echo("\n".join([*map(_line, found), f"written: {twin}"]))


def located(text: str, twin: Twin, rows: Recording, where: Sequence[str], settle_s: float) -> Found:
    """A loop as typed; gain, reset time, weight and limits from the recording where they are not."""
    known = [*twin.tags, *rows.names]
    typed, complete = wording.loop(text, known)
    if complete:
        return Found(typed, math.nan, 0)
    found = identify(
        rows, typed.measured, typed.manipulated, typed.setpoint, where=conditions(where), settle_s=settle_s
    )
    return replace(found, loop=_merged(typed, found.loop))


def _merged(typed: Loop, found: Loop) -> Loop:
    low = found.low if math.isnan(typed.low) else typed.low
    high = found.high if math.isnan(typed.high) else typed.high
    return replace(found, low=low, high=high, rate=typed.rate, period_s=typed.period_s)


def _line(found: Found) -> str:
    loop = found.loop
    said = f"{loop.measured} -> {loop.manipulated}: gain {loop.gain:.4g}, reset {loop.reset_s:.4g} s"
    if loop.setpoint:
        said += f", set point {loop.setpoint} with weight {loop.weight:.3g}"
    if not found.rows:
        return f"{said}, as stated"
    return f"{said}; explains {100 * found.explained:.1f} % of {found.rows} moves, each half judged by the other"
