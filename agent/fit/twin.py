"""Makes a linear twin from a recording of a healthy machine: `edgetwin fit twin`.

Read, cut into unbroken pieces, scale, check that the inputs move; choose the order by held-out free runs; take noise,
whitening and limits from held-out residuals of the twin's own cycle; fit once more on everything; write the file.
Nothing here is random: the same recording gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agent.core.nouns import F8
from agent.fit import holdout, live, noise, plant
from agent.fit.holdout import FOLDS, Candidate, Scores, fold_of
from agent.fit.material import Columns, Material, prepared
from agent.fit.plant import Piece, Plant
from agent.fit.recording import FitError, Recording, read
from agent.fit.simulation import START_ROWS
from agent.fit.subspace import ridge
from agent.fit.twin_report import OutputScore, Report, VirtualScore
from agent.twin.statespace import Deviation, Noise, Params, dump, load

__all__ = ["FitError", "Report", "fit"]

ORDERS = (1, 2, 3, 4, 5, 6)
TRUST = 1e-4
HOLD_PERIODS = 5
VIRTUAL_ROWS = 4000


@dataclass(frozen=True, slots=True)
class Choice:
    """What was decided before the last fit. residual f8[p], R f8[p] scaled; factor on Q."""

    candidate: Candidate
    modes: tuple[str, ...]
    settle_s: float
    factor: float
    R: F8
    residual: F8


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """From the twin's own cycle on held-out pieces, scaled: residuals f8[rows,p], trust in them f8[rows] (NaN while
    it settles) and virtual errors f8[rows,v] of each piece."""

    residual: tuple[F8, ...]
    virtual: tuple[F8, ...]
    trust: tuple[F8, ...]

    @property
    def rows(self) -> int:
        """Rows behind the settling time."""
        return int(sum(np.isfinite(t).sum() for t in self.trust))

    def spread(self, which: tuple[F8, ...]) -> F8:
        """Root mean square over the rows that count: f8[columns]."""
        rows = np.vstack([x[np.isfinite(t)] for x, t in zip(which, self.trust, strict=True)])
        return np.asarray(np.sqrt(np.mean(rows**2, axis=0)), np.float64)


def fit(
    recording_path: str | Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    virtual: Sequence[str] = (),
    where: Mapping[str, float] | None = None,
    out: str | Path,
    settle_s: float,
    modes: Sequence[str] = ("running",),
    orders: Sequence[int] | None = None,
    period_s: float | None = None,
    units: Mapping[str, str] | None = None,
) -> Report:
    """Writes the twin to `out` and says how good it is. FitError says what the recording lacks, with names."""
    recording = read(recording_path)
    columns = Columns(tuple(inputs), tuple(outputs), tuple(virtual))
    material = prepared(recording, columns, where or {}, settle_s, period_s, units or {})
    candidates = [Candidate(n, products) for products in (False, True) for n in orders or ORDERS]
    scores = holdout.compared(material.pieces, candidates)
    candidate = holdout.chosen(scores)
    holdout.refuse_a_loser(scores, candidate)
    choice, final = _settled(material, scores, candidate, tuple(modes), settle_s)
    held = _held_out(material, choice)
    deviation, worst = noise.deviation(held.residual, held.trust)
    choice = replace(choice, residual=held.spread(held.residual))
    params = _params(material, final, choice, deviation, material.pieces)
    report = _report(recording, material, scores, params, held, worst)
    params = replace(
        params,
        noise=replace(params.noise, virtual=_positive(held.spread(held.virtual))),
        score=_score(report),
        training=_training(recording, material, where or {}),
    )
    content = dump(params)
    load(content)
    Path(out).write_bytes(content)
    return replace(report, out=str(out))


def _settled(
    material: Material, scores: Scores, candidate: Candidate, modes: tuple[str, ...], settle_s: float
) -> tuple[Choice, Plant]:
    """The plant fitted to every piece, and the noise levels that go with it."""
    final, model = plant.fitted(material.pieces, candidate.order, products=candidate.products)
    factor, R = noise.tuned(final, model, material.pieces)
    residual = np.sqrt(np.nanmean(scores.twin[candidate], axis=0))
    return Choice(candidate, modes, settle_s, factor, R, residual), final


def _held_out(material: Material, choice: Choice) -> HeldOut:
    """Each piece run by a twin that has not seen its block."""
    residual, virtual, trust = [], [], []
    for fold in range(FOLDS):
        train = [p for p in material.pieces if fold_of(p.block) != fold]
        fitted, _ = plant.fitted(train, choice.candidate.order, products=choice.candidate.products)
        params = _params(material, fitted, choice, _blank(material), train)
        p = len(material.outputs)
        for piece, rows in zip(material.whole, material.settled, strict=True):
            if fold_of(piece.block) != fold or not rows.any():
                continue
            track = live.track(params, piece)
            residual.append(track.residual)
            virtual.append(track.state @ params.C[p:].T + track.phi @ params.D[p:].T - piece.v)
            trust.append(np.where(rows, track.trust, np.nan))
    return HeldOut(tuple(residual), tuple(virtual), tuple(trust))


def _blank(material: Material) -> Deviation:
    p = len(material.outputs)
    return Deviation(np.zeros((p, noise.WHITEN)), np.ones(p), np.ones(p), noise.SHARE, noise.CLIP)


def _params(material: Material, fitted: Plant, choice: Choice, deviation: Deviation, pieces: Sequence[Piece]) -> Params:
    """A twin of the plant; virtual rows of C and D are fitted to `pieces` through the twin's own tracking filter."""
    params = Params(
        inputs=material.inputs,
        outputs=material.outputs,
        virtual=(),
        period_s=material.period_s,
        modes=choice.modes,
        settle_s=choice.settle_s,
        hold_periods=HOLD_PERIODS,
        products=tuple((int(i), int(j)) for i, j in fitted.pairs),
        product_mean=fitted.product_mean,
        A=fitted.A,
        B=fitted.B,
        C=fitted.C,
        D=fitted.D,
        Bc=fitted.Bc,
        Dc=fitted.Dc,
        domain=fitted.domain,
        radius=fitted.radius,
        noise=Noise(
            Q=noise.process_noise(fitted, choice.factor),
            R=choice.R,
            prior=fitted.prior,
            trust=TRUST,
            residual=choice.residual,
            virtual=np.zeros(0),
        ),
        deviation=deviation,
        score={},
        training={},
    )
    if not material.virtual:
        return params
    C, D = _virtual_rows(params, pieces)
    return replace(
        params,
        virtual=material.virtual,
        C=np.vstack([params.C, C]),
        D=np.vstack([params.D, D]),
        noise=replace(params.noise, virtual=np.ones(len(material.virtual))),
    )


