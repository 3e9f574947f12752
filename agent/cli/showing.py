"""`edgetwin model show`: what a twin file holds, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from agent.cli.telling import as_json, fail
from agent.fit.report.material import estimated
from agent.twin import baseline, response
from agent.twin.kind import Channel, Health
from agent.twin.response import Mode
from agent.twin.twin import Twin, load


def loaded(path: Path) -> Twin:
    """The twin of a file; what is wrong with it ends the command."""
    try:
        return load(path.read_bytes())
    except (ValueError, OSError) as error:
        fail(f"{path}: {error}" if isinstance(error, ValueError) else str(error))


def run(path: Path, json: bool) -> None:
    """Print it."""
    twin = loaded(path)
    at = response.operating(twin.plant)
    modes = response.modes(twin.plant, at)
    if json:
        as_json(_tree(path, twin, modes))
        return
    typer.echo("\n".join(_lines(path, twin, modes, at.settled)))


def _lines(path: Path, twin: Twin, modes: Sequence[Mode], settled: bool) -> list[str]:
    plant = twin.plant
    linear = "linear" if plant.affine is not None else "nonlinear"
    rest = "" if settled else "; it does not come to rest under mean inputs"
    return [
        f"{path}: {plant.kind_name} twin, {linear}, {plant.n} states, one period {plant.period_s:g} s",
        f"moves    {', '.join(_moves(modes)) or 'has no states'}{rest}",
        *_channels(twin),
        *_told("score", twin.score),
        *_told("training", twin.training),
        f"baseline {baseline.text(twin.baseline)}",
        f"has      {', '.join(_sections(twin)) or 'no charts, no isolation, no life, no control'}",
        *_parameters(twin),
        *_healths(plant.health),
        "not to be trusted",
        *(f"  {text}" for text in _distrust(twin)),
    ]


def _moves(modes: Sequence[Mode]) -> list[str]:
    """Time constants, slowest first; the same ones once."""
    said = list[str]()
    for mode in modes:
        if math.isinf(mode.time_s):
            text = "a state that stands"
        elif mode.time_s == 0.0:
            text = "gone within a period"
        else:
            text = f"{mode.time_s:.3g} s"
        if math.isfinite(mode.period_s) and mode.time_s > 0.0:
            text += f" (oscillates each {mode.period_s:.3g} s)"
        said.append(text)
    return [f"{text} ({said.count(text)} times)" if said.count(text) > 1 else text for text in dict.fromkeys(said)]


def _channels(twin: Twin) -> list[str]:
    """A line a signal: range in the recording; noise of the sensor and what is left on healthy held-out rows."""
    plant = twin.plant
    p = len(plant.outputs)
    rows = [["input", *_range(c), "", ""] for c in plant.inputs]
    for c, R, left in zip(plant.outputs, plant.noise, twin.spread[:p], strict=True):
        rows.append(["output", *_range(c), f"noise {math.sqrt(R):.3g}", f"residual {left:.3g}"])
    for c, left in zip(plant.virtual, twin.spread[p:], strict=True):
        rows.append(["virtual", *_range(c), "", f"error {left:.3g}"])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _range(channel: Channel) -> list[str]:
    return [channel.tag, channel.unit, f"{channel.low:.4g} to {channel.high:.4g}"]


def _told(name: str, tree: Mapping[str, Any]) -> list[str]:
    """A part of the file in words: what has parts itself (an output, say) on a line of its own."""
    plain = {k: v for k, v in tree.items() if not isinstance(v, Mapping)}
    parts = {k: v for k, v in tree.items() if isinstance(v, Mapping) and v}
    lines = [f"{name.ljust(8)} {_plain(plain)}"] if plain else []
    return lines + [f"{name.ljust(8)} {k}: {_plain(v)}" for k, v in parts.items()]


def _plain(value: Any) -> str:
    """A tree of the file in a line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_plain(v) for v in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _sections(twin: Twin) -> list[str]:
    """What rests on sections that the file has."""
    control = twin.control
    found = {
        "charts (deviation, CUSUM)": twin.charts,
        "trust": twin.trust,
        "isolation of faults": twin.isolation,
        "remaining life": twin.lives,
        f"{len(control.loops) if control else 0} loops of the PLC": control,
    }
    return [name for name, section in found.items() if section is not None]


def _parameters(twin: Twin) -> list[str]:
    """What was fitted, of a kind that says so."""
    out = []
    for one in estimated(twin):
        within = f"95 % {one.low:.4g} to {one.high:.4g}" if one.identified else "not identifiable"
        remark = f" ({one.remark})" if one.remark else ""
        bounds = f"bounds {one.bound_low:.4g} to {one.bound_high:.4g}"
        out.append(f"parameter {one.name} {one.value:.4g}, {within}, {bounds}{remark}")
    return out


def _healths(healths: Sequence[Health]) -> list[str]:
    """Health parameters: new, with the interval that the fit knew, and where they are worn out."""
    return [f"health {text}" for text in map(_health, healths)]


def _health(health: Health) -> str:
    low, high = response.when_new(health)
    failed = f", worn out at {health.failed:.4g}" if math.isfinite(health.failed) else ""
    new = f"{health.nominal:.4g} {health.unit}".removesuffix(" 1").rstrip()
    return f"{health.name} ({health.component}): new {new}, 95 % {low:.4g} to {high:.4g}{failed}"


def _distrust(twin: Twin) -> list[str]:
    said = [f"outside the modes {', '.join(twin.modes)}: it is silent there"]
    if twin.settle_s:
        said.append(f"in the first {twin.settle_s:g} s of such a mode: it is silent then")
    said += [
        f"{c.tag} outside {c.low:.4g} to {c.high:.4g} {c.unit}".rstrip() + ": not in the recording"
        for c in twin.plant.inputs
    ]
    said.append("combinations of signals outside its domain (point twin.remoteness over 1): it extrapolates")
    unsure = [one.name for one in estimated(twin) if not one.identified]
    return said + ([f"parameters that the recording does not tell: {', '.join(unsure)}"] if unsure else [])


def _tree(path: Path, twin: Twin, modes: Sequence[Mode]) -> dict[str, Any]:
    from dataclasses import asdict

    plant = twin.plant
    return {
        "file": str(path),
        "kind": plant.kind_name,
        "linear": plant.affine is not None,
        "states": plant.n,
        "period_s": plant.period_s,
        "modes_of_motion": [asdict(mode) for mode in modes],
        "inputs": [asdict(c) for c in plant.inputs],
        "outputs": [asdict(c) for c in plant.outputs],
        "virtual": [asdict(c) for c in plant.virtual],
        "noise": [math.sqrt(R) for R in plant.noise.tolist()],
        "spread": twin.spread.tolist(),
        "holds_in": list(twin.modes),
        "score": dict(twin.score),
        "training": dict(twin.training),
        "baseline": baseline.text(twin.baseline),
        "sections": _sections(twin),
        "estimates": [asdict(one) for one in estimated(twin)],
        "health": [{**asdict(h), "new": list(response.when_new(h))} for h in plant.health],
        "not_trusted": _distrust(twin),
    }
