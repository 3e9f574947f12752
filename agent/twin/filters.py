"""The two filters of a linear twin over one model: what a period does to them, and what a row of measurements does.

The *reference* trusts the model: once settled its gain falls to almost nothing, so that `expected` says what the
inputs would make of a healthy machine, and a leak stays in the residual instead of being followed. While it settles
it is the tracking filter, for a start-up may be far from anything that was fitted. The *tracking* filter trusts the
measurements as far as the noise says, and gives the virtual outputs: what flows now, leak or not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8, I8
from agent.twin import kalman
from agent.twin.statespace import Params

REJECTIONS = 3
BOUND = 4.0
START_RANGE = 8.0
MOST_FADING = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class Filters:
    """Scaled. core, reference (covariance Pz), tracking (Px): f8[n], f8[n,n]; phi f8[m+q] and u f8[m] of this period;
    rejected i8[p]: how many innovations in a row were too wild for the tracking filter."""

    u: F8
    phi: F8
    core: F8
    reference: F8
    Pz: F8
    tracking: F8
    Px: F8
    rejected: I8


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The usable part of a frame, scaled. u f8[m], y f8[p] (NaN where unusable); weight f8[p]: factor on R."""

    u: F8
    y: F8
    weight: F8


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """f8[m+p] over inputs and measured outputs; low, high: the recording's range, scaled. virtual_*: f8[v]."""

    mean: F8
    scale: F8
    low: F8
    high: F8
    pairs: npt.NDArray[np.intp]
    virtual_mean: F8
    virtual_scale: F8


@lru_cache(maxsize=64)
def scaling(params: Params) -> Scaling:
    """What the channels say, as arrays."""
    channels = (*params.inputs, *params.outputs)
    mean = np.array([c.mean for c in channels])
    scale = np.array([c.scale for c in channels])
    return Scaling(
        mean=mean,
        scale=scale,
        low=(np.array([c.low for c in channels]) - mean) / scale,
        high=(np.array([c.high for c in channels]) - mean) / scale,
        pairs=np.array(params.products, np.intp).reshape(-1, 2),
        virtual_mean=np.array([c.mean for c in params.virtual]),
        virtual_scale=np.array([c.scale for c in params.virtual]),
    )


def empty(params: Params) -> Filters:
    """Before the first measurement: the mean of the recording, as uncertain as the recording was wide."""
    n, m = params.order, len(params.inputs)
    prior = params.noise.prior
    return Filters(
        u=np.zeros(m),
        phi=np.zeros(m + len(params.products)),
        core=np.zeros(n),
        reference=np.zeros(n),
        Pz=prior.copy(),
        tracking=np.zeros(n),
        Px=prior.copy(),
        rejected=np.zeros(len(params.outputs), np.int64),
    )


def start(params: Params, sample: Sample) -> Filters:
    """The state that the first usable row suggests: x ~ N(0, P0) corrected by every output that is there."""
    f = replace(empty(params), u=sample.u, phi=features(params, np.zeros(params.order), sample.u))
    tame = replace(sample, y=np.minimum(np.maximum(sample.y, -START_RANGE), START_RANGE))
    core = _taken(params, f.core, f.Px, tame, params.Dc @ f.u)[0]
    phi = features(params, core, sample.u)
    x, Px = _taken(params, f.tracking, f.Px, tame, params.D @ phi)
    return replace(f, phi=phi, core=core, reference=x, Pz=Px, tracking=x, Px=Px)


def elapse(params: Params, f: Filters, periods: int) -> Filters:
    """The model run on over `periods`, the inputs of the last one held (zero-order hold)."""
    A, B, Q = params.A, params.B, params.noise.Q
    core, z, Pz, x, Px, phi = f.core, f.reference, f.Pz, f.tracking, f.Px, f.phi
    for k in range(periods):
        if k:
            phi = features(params, core, f.u)
        # xc+ = A xc + Bc u;   x+ = A x + B phi
        core = A @ core + params.Bc @ f.u
        b = B @ phi
        z, Pz = kalman.predict(z, Pz, A, b, params.noise.trust * Q)
        x, Px = kalman.predict(x, Px, A, b, Q)
    return replace(f, core=core, reference=z, Pz=Pz, tracking=x, Px=Px)