def _virtual_rows(params: Params, pieces: Sequence[Piece]) -> tuple[F8, F8]:
    """v = C_v x + D_v phi by ridge regression on tracked states."""
    some = pieces[:: max(1, sum(len(piece.u) for piece in pieces) // VIRTUAL_ROWS)]
    tracks = [live.track(params, piece) for piece in some]
    G = np.vstack([np.hstack([t.state, t.phi])[START_ROWS:] for t in tracks])
    V = np.vstack([piece.v[START_ROWS:] for piece in some])
    theta = ridge(G, V).T
    return theta[:, : params.order], theta[:, params.order :]


def _positive(spread: F8) -> F8:
    return np.maximum(spread, 1e-6)


def _report(
    recording: Recording, material: Material, scores: Scores, params: Params, held: HeldOut, worst: F8
) -> Report:
    candidate = Candidate(params.order, bool(params.products))
    rmse, persistence, arx = (
        np.sqrt(np.nanmean(e, axis=0)) for e in (scores.twin[candidate], scores.persistence, scores.arx)
    )
    residual, virtual = held.spread(held.residual), held.spread(held.virtual)
    return Report(
        recording=recording.path,
        out="",
        order=params.order,
        products=len(params.products),
        radius=float(np.max(np.abs(np.linalg.eigvals(params.A)))),
        period_s=material.period_s,
        rows=material.rows,
        pieces=len(material.pieces),
        held_out_rows=held.rows,
        outputs=tuple(
            OutputScore(c.tag, c.unit, *(float(x) for x in (a * c.scale, a, b * c.scale, d * c.scale, r * c.scale, w)))
            for c, a, b, d, r, w in zip(material.outputs, rmse, persistence, arx, residual, worst, strict=True)
        ),
        virtual=tuple(
            VirtualScore(c.tag, c.unit, float(e * c.scale), float(e * c.scale / (c.high - c.low)))
            for c, e in zip(material.virtual, virtual, strict=True)
        ),
    )


def _score(report: Report) -> dict[str, Any]:
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
        for s in report.outputs
    }
    virtual = {v.tag: {"rmse": v.rmse, "share_of_range": v.share_of_range} for v in report.virtual}
    return {"held_out_rows": report.held_out_rows, **outputs, **virtual}


def _training(recording: Recording, material: Material, where: Mapping[str, float]) -> dict[str, Any]:
    return {
        "file": Path(recording.path).name,
        "sha256": recording.sha256,
        "rows": material.rows,
        "pieces": len(material.pieces),
        "where": dict(where),
    }
