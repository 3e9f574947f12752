"""What a fit hands to its report: any kind can fill it; what is left empty is left out of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.core.nouns import F8
from agent.twin.twin import Twin


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One unbroken stretch of held-out rows: time_s f8[rows]; u f8[rows,m]; y f8[rows,p] (NaN absent).

    free f8[rows,p+v]: the free run of a model that has not seen them; virtual f8[rows,v]: where the recording has it,
    else no columns."""

    time_s: F8
    u: F8
    y: F8
    free: F8
    virtual: F8


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A model that was tried. family: what it is compared within (linear, nonlinear, ...); size: its order or number of
    parameters, for the axis; folds f8[folds]: free-run NRMSE of each, NaN where it has none."""

    name: str
    family: str
    size: float
    folds: F8


@dataclass(frozen=True, slots=True)
class Parameter:
    """A physical parameter. low, high: its 95 % interval; bounds: what it was held within; identified: whether the data
    say more of it than the bounds do."""

    name: str
    unit: str
    value: float
    low: float
    high: float
    bound_low: float
    bound_high: float
    identified: bool = True
    remark: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """All that the page shows. Arrays in the channels' units.

    residuals: of each stretch, f8[rows,p], measured less expected as the daemon gives it (NaN absent); rivals: folds of
    persistence, ARX, ... by name; u f8[rows,m], y f8[rows,p]: the rows that the fit learned from; modes: share of the
    recording in each mode; why: in a sentence, the choice of `chosen` (a candidate's name); notes: what else a person
    should know of it.
    """

    twin: Twin
    recording: str
    u: F8
    y: F8
    runs: tuple[Run, ...] = ()
    residuals: tuple[F8, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    rivals: Mapping[str, F8] = field(default_factory=dict)
    chosen: str = ""
    why: str = ""
    parameters: tuple[Parameter, ...] = ()
    modes: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def estimated(twin: Twin) -> tuple[Parameter, ...]:
    """The fitted parameters of a kind that keeps them in its file, in SI units; none of another kind."""
    return tuple(
        Parameter(
            name=one.parameter,
            unit="",
            value=one.value,
            low=one.interval_low,
            high=one.interval_high,
            bound_low=one.low,
            bound_high=one.high,
            identified=math.isfinite(one.interval_low),
            remark=one.remark,
        )
        for one in getattr(twin.plant.params, "estimates", ())
    )
