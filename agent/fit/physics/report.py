"""What a fit of a physics twin says about its parameters, as lines."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core import units
from agent.twin.kinds.physics.params import Estimate

SHOWN = {"m3/s": "m3/h", "m2": "mm2"}


@dataclass(frozen=True, slots=True)
class Found:
    """A parameter: its SI unit, and what is known of it."""

    unit: str
    estimate: Estimate


@dataclass(frozen=True, slots=True, eq=False)
class ParameterReport:
    """found: what was fitted; fixed: parameters that the file gives, with their values; rms: of each output's free-run
    residuals over the rows that were fitted to, with its unit; substep_s: of the integration; searches: the losses of
    all searches, the best first."""

    file: str
    found: tuple[Found, ...]
    fixed: tuple[tuple[str, float, str], ...]
    rms: tuple[tuple[str, float, str], ...]
    substep_s: float
    searches: tuple[float, ...]

    def lines(self) -> list[str]:
        """For a terminal."""
        width = max((len(f.estimate.parameter) for f in self.found), default=0)
        said = [f"parameters fitted within the bounds of {self.file} (interval: 95 %)"]
        said += [f"  {f.estimate.parameter:<{width}}  {_found(f)}" for f in self.found]
        vague = [f.estimate.parameter for f in self.found if f.estimate.interval_low != f.estimate.interval_low]
        if vague:
            said.append(
                f"not identifiable from this recording: {', '.join(vague)}; measure or fix one of those named together"
            )
        said.append("fixed by the file: " + ", ".join(f"{n} = {_value(v, u)}" for n, v, u in self.fixed))
        said.append("free run over the fitted rows, rms: " + ", ".join(f"{t} {v:.3g} {u}" for t, v, u in self.rms))
        said.append(
            f"integration step {self.substep_s:g} s; loss of each search: "
            + ", ".join(f"{x:.4g}" for x in self.searches)
        )
        return said


def _found(f: Found) -> str:
    e = f.estimate
    interval = (
        ""
        if e.interval_low != e.interval_low
        else f" [{_bare(e.interval_low, f.unit)}, {_bare(e.interval_high, f.unit)}]"
    )
    bounds = f"of {_bare(e.low, f.unit)} to {_bare(e.high, f.unit)}"
    return f"{_value(e.value, f.unit)}{interval}, {bounds}{'; ' + e.remark if e.remark else ''}"


def _value(value: float, unit: str) -> str:
    shown = SHOWN.get(unit, unit)
    return f"{_bare(value, unit)}{' ' + shown if shown not in ('', '1') else ''}"


def _bare(value: float, unit: str) -> str:
    shown = SHOWN.get(unit, unit)
    return f"{units.convert(value, unit, shown) if shown != unit else value:.4g}"
