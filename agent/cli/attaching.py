"""`edgetwin model attach`: an ONNX surrogate put in the place of a part of a twin's output map."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import typer

from agent.cli.showing import loaded
from agent.cli.telling import fail
from agent.twin.plant import Plant
from agent.twin.surrogate import Surrogate
from agent.twin.twin import dump, load


def run(
    file: Path, onnx: Path, inputs: Sequence[str], outputs: Sequence[str], ranges: Sequence[str], out: Path | None
) -> None:
    """Write the twin with the surrogate in it; exit 1 with what is wrong where it does not fit."""
    twin = loaded(file)
    known = _ranges(twin.plant) | _given(ranges)
    missing = [name for name in inputs if name not in known]
    if missing:
        having = ", ".join(_ranges(twin.plant))
        fail(f"--inputs: no {', '.join(missing)} in {file}; it has {having}")
    try:
        content = onnx.read_bytes()
    except OSError as error:
        fail(str(error))
    low, high = np.array([known[name] for name in inputs]).reshape(-1, 2).T
    sha256 = hashlib.sha256(content).hexdigest()
    made = Surrogate(tuple(inputs), low, high, tuple(outputs), sha256, base64.b64encode(content).decode())
    # Its limits were learned with the old map: nobody has seen yet how good they are for the new one.
    changed = replace(twin, plant=replace(twin.plant, surrogate=made), baseline=None)
    try:
        whole = dump(changed)
        load(whole)
        target = out or file
        new = target.with_name(target.name + ".new")
        new.write_bytes(whole)
        new.replace(target)
    except (ValueError, OSError) as error:
        fail(f"{onnx}: {error}")
    typer.echo(f"{target}: {', '.join(outputs)} now from {onnx.name} ({sha256[:12]}), within")
    for name, lo, hi in zip(inputs, low, high, strict=True):
        typer.echo(f"  {name:32} {lo:.6g} to {hi:.6g}")
    typer.echo("its alerts are provisional now; compare it with the old file: edgetwin model simulate")


def _ranges(plant: Plant) -> dict[str, tuple[float, float]]:
    """What the twin's file says of the range of each signal and health parameter."""
    channels = {c.tag: (c.low, c.high) for c in (*plant.inputs, *plant.outputs, *plant.virtual)}
    return channels | {h.name: (h.low, h.high) for h in plant.health}


def _given(ranges: Sequence[str]) -> dict[str, tuple[float, float]]:
    found = dict[str, tuple[float, float]]()
    for text in ranges:
        name, _, span = text.partition("=")
        low, _, high = span.partition("..")
        try:
            found[name] = (float(low), float(high))
        except ValueError:
            fail(f"--range {text}: expected NAME=LOW..HIGH, as pump/speed=20..80", 2)
    return found
