"""What a fit of a twin tells a person: scores on held-out rows beside persistence and ARX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8


@dataclass(frozen=True, slots=True)
class OutputScore:
    """Of one measured output, held out. rmse and its rivals: free run, in `unit`; nrmse: over the standard deviation.

    residual: standard deviation of what the daemon will publish; worst: largest |deviation|, 1 = limit.
    """

    tag: str
    unit: str
    rmse: float
    nrmse: float
    persistence: float
    arx: float
    residual: float
    worst: float


@dataclass(frozen=True, slots=True)
class VirtualScore:
    """Of one virtual output, held out: rmse in `unit`, and over the range in the recording."""

    tag: str
    unit: str
    rmse: float
    share_of_range: float


@dataclass(frozen=True, slots=True)
class Report:
    """A finished fit. folds: NRMSE of each candidate and rival, block by block; details: what the kind has to say
    besides, as lines."""

    recording: str
    out: str
    page: str
    model: str
    radius: float
    period_s: float
    rows: int
    pieces: int
    held_out_rows: int
    why: str
    folds: Mapping[str, F8]
    outputs: tuple[OutputScore, ...]
    virtual: tuple[VirtualScore, ...]
    details: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """For the terminal."""
        widths = [max(8, *(len(s.tag) for s in self.outputs)), 10, 7, 12, 10, 10, 9]
        head = ["held out", "rmse", "nrmse", "persistence", "ARX", "residual", "charts"]
        table = [head, *([*_cells(s)] for s in self.outputs)]
        return [
            f"{self.recording}: {self.rows} rows in {self.pieces} pieces, one each {self.period_s:g} s",
            "free-run NRMSE over blocks that were held out, their geometric mean first:",
            *(f"  {name.ljust(24)} {_folds(errors)}" for name, errors in self.folds.items()),
            f"chosen: {self.why}",
            *self.details,
            f"twin: {self.model}, largest eigenvalue {self.radius:.4f}; free runs over held-out blocks, in units:",
            *("  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in table),
            f"  charts: the largest deviation or CUSUM in {self.held_out_rows} healthy held-out rows; 1 is the limit",
            *(_virtual_line(v) for v in self.virtual),
            f"written: {self.out}" + (f" and {self.page}" if self.page else ""),
        ]


def _folds(errors: F8) -> str:
    known = errors[np.isfinite(errors)]
    mean = float(np.exp(np.mean(np.log(np.maximum(known, 1e-12))))) if len(known) else float("nan")
    return f"{mean:.3f}   " + " ".join("  -  " if np.isnan(e) else f"{e:.3f}" for e in errors)


def _cells(s: OutputScore) -> list[str]:
    numbers = (s.rmse, s.nrmse, s.persistence, s.arx, s.residual)
    return [s.tag, *(f"{x:.3g}" for x in numbers), f"{s.worst:.2f}"]


def _virtual_line(v: VirtualScore) -> str:
    return (
        f"  virtual {v.tag}: rmse {v.rmse:.3g} {v.unit} held out, {100 * v.share_of_range:.1f} % of its range".rstrip()
    )
