"""What a fit of a twin tells a person: scores on held-out rows beside persistence and ARX."""

from __future__ import annotations

from dataclasses import dataclass


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
    """A finished fit."""

    recording: str
    out: str
    order: int
    products: int
    radius: float
    period_s: float
    rows: int
    pieces: int
    held_out_rows: int
    outputs: tuple[OutputScore, ...]
    virtual: tuple[VirtualScore, ...]

    def lines(self) -> list[str]:
        """For the terminal."""
        kind = f"order {self.order}" + (f", {self.products} second-order products" if self.products else "")
        widths = [max(8, *(len(s.tag) for s in self.outputs)), 10, 7, 12, 10, 10, 9]
        head = ["held out", "rmse", "nrmse", "persistence", "ARX", "residual", "deviation"]
        table = [head, *([*_cells(s)] for s in self.outputs)]
        return [
            f"{self.recording}: {self.rows} rows in {self.pieces} pieces, one each {self.period_s:g} s",
            f"twin: {kind}, largest eigenvalue {self.radius:.4f}; free runs over held-out blocks:",
            *("  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in table),
            f"  deviation: the largest in {self.held_out_rows} healthy held-out rows; 1 is the limit",
            *(_virtual_line(v) for v in self.virtual),
            f"written: {self.out}",
        ]


def _cells(s: OutputScore) -> list[str]:
    numbers = (s.rmse, s.nrmse, s.persistence, s.arx, s.residual)
    return [s.tag, *(f"{x:.3g}" for x in numbers), f"{s.worst:.2f}"]


def _virtual_line(v: VirtualScore) -> str:
    return (
        f"  virtual {v.tag}: rmse {v.rmse:.3g} {v.unit} held out, {100 * v.share_of_range:.1f} % of its range".rstrip()
    )
