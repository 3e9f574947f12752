"""The health parameters of a twin as a belief of their own: it outlives the filters, and stops of the machine."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8
from agent.twin.filtering import Belief, Filter
from agent.twin.filtering.roots import root, tria, variances
from agent.twin.plant import Plant


@lru_cache(maxsize=256)
def rows(plant: Plant) -> npt.NDArray[np.intp]:
    """Where the health parameters stand in x: intp[h]."""
    return np.array([h.state for h in plant.health], np.intp)


def of(plant: Plant, belief: Belief) -> Belief:
    """The part of a belief that is health: x f8[h], root f8[h,h]."""
    at = rows(plant)
    return Belief(belief.x[at], tria(belief.root[at])) if at.size else NOTHING


def values(plant: Plant, x: F8) -> F8:
    """The parameters f8[h] in their units, of a state f8[n]."""
    return np.array([h.value(x) for h in plant.health])


def spreads(plant: Plant, belief: Belief) -> F8:
    """Standard deviation of each parameter in its unit, to first order: f8[h]. belief: as `of` gives it."""
    inner = np.sqrt(variances(belief.root))
    # d value = value dx where x is a logarithm.
    scale = [abs(h.nominal) * np.exp(z) if h.relative else 1.0 for h, z in zip(plant.health, belief.x, strict=True)]
    return np.asarray(inner * scale, np.float64)


def known(plant: Plant, belief: Belief) -> Belief:
    """The plant's prior, with what is known of its health."""
    x, P = (part.copy() for part in plant.prior)
    at = rows(plant)
    x[at] = belief.x
    P[at, :] = P[:, at] = 0.0
    P[np.ix_(at, at)] = belief.P
    return Belief(x, root(P))


def as_fitted(plant: Plant, filter: Filter) -> Filter:
    """The filter where it is, with the health that the machine had at the fit, known for certain."""
    at, belief = rows(plant), filter.belief
    x, certain = belief.x.copy(), belief.root.copy()
    x[at] = plant.prior[0][at]
    certain[at] = 0.0
    return replace(filter, now=replace(filter.now, belief=Belief(x, certain), settled=0), past=())


NOTHING = Belief(np.zeros(0), np.zeros((0, 0)))
