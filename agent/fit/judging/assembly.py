"""A fitted plant made into a twin: all that the daemon will judge by is learned from rows that the plant has not seen.

The held-out rows go through the daemon's own cycle, each with a plant that was fitted without them. Twice: what the
reference leaves depends on how far it trusts the model, and how far it may do that is what it leaves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.core.nouns import F8, Mask
from agent.fit.judging import limits, signatures, tracked, trusting
from agent.fit.judging.limits import Limits
from agent.fit.judging.signatures import Stretch
from agent.fit.judging.tracked import Track
from agent.twin import simulate
from agent.twin.domain import learned as domain
from agent.twin.lifetime import life
from agent.twin.plant import Plant
from agent.twin.twin import Charts, Twin

REFERENCE = 1e-4
HOLD_PERIODS = 5
START_ROWS = 30
LEAST = 1e-9
LIFE_S = 4000.0 * 3600.0  # half a year of running: what a part lasts, as long as none has failed


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """A stretch in units, u f8[rows,m], y f8[rows,p], v f8[rows,v], and a plant that has not seen it. settled
    bool[rows]: where the machine is past its settling time."""

    plant: Plant
    u: F8
    y: F8
    v: F8
    settled: Mask


@dataclass(frozen=True, slots=True, eq=False)
class Assembled:
    """A twin, and what it made of the held-out rows."""

    twin: Twin
    tracks: tuple[Track, ...]
    limits: Limits
    rows: int


def assembled(plant: Plant, held: Sequence[HeldOut], *, modes: Sequence[str], settle_s: float) -> Assembled:
    """The twin of a plant that was fitted to everything; `held` has plants of the same structure."""
    guess = Twin(
        plant=plant,
        modes=tuple(modes),
        settle_s=settle_s,
        hold_periods=HOLD_PERIODS,
        reference=REFERENCE,
        spread=_free(held),
        domain=domain(np.vstack([h.u for h in held]), np.vstack([h.y for h in held])),
        score={},
        training={},
    )
    twin = replace(guess, spread=_left(guess, held, _tracked(guess, held)))
    tracks = _tracked(twin, held)
    z = [np.where(counted(h, t)[:, None], t.z, np.nan) for h, t in zip(held, tracks, strict=True)]
    share = [np.where(counted(h, t), t.share, 0.0) for h, t in zip(held, tracks, strict=True)]
    found = limits.learned(z, share, plant.period_s)
    trust = trusting.reference([part for rows, counts in zip(z, share, strict=True) for part in _full(rows, counts)])
    twin = replace(twin, charts=Charts(found.whitening, found.deviation, found.cusum), trust=trust)
    stretches = [Stretch(h.u[h.settled], h.y[h.settled]) for h in held]
    warm = math.ceil(settle_s / plant.period_s)
    isolation = signatures.learned(
        plant, found.whitening, stretches, lambda u, y: tracked.track(twin, u, y).z, z, warm=warm
    )
    rows = int(sum(counted(h, t).sum() for h, t in zip(held, tracks, strict=True)))
    lives = life.usual(plant, LIFE_S)
    return Assembled(replace(twin, isolation=isolation, lives=lives), tuple(tracks), found, rows)


def counted(h: HeldOut, t: Track) -> Mask:
    """Rows bool[rows] where machine and twin have settled."""
    return np.asarray(h.settled & np.isfinite(t.share), np.bool_)


def _full(z: F8, share: F8) -> list[F8]:
    """The unbroken stretches of z f8[rows,p] that count in full."""
    full = np.flatnonzero(share >= 1.0)
    return [z[part] for part in np.split(full, np.flatnonzero(np.diff(full) > 1) + 1) if len(part)]


def _tracked(twin: Twin, held: Sequence[HeldOut]) -> list[Track]:
    return [tracked.track(replace(twin, plant=h.plant), h.u, h.y) for h in held]


def _free(held: Sequence[HeldOut]) -> F8:
    """Root mean square of free-run errors, f8[p+v]: a first guess of what the reference leaves."""
    errors = [simulate.free_run(h.plant, h.u, h.y, START_ROWS) - np.hstack([h.y, h.v]) for h in held]
    kept = np.vstack([e[h.settled] for e, h in zip(errors, held, strict=True)])
    return np.asarray(np.maximum(np.sqrt(np.nanmean(kept**2, axis=0)), LEAST), np.float64)


def _left(twin: Twin, held: Sequence[HeldOut], tracks: Sequence[Track]) -> F8:
    """Root mean square of what the reference leaves of each output, and of the errors of virtual ones: f8[p+v]."""
    left = [np.hstack([t.residual, t.virtual - h.v])[counted(h, t)] for h, t in zip(held, tracks, strict=True)]
    mean = np.nanmean(np.vstack(left) ** 2, axis=0)
    return np.asarray(np.maximum(np.sqrt(mean), LEAST), np.float64)
