"""Roots of covariances. P = S S' can lose digits, but never its sign (Bierman 1977)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from agent.core.nouns import F8


def tria(wide: F8) -> F8:
    """A lower triangular root f8[n,n] of W W', W f8[n,k >= n]: W' = Q R, so W W' = R' R. No square is ever formed."""
    n = len(wide)
    # LAPACK's own layout (mode "raw") holds R' in its lower triangle, at half the cost of having R made from it.
    packed = np.asarray(np.linalg.qr(wide.T, mode="raw")[0], np.float64)
    return packed[:, :n] * _lower(n)


@lru_cache(maxsize=64)
def _lower(n: int) -> F8:
    return np.tri(n)


def root(P: F8) -> F8:
    """A root f8[n,n] of a positive definite matrix."""
    return floored(P, np.ones(len(P)), 0.0)


def floored(P: F8, sd: F8, least: float) -> F8:
    """A root f8[n,n] of a positive semidefinite matrix; in no direction less than `least` in units of sd f8[n]."""
    eigenvalues, V = np.linalg.eigh(0.5 * (P + P.T) / np.outer(sd, sd))
    return np.asarray(sd[:, None] * V * np.sqrt(np.maximum(eigenvalues, least)), np.float64)


def variances(wide: F8) -> F8:
    """The diagonal f8[n] of W W'."""
    return np.asarray(np.einsum("ij,ij->i", wide, wide), np.float64)
