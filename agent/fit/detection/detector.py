"""A whole detector: scaler, folded members, and the largest of their scores. numpy, as the graph computes it.

z = (x - mean) / scale                     each tag of each row
f_i = z' weights_i                         features of member i
a = max_i d_i(f_i) / limit_i               score: 1 is the limit
contribution = e_i / limit_i^2 / a         of the member with the largest score: score times the share of its
                                           square that goes if this tag read what fits the others best
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8
from agent.fit.detection import folding, member
from agent.fit.detection.folding import Folding
from agent.fit.detection.member import Member

SMALLEST_SCORE = 1e-6
# Beyond a million spreads everything is equally far; it keeps squares inside the range of f4.
FARTHEST = 1e6
HALVINGS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A member over its folding, with the distance that is its limit."""

    folding: Folding
    member: Member
    limit: float


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """All numbers of a detector. mean, scale f8[C]; parts over the same window."""

    mean: F8
    scale: F8
    parts: tuple[Part, ...]

    @property
    def window(self) -> int:
        """Rows of the window."""
        return self.parts[0].folding.window


def score(detector: Detector, rows: F8) -> tuple[F8, F8]:
    """Score f8[..., m] and contributions f8[..., m, C] of the windows of unbroken rows f8[..., n, C], in the tags'
    own units."""
    z = np.clip((rows - detector.mean) / detector.scale, -FARTHEST, FARTHEST)
    found = [_scored(part, z) for part in detector.parts]
    best, e = found[0]
    for a, other in found[1:]:
        e = np.where((a > best)[..., None], other, e)
        best = np.maximum(a, best)
    return best, e / np.maximum(best, SMALLEST_SCORE)[..., None]


def smallest_step(detector: Detector) -> F8:
    """The step of each tag f8[C], in its own unit, over the whole window, that brings the mean window to the limit.

    Where both directions differ, the larger. By halving: a score rises with the step."""
    tags = len(detector.mean)
    still = np.broadcast_to(detector.mean, (tags, detector.window, tags))
    out = np.zeros(tags)
    for sign in (-1.0, 1.0):
        low, high = np.zeros(tags), np.full(tags, 1e3)
        for _ in range(HALVINGS):
            middle = (low + high) / 2.0
            moved = still + sign * np.diag(middle * detector.scale)[:, None, :]
            over = score(detector, moved)[0][:, 0] > 1.0
            low, high = np.where(over, low, middle), np.where(over, middle, high)
        out = np.maximum(out, high)
    return out * detector.scale


def _scored(part: Part, z: F8) -> tuple[F8, F8]:
    """(d / limit, e / limit^2) of one part."""
    feature = folding.features(z, part.folding)
    e = member.explained(part.member, feature, z.shape[-1])
    return member.distance(part.member, feature) / part.limit, e / part.limit**2
