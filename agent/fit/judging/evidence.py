"""How well the bands of a twin hold and how often it would have alerted, counted on rows that nothing was set from.

A plant is judged on the stretches that it has not seen; its bands and limits, too, are set from the other stretches.
Bands are cheap and always done so. Limits are learned again for each part only where the recording is long enough for
the count to prove something: before that the upper bound of no alert at all is over the budget anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8
from agent.fit.judging import limits
from agent.fit.judging.assembly import HeldOut, counted
from agent.fit.judging.limits import Limits
from agent.fit.judging.tracked import Track
from agent.twin.accuracy import BAND
from agent.twin.baseline import most
from agent.twin.departure import cusum, deviation, whitening

OVER, BACK = 1.0, 0.8


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """inside f8[rows,p]: 1 where a healthy value lay in its 90 % band, 0 where not, NaN where absent. alerts in so many
    rows."""

    inside: F8
    alerts: int
    rows: int


def gathered(
    held: Sequence[HeldOut], tracks: Sequence[Track], found: Limits, period_s: float, budget_per_day: float
) -> Evidence:
    """Of the tracks of held-out stretches; `found`: the limits that the file gets."""
    parts = _parts(held)
    counts = [counted(h, t) for h, t in zip(held, tracks, strict=True)]
    residual = [np.where(c[:, None], t.residual, np.nan) for c, t in zip(counts, tracks, strict=True)]
    z = [np.where(c[:, None], t.z, np.nan) for c, t in zip(counts, tracks, strict=True)]
    share = [np.where(c, t.share, 0.0) for c, t in zip(counts, tracks, strict=True)]
    rows = int(sum(c.sum() for c in counts))
    inside, alerts = [], 0
    enough = rows * period_s / 86400.0 * budget_per_day >= most(0)
    for own, rest in parts:
        spread = np.sqrt(np.nanmean(np.vstack([residual[k] for k in rest]) ** 2, axis=0))
        inside += [np.where(np.isfinite(residual[k]), np.abs(residual[k]) <= BAND * spread, np.nan) for k in own]
        own_limits = limits.learned([z[k] for k in rest], [share[k] for k in rest], period_s) if enough else found
        alerts += sum(_alerts(own_limits, z[k], share[k]) for k in own)
    return Evidence(np.vstack(inside), alerts, rows)


def _parts(held: Sequence[HeldOut]) -> list[tuple[list[int], list[int]]]:
    """(stretches, all others) of each plant; one plant alone is judged by its own bands: there are no others."""
    by_plant: dict[int, list[int]] = {}
    for k, h in enumerate(held):
        by_plant.setdefault(id(h.plant), []).append(k)
    everything = list(range(len(held)))
    return [(own, [k for k in everything if k not in own] or own) for own in by_plant.values()]


def _alerts(found: Limits, z: F8, share: F8) -> int:
    """How often a chart passed its limit in a piece; it must come back by a fifth before it counts again."""
    past, count = whitening.begin(found.whitening), 0
    ewma, sums = deviation.begin(found.deviation), cusum.begin(found.cusum)
    over = np.zeros((2, z.shape[1]), np.bool_)
    for row, trust in zip(z, share.tolist(), strict=True):
        past, w = whitening.fold(found.whitening, past, row, trust)
        ewma = deviation.fold(found.deviation, ewma, w, trust)
        sums = cusum.fold(found.cusum, sums, w, trust)
        charts = (deviation.value(found.deviation, ewma), cusum.value(found.cusum, sums))
        size = np.abs(np.array(charts))
        count += int(((size >= OVER) & ~over).sum())
        over = np.where(over, size >= BACK, size >= OVER)
    return count
