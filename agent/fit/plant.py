"""A twin's equations fitted to pieces of a recording: the linear core, and its second-order products where asked.

The products are driven by the core's own free run, never by measurements, so they cannot destabilise anything and no
fault of a sensor gets into what is expected. B and D are then fitted again for the whole run, products included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8
from agent.fit import simulation
from agent.fit.subspace import Modes, Varx, directions, modes, varx
from agent.twin.filters import distance, with_products

PAST = 10
CORE_RIDGE = 1e-6
PRODUCT_RIDGE = 1e-3
DOMAIN = 0.99
DOMAIN_RIDGE = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """An unbroken stretch, scaled: u f8[rows,m], y f8[rows,p], v f8[rows,v]. `block`: the part of the recording it is
    in; row: of its first row in the file."""

    u: F8
    y: F8
    v: F8
    block: int
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class Plant:
    """As `agent.twin.statespace.Params`, measured outputs only."""

    A: F8
    B: F8
    C: F8
    D: F8
    Bc: F8
    Dc: F8
    K: F8
    covariance: F8
    prior: F8
    pairs: npt.NDArray[np.intp]
    product_mean: F8
    domain: F8
    radius: float


def fitted(pieces: Sequence[Piece], order: int, *, products: bool) -> tuple[Plant, Varx]:
    """The plant of `order` that fits free runs over the pieces best, and the VARX it comes from."""
    segments = [np.hstack([p.u, p.y]) for p in pieces]
    model = varx(segments, pieces[0].u.shape[1], PAST)
    plant = linear(pieces, model, directions(segments, model), order)
    return (bilinear(plant, pieces) if products else plant), model


def linear(pieces: Sequence[Piece], model: Varx, ways: F8, order: int) -> Plant:
    """The linear core of `order`; `ways` are the `subspace.directions`."""
    basis = modes([np.hstack([p.u, p.y]) for p in pieces], model, ways, order)
    Bc, Dc = simulation.refit(basis.A, basis.C, [p.u for p in pieces], [p.y for p in pieces], CORE_RIDGE)
    plant = _plain(basis, Bc, Dc)
    return _with_domain(replace(plant, prior=_prior(plant, pieces)), pieces)


def bilinear(plant: Plant, pieces: Sequence[Piece]) -> Plant:
    """A linear plant with all second-order products of its signals, B and D fitted anew."""
    wide = len(plant.domain)
    pairs = np.array([(i, j) for i in range(wide) for j in range(i, wide)], np.intp)
    plant = replace(plant, pairs=pairs, product_mean=np.zeros(len(pairs)))
    m = pieces[0].u.shape[1]
    mean = np.vstack([features(plant, p) for p in pieces])[:, m:].mean(axis=0)
    plant = replace(plant, product_mean=mean)
    B, D = simulation.refit(
        plant.A, plant.C, [features(plant, p) for p in pieces], [p.y for p in pieces], PRODUCT_RIDGE
    )
    plant = replace(plant, B=B, D=D)
    return replace(plant, prior=_prior(plant, pieces))


def _plain(basis: Modes, Bc: F8, Dc: F8) -> Plant:
    n, wide = len(basis.A), Bc.shape[1] + len(basis.C)
    return Plant(
        A=basis.A,
        B=Bc,
        C=basis.C,
        D=Dc,
        Bc=Bc,
        Dc=Dc,
        K=basis.K,
        covariance=basis.covariance,
        prior=np.eye(n),
        pairs=np.zeros((0, 2), np.intp),
        product_mean=np.zeros(0),
        domain=np.eye(wide),
        radius=1.0,
    )


def _with_domain(plant: Plant, pieces: Sequence[Piece]) -> Plant:
    """The ellipsoid that holds DOMAIN of the core's signals over the pieces."""
    z = np.vstack([_signals(plant, piece) for piece in pieces])
    covariance = z.T @ z / len(z)
    domain = np.linalg.inv(covariance + DOMAIN_RIDGE * np.eye(len(covariance)))
    domain = 0.5 * (domain + domain.T)
    return replace(plant, domain=domain, radius=float(np.quantile(distance(z, domain), DOMAIN)))


def _prior(plant: Plant, pieces: Sequence[Piece]) -> F8:
    """How widely the states spread over the pieces: f8[n,n], positive definite."""
    states = np.vstack([_states(plant, piece) for piece in pieces])
    prior = states.T @ states / len(states)
    return np.asarray(prior + 1e-3 * np.trace(prior) / len(prior) * np.eye(len(prior)), np.float64)


def _states(plant: Plant, piece: Piece) -> F8:
    n = len(plant.A)
    phi = features(plant, piece)
    x0 = simulation.start(plant.A, plant.B, plant.C, plant.D, phi, piece.y, plant.prior)
    return simulation.run(plant.A, plant.B, np.eye(n), np.zeros((n, phi.shape[1])), phi, x0)


def features(plant: Plant, piece: Piece) -> F8:
    """phi f8[rows, m+q] over a piece, the core started from its first rows."""
    if not len(plant.pairs):
        return piece.u
    z = _signals(plant, piece)
    return with_products(z, piece.u.shape[1], plant.domain, plant.radius, plant.pairs, plant.product_mean)


def _signals(plant: Plant, piece: Piece) -> F8:
    """z = [u; yc] of the core's free run: f8[rows, m+p]."""
    x0 = simulation.start(plant.A, plant.Bc, plant.C, plant.Dc, piece.u, piece.y, plant.prior)
    return np.hstack([piece.u, simulation.run(plant.A, plant.Bc, plant.C, plant.Dc, piece.u, x0)])


def free_run(plant: Plant, piece: Piece) -> F8:
    """Outputs of the plant alone over a piece, started from its first rows: f8[rows, p]."""
    phi = features(plant, piece)
    x0 = simulation.start(plant.A, plant.B, plant.C, plant.D, phi, piece.y, plant.prior)
    return simulation.run(plant.A, plant.B, plant.C, plant.D, phi, x0)
