"""What a model was learned from, and whether its alerts are believed: the section `baseline` of a model file.

learning      too little was seen: no alerts from this model
provisional   its alerts say so; also what has no baseline at all
trusted       coverage and alert budget are met, and a person approved it by name
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from agent.core import poisson
from agent.core.conditions import LEARNING, PROVISIONAL, TRUSTED

STATES = (LEARNING, PROVISIONAL, TRUSTED)
TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Coverage:
    """Share of healthy values, not used in the fit, inside bands that should hold `nominal` of them; low, high: its
    95 % interval."""

    nominal: float
    share: float
    low: float
    high: float

    @property
    def met(self) -> bool:
        """Whether the interval comes near enough to what the bands should hold."""
        return self.low <= self.nominal + TOLERANCE and self.high >= self.nominal - TOLERANCE

    def text(self) -> str:
        """In words, with its numbers."""
        return (
            f"{self.share:.0%} of healthy values lie in the {self.nominal:.0%} bands "
            f"(95 % interval {self.low:.0%} to {self.high:.0%})"
        )


@dataclass(frozen=True, slots=True)
class Alerts:
    """Alerts in so many days of a healthy machine, and how many a day are allowed."""

    count: int
    days: float
    budget_per_day: float

    @property
    def most_per_day(self) -> float:
        """95 % upper bound of the rate, see `most`."""
        return most(self.count) / self.days if self.days > 0 else math.inf

    @property
    def met(self) -> bool:
        """Whether the upper bound is within the budget: few alerts in little time prove nothing."""
        return self.most_per_day <= self.budget_per_day

    def text(self) -> str:
        """In words, with its numbers."""
        return (
            f"{self.count} alerts in {self.days:.3g} healthy days: at most {self.most_per_day:.3g} a day (95 %), "
            f"allowed are {self.budget_per_day:.3g}"
        )


@dataclass(frozen=True, slots=True)
class Baseline:
    """asset, reason, made_utc (ISO 8601): whose, why and when. hours: of the recording that was used. modes: share of
    the recorded time of each mode that was. anyway: why it was approved without what is asked for."""

    asset: str
    reason: str
    made_utc: str
    hours: float
    modes: Mapping[str, float]
    state: str
    coverage: Coverage | None
    alerts: Alerts | None
    approved_by: str = ""
    approved_utc: str = ""
    anyway: str = ""

    def problems(self) -> list[str]:
        """What is wrong with it as a section of a file."""
        checks = (
            (self.state in STATES, f"baseline.state one of {', '.join(STATES)}"),
            (self.state != TRUSTED or bool(self.approved_by), "baseline.approved_by where it is trusted"),
            (self.hours >= 0, "baseline.hours of 0 or more"),
            (all(0 <= share <= 1 for share in self.modes.values()), "baseline.modes as shares from 0 to 1"),
        )
        return [text for good, text in checks if not good]


def most(count: int) -> float:
    """95 % upper bound of the mean of a Poisson number that came out as `count`: P(N <= count; mean) = 0.05 (Garwood
    1936), by bisection."""
    low, high = 0.0, 10.0 + 3.0 * count
    for _ in range(60):
        mean = 0.5 * (low + high)
        low, high = (mean, high) if poisson.at_most(count, mean) > 0.05 else (low, mean)
    return high


def here(baseline: Baseline | None, asset: str) -> Baseline | None:
    """The baseline as it counts for an asset: what was approved on one machine is provisional on another."""
    if baseline is None or baseline.state != TRUSTED or baseline.asset in ("", asset):
        return baseline
    return replace(baseline, state=PROVISIONAL, approved_by="", approved_utc="")


def standing(baseline: Baseline | None) -> str:
    """learning, provisional or trusted."""
    return PROVISIONAL if baseline is None else baseline.state


def objections(baseline: Baseline) -> list[str]:
    """What speaks against trust, with its numbers; empty where a person may approve it."""
    given = ((baseline.coverage, "nobody knows how well its bands hold"), (baseline.alerts, "no alerts were counted"))
    return [unknown if x is None else x.text() for x, unknown in given if x is None or not x.met]


def approved(baseline: Baseline, by: str, utc: str, anyway: str = "") -> Baseline:
    """The baseline trusted by a person; ValueError says what is missing, unless a reason is given to do it anyway."""
    missing = objections(baseline)
    if missing and not anyway:
        raise ValueError("; ".join(missing))
    return replace(baseline, state=TRUSTED, approved_by=by, approved_utc=utc, anyway=anyway if missing else "")


def text(baseline: Baseline | None) -> str:
    """One line for people: how far its alerts are believed, and why."""
    if baseline is None:
        return f"{PROVISIONAL}: its file has no baseline"
    modes = ", ".join(f"{word} {share:.0%}" for word, share in baseline.modes.items())
    whose = f" for {baseline.asset}" if baseline.asset else ""
    why = f" ({baseline.reason})" if baseline.reason else ""
    made = f"made {baseline.made_utc[:10] or 'at some time'}{whose}{why}, {baseline.hours:.3g} h"
    made += f" ({modes})" if modes else ""
    return f"{baseline.state}: {_because(baseline)}{made}"


def _because(baseline: Baseline) -> str:
    if baseline.state == LEARNING:
        return "no alerts from this model; "
    if baseline.state == TRUSTED:
        anyway = f" although not all was met: {baseline.anyway}" if baseline.anyway else ""
        return f"approved by {baseline.approved_by} {baseline.approved_utc[:10]}{anyway}; ".replace(" ;", ";")
    return ""
