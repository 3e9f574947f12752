"""What a fit says of itself for those who must believe its alerts: the section `baseline` of the file.

Held-out healthy rows say how well the bands hold. Neighbouring rows are not independent: with s the mean of m_t, the
share of a row's values inside their bands, and tau = 1 + 2 sum rho_k its correlation time (initial positive sequence,
Geyer 1992),

    se^2 = var(m) tau / n,    n' = s (1 - s) / se^2,    interval = Wilson (1927) of s with n' trials
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.conditions import LEARNING, PROVISIONAL
from agent.core.nouns import F8, Mask
from agent.fit.judging import evidence
from agent.fit.judging.assembly import Assembled, HeldOut
from agent.fit.recording import Recording
from agent.twin.baseline import Alerts, Baseline, Coverage

Z = 1.959963985
NOMINAL = 0.9
BUDGET_PER_DAY = 1.0
LEARNING_H = 0.5


@dataclass(frozen=True, slots=True)
class About:
    """What a person says of a fit: whose machine, why now, when (ISO 8601); and how many false alerts a day are
    allowed."""

    asset: str = ""
    reason: str = ""
    made_utc: str = ""
    budget_per_day: float = BUDGET_PER_DAY


UNSAID = About()


def of_twin(
    recording: Recording,
    assembled: Assembled,
    held: Sequence[HeldOut],
    rows: int,
    about: About,
    where: Mapping[str, float],
) -> Baseline:
    """The baseline of a twin that was fitted to so many rows of its period, judged on what it has not seen. where: the
    rows in which the machine was in its mode, as column = value."""
    period_s = assembled.twin.plant.period_s
    found = evidence.gathered(held, assembled.tracks, assembled.limits, period_s, about.budget_per_day)
    per_row = period_s / recording.period_s
    used = np.arange(len(recording.time_s)) < round(rows * per_row)
    present = np.ones(len(used), np.bool_)
    for name, value in where.items():
        present &= recording.columns([name])[:, 0] == value
    return made(
        recording,
        used,
        asset=about.asset,
        reason=about.reason,
        made_utc=about.made_utc,
        mode=assembled.twin.modes[0],
        present=present,
        inside=found.inside,
        alerts=found.alerts,
        healthy_rows=round(found.rows * per_row),
        budget_per_day=about.budget_per_day,
    )


def made(
    recording: Recording,
    used: Mask,
    *,
    asset: str = "",
    reason: str = "",
    made_utc: str = "",
    mode: str = "running",
    present: Mask | None = None,
    inside: F8 | None = None,
    alerts: int | None = None,
    healthy_rows: int = 0,
    budget_per_day: float = BUDGET_PER_DAY,
    learning_h: float = LEARNING_H,
) -> Baseline:
    """The baseline of a fit that used rows `used` bool[n] of those in which the machine was in its mode (`present`).

    inside f8[rows,p]: 1 where a held-out value lies in its 90 % band, 0 where not, NaN where absent. alerts: how many
    there were in `healthy_rows` held-out rows. Under `learning_h` hours it is learning, else provisional.
    """
    hours = float(np.sum(used)) * recording.period_s / 3600.0
    all_rows = float(np.sum(present)) if present is not None else float(len(used))
    days = healthy_rows * recording.period_s / 86400.0
    return Baseline(
        asset=asset,
        reason=reason,
        made_utc=made_utc,
        hours=hours,
        modes={mode: min(float(np.sum(used)) / all_rows, 1.0) if all_rows else 0.0},
        state=LEARNING if hours < learning_h else PROVISIONAL,
        coverage=None if inside is None else coverage(inside),
        alerts=None if alerts is None else Alerts(alerts, days, budget_per_day),
    )


def coverage(inside: F8, nominal: float = NOMINAL) -> Coverage | None:
    """Share of values inside their bands, with its interval; None where there is no value. inside f8[rows,p]."""
    seen = np.isfinite(inside)
    rows = seen.any(axis=1)
    if not rows.any():
        return None
    share = float(inside[seen].mean())
    m = np.nanmean(inside[rows], axis=1)
    error = float(np.var(m)) * _correlation_time(m - m.mean()) / len(m)
    trials = share * (1.0 - share) / error if error > 0 else float(len(m))
    low, high = wilson(share, trials)
    return Coverage(nominal, share, low, high)


def wilson(share: float, trials: float) -> tuple[float, float]:
    """95 % interval of a share of so many trials."""
    centre = share + Z**2 / (2.0 * trials)
    half = Z * math.sqrt(share * (1.0 - share) / trials + Z**2 / (4.0 * trials**2))
    scale = 1.0 + Z**2 / trials
    return max((centre - half) / scale, 0.0), min((centre + half) / scale, 1.0)


def _correlation_time(x: F8) -> float:
    """1 + 2 sum rho_k of a centred series f8[n], summed while rho_2k + rho_2k+1 > 0."""
    n = len(x)
    spectrum = np.fft.rfft(x, 2 * n)
    rho = np.fft.irfft(np.abs(spectrum) ** 2)[:n]
    if rho[0] <= 0:
        return 1.0
    rho = rho / rho[0]
    pairs = rho[0 : n - n % 2 : 2] + rho[1:n:2][: n // 2]
    stop = int(np.argmax(pairs <= 0)) if (pairs <= 0).any() else len(pairs)
    return max(2.0 * float(np.sum(pairs[:stop])) - 1.0, 1.0)
