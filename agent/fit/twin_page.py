"""What a fit of an identified twin shows on its page: every candidate, the free runs over rows no model has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agent.fit import holdout, report
from agent.fit.identify.choice import Scores
from agent.fit.judging.assembly import Assembled, HeldOut
from agent.fit.material import Material
from agent.fit.pieces import START_ROWS, Piece
from agent.fit.recording import Recording
from agent.twin import simulate


def material(
    recording: Recording,
    used: Material,
    scores: Scores,
    chosen: str,
    why: str,
    held: Sequence[HeldOut],
    made: Assembled,
) -> report.Material:
    """All that the page shows, in the channels' units."""
    settled = [h.settled for h in held]
    return report.Material(
        twin=made.twin,
        recording=recording.path,
        u=np.vstack([h.u[s] for h, s in zip(held, settled, strict=True)]),
        y=np.vstack([h.y[s] for h, s in zip(held, settled, strict=True)]),
        runs=tuple(_run(h, piece.row * recording.period_s) for h, piece in zip(held, _behind(used), strict=True)),
        residuals=tuple(np.asarray(t.residual[s], np.float64) for t, s in zip(made.tracks, settled, strict=True)),
        candidates=tuple(
            report.Candidate(str(c), c.family, c.order + 10 * c.units, scores.folds(c)) for c in scores.models
        ),
        rivals={name: holdout.total(errors) for name, errors in scores.rivals.items()},
        chosen=chosen,
        why=why,
        modes=_modes(recording, used),
    )


def _behind(used: Material) -> list[Piece]:
    return [p for p, s in zip(used.whole, used.settled, strict=True) if s.any()]


def _run(h: HeldOut, begin_s: float) -> report.Run:
    """The settled part of a held-out stretch with its free run."""
    first = int(np.argmax(h.settled))
    u, y, v = h.u[first:], h.y[first:], h.v[first:]
    time_s = begin_s + h.plant.period_s * np.arange(first, first + len(u), dtype=np.float64)
    return report.Run(time_s, u, y, simulate.free_run(h.plant, u, y, START_ROWS), v)


def _modes(recording: Recording, used: Material) -> Mapping[str, float]:
    return {"running": min(used.rows / len(recording.time_s), 1.0)}
