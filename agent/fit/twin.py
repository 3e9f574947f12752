"""Makes a twin from a recording of a healthy machine: `edgetwin fit twin`.

Read, cut into unbroken pieces, scale, check that the inputs move; try models block by block and choose; fit the chosen
one to everything; learn from rows that a model has not seen what the daemon will judge by; write the file and its
report. Random starts have a seed: the same recording gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agent.fit import holdout, report, twin_page
from agent.fit.exclude import applied
from agent.fit.identify import choice, noise, virtual
from agent.fit.identify.build import Frame, means, plant, scales
from agent.fit.identify.choice import ORDERS, Candidate, Scores
from agent.fit.identify.linear import linear
from agent.fit.judging import assembly, baselines
from agent.fit.judging.assembly import Assembled, HeldOut
from agent.fit.judging.baselines import UNSAID, About
from agent.fit.material import Columns, Material, prepared
from agent.fit.recording import FitError, Recording, read
from agent.fit.twin_report import OutputScore, Report, VirtualScore
from agent.twin.plant import Plant
from agent.twin.twin import dump, load

__all__ = ["About", "FitError", "Report", "fit"]

KINDS = ("auto", "linear", "physics:FILE")


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The model that goes into the file, those of the same shape by the block they have not seen, and why this one."""

    plant: Plant
    by_block: dict[int, Plant]
    candidate: Candidate
    scores: Scores
    why: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for beside the model itself; see `fit`."""

    out: Path
    modes: tuple[str, ...]
    settle_s: float
    where: Mapping[str, float]
    about: About
    page: bool


def fit(
    recording_path: str | Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    virtual: Sequence[str] = (),
    where: Mapping[str, float] | None = None,
    out: str | Path,
    settle_s: float,
    kind: str = "auto",
    modes: Sequence[str] = ("running",),
    orders: Sequence[int] | None = None,
    period_s: float | None = None,
    units: Mapping[str, str] | None = None,
    seed: int = 0,
    page: bool = True,
    say: Callable[[str], None] = lambda text: None,
    about: About = UNSAID,
    exclude: str | Path | None = None,
) -> Report:
    """Writes the twin to `out`, its report beside it, and says how good it is. FitError: what the recording lacks.

    say: told of each candidate as it is scored; about: kept in the file; exclude: a file of times to leave out."""
    if kind.startswith("physics:"):
        from agent.fit import physics

        return physics.fit(
            recording_path,
            kind.removeprefix("physics:"),
            inputs=inputs,
            outputs=outputs,
            virtual=virtual,
            where=where or {},
            out=out,
            settle_s=settle_s,
            modes=modes,
            period_s=period_s,
            units=units or {},
            page=page,
            say=say,
            about=about,
            exclude=exclude,
        )
    if kind not in ("auto", "linear"):
        raise FitError(f"kind {kind!r}, expected {', '.join(KINDS)}")
    recording = applied(read(recording_path), exclude)
    columns = Columns(tuple(inputs), tuple(outputs), tuple(virtual))
    material = prepared(recording, columns, where or {}, settle_s, period_s, units or {})
    chosen = _chosen(material, tuple(orders or ORDERS), kind == "auto", seed, say)
    wanted = Wanted(Path(out), tuple(modes), settle_s, where or {}, about, page)
    return _written(recording, material, chosen, wanted)


def _written(recording: Recording, material: Material, chosen: Chosen, wanted: Wanted) -> Report:
    """What the daemon judges by, learned from held-out rows; the file and its page; what a person is told."""
    held = _held_out(material, chosen)
    made = assembly.assembled(chosen.plant, held, modes=wanted.modes, settle_s=wanted.settle_s)
    told = replace(_report(recording, material, chosen, made), out=str(wanted.out))
    known = baselines.of_twin(recording, made, held, material.rows, wanted.about, wanted.where)
    training = _training(recording, material, wanted.where)
    twin = replace(made.twin, score=_score(told), training=training, baseline=known)
    content = dump(twin)
    load(content)
    wanted.out.write_bytes(content)
    if not wanted.page:
        return told
    beside = wanted.out.with_suffix(".html")
    name, made = str(chosen.candidate), replace(made, twin=twin)
    report.write(beside, twin_page.material(recording, material, chosen.scores, name, chosen.why, held, made))
    return replace(told, page=str(beside))


def _chosen(
    material: Material, orders: Sequence[int], nonlinear: bool, seed: int, say: Callable[[str], None]
) -> Chosen:
    """The best candidate, fitted to every piece, with noise and virtual outputs."""
    frame = _frame(material)
    scores, candidate, why = choice.compared(
        material.pieces, frame, orders=orders, nonlinear=nonlinear, seed=seed, say=say
    )
    holdout.refuse_a_loser(str(candidate), scores.folds(candidate), scores.rivals)
    start = linear(material.pieces, [candidate.order])[candidate.order]
    found = choice.fitted(candidate, start, material.pieces, frame, final=True, seed=seed)
    final = plant(frame, start, found)
    factors = noise.tuned(final, frame, material.pieces)
    by_block = {
        block: virtual.added(noise.scaled(held, factors), material.virtual, _without(material, block))
        for block, held in scores.plants[candidate].items()
    }
    final = virtual.added(noise.scaled(final, factors), material.virtual, material.pieces)
    return Chosen(final, by_block, candidate, scores, why)


def _frame(material: Material) -> Frame:
    return Frame(material.inputs, material.outputs, material.period_s, material.stops)


def _without(material: Material, block: int) -> list[Any]:
    return [p for p in material.pieces if p.block != block]


def _held_out(material: Material, chosen: Chosen) -> list[HeldOut]:
    """Whole pieces, settling time included, each with the model that has not seen its block."""
    held = []
    for piece, settled in zip(material.whole, material.settled, strict=True):
        if settled.any() and piece.block in chosen.by_block:
            u = piece.u * scales(material.inputs) + means(material.inputs)
            y = piece.y * scales(material.outputs) + means(material.outputs)
            v = piece.v * scales(material.virtual) + means(material.virtual)
            held.append(HeldOut(chosen.by_block[piece.block], u, y, v, settled))
    return held


def _report(recording: Recording, material: Material, chosen: Chosen, made: Assembled) -> Report:
    scores, p = chosen.scores, len(material.outputs)
    errors = (scores.models[chosen.candidate], scores.rivals["persistence"], scores.rivals["ARX"])
    rmse, persistence, arx = (np.sqrt(np.nanmean(e, axis=0)) for e in errors)
    worst = np.maximum(made.limits.worst_deviation, made.limits.worst_cusum)
    left = made.twin.spread
    radius = float(np.max(np.abs(np.linalg.eigvals(chosen.plant.params.A))))
    return Report(
        recording=recording.path,
        out="",
        page="",
        model=str(chosen.candidate),
        radius=radius,
        period_s=material.period_s,
        rows=material.rows,
        pieces=len(material.pieces),
        held_out_rows=made.rows,
        why=chosen.why,
        folds={str(c): scores.folds(c) for c in scores.models}
        | {name: holdout.total(e) for name, e in scores.rivals.items()},
        outputs=tuple(
            OutputScore(c.tag, c.unit, *(float(x) for x in (a * c.scale, a, b * c.scale, d * c.scale, r, w)))
            for c, a, b, d, r, w in zip(material.outputs, rmse, persistence, arx, left[:p], worst, strict=True)
        ),
        virtual=tuple(
            VirtualScore(c.tag, c.unit, float(e), float(e / (c.high - c.low)))
            for c, e in zip(material.virtual, left[p:], strict=True)
        ),
    )


def _score(told: Report) -> dict[str, Any]:
    """What the file says about itself: free runs over held-out blocks, in units."""
    outputs = {
        s.tag: {
            "rmse": s.rmse,
            "persistence_rmse": s.persistence,
            "arx_rmse": s.arx,
            "nrmse": s.nrmse,
            "residual": s.residual,
            "largest_deviation": s.worst,
        }
        for s in told.outputs
    }
    virtual = {v.tag: {"rmse": v.rmse, "share_of_range": v.share_of_range} for v in told.virtual}
    return {"held_out_rows": told.held_out_rows, **outputs, **virtual}


def _training(recording: Recording, material: Material, where: Mapping[str, float]) -> dict[str, Any]:
    return {
        "file": Path(recording.path).name,
        "sha256": recording.sha256,
        "rows": material.rows,
        "pieces": len(material.pieces),
        "where": dict(where),
    }