def driven(params: Params, f: Filters, u: F8) -> Filters:
    """The inputs f8[m] of this period taken in."""
    return replace(f, u=u, phi=features(params, f.core, u))


def expected(params: Params, f: Filters) -> F8:
    """y = C x + D phi of the reference, measured outputs only: f8[p], scaled."""
    p = len(params.outputs)
    return params.C[:p] @ f.reference + params.D[:p] @ f.phi


def remoteness(params: Params, f: Filters) -> float:
    """How far inputs have brought the model from what was recorded: 1 is the edge of the domain."""
    return float(distance(_signals(params, f.core, f.u), params.domain)) / params.radius


def features(params: Params, core: F8, u: F8) -> F8:
    """phi f8[m+q] of this period, see `with_products`."""
    if not params.products:
        return u
    z, pairs = _signals(params, core, u), scaling(params).pairs
    return with_products(z, len(u), params.domain, params.radius, pairs, params.product_mean)


def with_products(z: F8, m: int, domain: F8, radius: float, pairs: npt.NDArray[np.intp], mean: F8) -> F8:
    """phi = [u; s^2 z_i z_j - mean], z f8[..., m+p] drawn into the domain by s: a square must not run away."""
    inside = z * np.minimum(1.0, radius / np.maximum(distance(z, domain), 1e-12))[..., None]
    return np.concatenate([z[..., :m], inside[..., pairs[:, 0]] * inside[..., pairs[:, 1]] - mean], axis=-1)


def distance(z: F8, domain: F8) -> F8:
    """Mahalanobis' distance of signals f8[..., m+p] from the middle of the recording: f8[...]."""
    return np.asarray(np.sqrt(np.einsum("...i,ij,...j->...", z, domain, z)), np.float64)


def _signals(params: Params, core: F8, u: F8) -> F8:
    """z = [u; C xc + Dc u]."""
    return np.concatenate([u, params.C[: len(params.outputs)] @ core + params.Dc @ u])


def measured(params: Params, f: Filters, sample: Sample, *, settling: bool) -> Filters:
    """Both filters after one row of measurements."""
    x, Px, rejected = _gated(params, f, sample)
    if settling:
        core = _taken(params, f.core, f.Px, sample, params.Dc @ f.u)[0]
        return replace(f, core=core, reference=x, Pz=Px, tracking=x, Px=Px, rejected=rejected)
    z, Pz = _taken(params, f.reference, f.Pz, sample, params.D @ f.phi)
    return replace(f, reference=z, Pz=Pz, tracking=x, Px=Px, rejected=rejected)


def _taken(params: Params, x: F8, P: F8, sample: Sample, feed: F8) -> tuple[F8, F8]:
    """A state corrected by the rows that are there, with model error counted as noise; `feed`: what the inputs add
    to the outputs. A wild innovation is bounded (Huber), never refused."""
    for j in np.flatnonzero(np.isfinite(sample.y)):
        c, r = params.C[j], float(sample.weight[j] * params.noise.residual[j] ** 2)
        nu, s = kalman.innovation(x, P, c, float(sample.y[j] - feed[j]), r)
        x, P = kalman.measure(x, P, c, kalman.bounded(nu, s, BOUND), r, s)
    return x, P


def _gated(params: Params, f: Filters, sample: Sample) -> tuple[F8, F8, I8]:
    """The tracking filter: an innovation beyond the gate is refused, but not REJECTIONS times in a row: then the filter
    is lost, not the sensor, and P grows until the innovation stands at the gate (fading memory)."""
    x, P, rejected = f.tracking, f.Px, f.rejected.copy()
    feed = params.D @ f.phi
    for j in np.flatnonzero(np.isfinite(sample.y)):
        c, r, y = params.C[j], float(sample.weight[j] * params.noise.R[j]), float(sample.y[j] - feed[j])
        nu, s = kalman.innovation(x, P, c, y, r)
        if nu * nu > kalman.GATE * s:
            rejected[j] += 1
            if rejected[j] < REJECTIONS:
                continue
            P = P * min(nu * nu / (kalman.GATE * s), MOST_FADING)
            s = kalman.innovation(x, P, c, y, r)[1]
            nu = kalman.bounded(nu, s, BOUND)
        else:
            rejected[j] = 0
        x, P = kalman.measure(x, P, c, nu, r, s)
    return x, P, rejected
