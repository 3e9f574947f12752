"""`edgetwin fit twin --kind physics:FILE`: the plant of the file, held-out runs, all that the daemon judges by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from agent.core.nouns import F8
from agent.fit import holdout, tuning
from agent.fit import report as pages
from agent.fit.exclude import applied
from agent.fit.identify.build import means, scales
from agent.fit.judging import assembly, baselines
from agent.fit.judging.assembly import Assembled, HeldOut
from agent.fit.judging.baselines import UNSAID, About
from agent.fit.material import Columns, Material, prepared
from agent.fit.physics import fitting
from agent.fit.physics.report import ParameterReport
from agent.fit.physics.trajectories import Run
from agent.fit.pieces import BLOCKS, START_ROWS, Piece, joined
from agent.fit.recording import Recording, read
from agent.fit.report.material import estimated
from agent.fit.twin_report import OutputScore, Report, VirtualScore
from agent.twin import response, simulate
from agent.twin.plant import Plant
from agent.twin.twin import dump, load

WHY = "the machine's own equations, as its file describes them"


@dataclass(frozen=True, slots=True, eq=False)
class Folds:
    """plants: by the block that each has not seen; errors f8[blocks,p]: mean squares of their free runs over it,
    scaled; rivals: those of persistence and ARX."""

    plants: Mapping[int, Plant]
    errors: F8
    rivals: Mapping[str, F8]


def fit(
    recording_path: str | Path,
    file: str | Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    virtual: Sequence[str] = (),
    where: Mapping[str, float] | None = None,
    out: str | Path,
    settle_s: float,
    modes: Sequence[str] = ("running",),
    period_s: float | None = None,
    units: Mapping[str, str] | None = None,
    page: bool = True,
    say: Callable[[str], None] = lambda text: None,
    about: About = UNSAID,
    exclude: str | Path | None = None,
) -> Report:
    """Writes the twin to `out`, its report beside it, and says what was found. FitError says what is wrong with the
    file or what the recording lacks, with names. about: kept in the file; exclude: a file of times to leave out."""
    columns = Columns(tuple(inputs), tuple(outputs), tuple(virtual))
    sketch = fitting.read_for(file, columns.inputs, (*columns.outputs, *columns.virtual))
    recording = applied(read(recording_path), exclude)
    material = prepared(recording, columns, where or {}, settle_s, period_s, dict(sketch.units) | dict(units or {}))
    plant, found = fitting.fit_plant(
        file,
        _runs(material, material.pieces),
        material.inputs,
        material.outputs,
        material.virtual,
        period_s=material.period_s,
    )
    plant = _tuned(plant, material)
    folds = _folds(file, plant, np.array([rms for _, rms, _ in found.rms]), material, say)
    holdout.refuse_a_loser("physics", holdout.total(folds.errors), dict(folds.rivals))
    held = list(_held_out(folds, material))
    made = assembly.assembled(plant, held, modes=modes, settle_s=settle_s)
    told = _report(recording, material, folds, made, found)
    known = baselines.of_twin(recording, made, held, material.rows, about, where or {})
    training = _training(recording, material, file, where or {})
    twin = replace(made.twin, score=_score(told), training=training, baseline=known)
    content = dump(twin)
    load(content)
    Path(out).write_bytes(content)
    told = replace(told, out=str(out))
    if page:
        beside = Path(out).with_suffix(".html")
        pages.write(beside, _page(recording, material, folds, held, replace(made, twin=twin)))
        told = replace(told, page=str(beside))
    return told


def _runs(material: Material, pieces: Sequence[Piece]) -> list[Run]:
    """Pieces in units, put together where they follow each other."""
    return [Run(*_units(material, piece)) for piece in joined(pieces)]


def _units(material: Material, piece: Piece) -> tuple[F8, F8]:
    """u f8[rows,m] and y f8[rows,p+v] of a piece in units."""
    shown = (*material.outputs, *material.virtual)
    u = piece.u * scales(material.inputs) + means(material.inputs)
    y = np.hstack([piece.y, piece.v]) * scales(shown) + means(shown)
    return np.asarray(u, np.float64), np.asarray(y, np.float64)


def _tuned(plant: Plant, material: Material) -> Plant:
    """The plant with what its states wander by, and R, by the factors that make innovations likeliest."""
    units, p = (_units(material, piece) for piece in material.pieces), len(plant.outputs)
    factors = tuning.tuned(plant, [(u, y[:, :p]) for u, y in units])
    walk = float(np.sqrt(factors.process))
    starts = tuple(replace(s, walk=walk * s.walk) for s in plant.params.starts)
    return replace(plant, R=factors.measurement * plant.R, params=replace(plant.params, starts=starts))


def _folds(file: str | Path, plant: Plant, sigma: F8, material: Material, say: Callable[[str], None]) -> Folds:
    errors = np.full((BLOCKS, len(plant.outputs)), np.nan)
    plants: dict[int, Plant] = {}
    splits = []
    for block in range(BLOCKS):
        train, test = ([p for p in material.pieces if (p.block == block) == held] for held in (False, True))
        if not train or not test:
            continue
        splits.append((block, train, test))
        plants[block] = fitting.refit(file, plant, _runs(material, train), sigma)
        errors[block] = holdout.mean_square(test, partial(_free_run, plants[block], material))
        say(f"  block {block + 1} held out: " + " ".join(f"{e:.3f}" for e in np.sqrt(errors[block])))
    return Folds(plants, errors, holdout.rivals(splits))


def _free_run(plant: Plant, material: Material, piece: Piece) -> F8:
    """Measured outputs of a free run over a piece, scaled: f8[rows,p]."""
    u, y = _units(material, piece)
    p = len(plant.outputs)
    run = simulate.free_run(plant, u, y[:, :p], START_ROWS)[:, :p]
    return np.asarray((run - means(material.outputs)) / scales(material.outputs), np.float64)


def _held_out(folds: Folds, material: Material) -> list[HeldOut]:
    """Whole pieces, settling time included, each with the plant that has not seen its block."""
    p = len(material.outputs)
    found = []
    for piece, settled in zip(material.whole, material.settled, strict=True):
        if settled.any() and piece.block in folds.plants:
            u, y = _units(material, piece)
            found.append(HeldOut(folds.plants[piece.block], u, y[:, :p], y[:, p:], settled))
    return found


def _report(recording: Recording, material: Material, folds: Folds, made: Assembled, found: ParameterReport) -> Report:
    errors = (folds.errors, folds.rivals["persistence"], folds.rivals["ARX"])
    rmse, persistence, arx = (np.sqrt(np.nanmean(e, axis=0)) for e in errors)
    plant, left, p = made.twin.plant, made.twin.spread, len(material.outputs)
    worst = np.maximum(made.limits.worst_deviation, made.limits.worst_cusum)
    outputs = zip(material.outputs, rmse, persistence, arx, left[:p], worst, strict=True)
    return Report(
        recording=recording.path,
        out="",
        page="",
        model=f"physics, {plant.n} states",
        radius=max((m.magnitude for m in response.modes(plant, response.operating(plant))), default=0.0),
        period_s=material.period_s,
        rows=material.rows,
        pieces=len(material.pieces),
        held_out_rows=made.rows,
        why=WHY,
        folds={"physics": holdout.total(folds.errors)} | {n: holdout.total(e) for n, e in folds.rivals.items()},
        outputs=tuple(
            OutputScore(c.tag, c.unit, *(float(x) for x in (a * c.scale, a, b * c.scale, d * c.scale, r, w)))
            for c, a, b, d, r, w in outputs
        ),
        virtual=tuple(
            VirtualScore(c.tag, c.unit, float(e), float(e / (c.high - c.low)))
            for c, e in zip(material.virtual, left[p:], strict=True)
        ),
        details=tuple(found.lines()),
    )


def _score(told: Report) -> dict[str, Any]:
    """What the file says about itself: free runs over held-out blocks, in units."""
    outputs = {
        s.tag: {"rmse": s.rmse, "persistence_rmse": s.persistence, "arx_rmse": s.arx, "nrmse": s.nrmse}
        | {"residual": s.residual, "largest_deviation": s.worst}
        for s in told.outputs
    }
    return {"held_out_rows": told.held_out_rows, **outputs} | {v.tag: {"rmse": v.rmse} for v in told.virtual}


def _training(recording: Recording, material: Material, file: str | Path, where: Mapping[str, float]) -> dict[str, Any]:
    return {
        "file": Path(recording.path).name,
        "sha256": recording.sha256,
        "machine": Path(file).name,
        "rows": material.rows,
        "pieces": len(material.pieces),
        "where": dict(where),
    }


def _page(
    recording: Recording, material: Material, folds: Folds, held: Sequence[HeldOut], made: Assembled
) -> pages.Material:
    """All that the page shows, in the channels' units."""
    behind = [p for p, s in zip(material.whole, material.settled, strict=True) if s.any() and p.block in folds.plants]
    return pages.Material(
        twin=made.twin,
        recording=recording.path,
        u=np.vstack([h.u[h.settled] for h in held]),
        y=np.vstack([h.y[h.settled] for h in held]),
        runs=tuple(_run(h, piece.row * recording.period_s) for h, piece in zip(held, behind, strict=True)),
        residuals=tuple(np.asarray(t.residual[h.settled], np.float64) for t, h in zip(made.tracks, held, strict=True)),
        candidates=(
            pages.Candidate("physics", "physics", len(made.twin.plant.params.estimates), holdout.total(folds.errors)),
        ),
        rivals={name: holdout.total(errors) for name, errors in folds.rivals.items()},
        chosen="physics",
        why=WHY,
        parameters=estimated(made.twin),
        modes={"running": min(material.rows / len(recording.time_s), 1.0)},
    )


def _run(h: HeldOut, begin_s: float) -> pages.Run:
    """The settled part of a held-out stretch with its free run."""
    first = int(np.argmax(h.settled))
    u, y, v = h.u[first:], h.y[first:], h.v[first:]
    time_s = begin_s + h.plant.period_s * np.arange(first, first + len(u), dtype=np.float64)
    return pages.Run(time_s, u, y, simulate.free_run(h.plant, u, y, START_ROWS), v)
