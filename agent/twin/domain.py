"""Where a twin has seen the machine: an ellipsoid over inputs and measured outputs. Outside it, it extrapolates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8


@dataclass(frozen=True, slots=True, eq=False)
class Domain:
    """mean f8[m+p], precision f8[m+p,m+p] over [u; y] in units; radius: holds the share of rows that the fit chose."""

    mean: F8
    precision: F8
    radius: float

    def remoteness(self, u: F8, y: F8) -> F8:
        """Mahalanobis distance of u f8[...,m], y f8[...,p] from the middle over the radius: 1 is the edge. f8[...]."""
        z = np.concatenate([u, y], axis=-1) - self.mean
        return np.asarray(np.sqrt(np.einsum("...i,ij,...j->...", z, self.precision, z)) / self.radius, np.float64)

    def parts(self, uy: F8) -> F8:
        """What each signal of [u; y] f8[...,m+p] adds to the squared remoteness, z_i (L z)_i / radius^2: f8[...,m+p].

        L: precision. Some parts are below zero where signals that move together do so; their sum is not."""
        z = uy - self.mean
        return np.asarray(z * (z @ self.precision) / self.radius**2, np.float64)

    def problems(self, size: int) -> list[str]:
        """What is wrong with it for `size` signals."""
        shaped = self.mean.shape == (size,) and self.precision.shape == (size, size)
        if not shaped:
            return [f"domain of {size} signals"]
        definite = np.allclose(self.precision, self.precision.T) and np.min(np.linalg.eigvalsh(self.precision)) > 0
        return [] if definite and self.radius > 0 else ["domain.precision positive definite, radius over 0"]


def learned(u: F8, y: F8, share: float = 0.99, ridge: float = 0.01) -> Domain:
    """The ellipsoid that holds `share` of the rows u f8[rows,m], y f8[rows,p]; ridge: of each variance, so that signals
    that move together are not told apart to the last digit."""
    z = np.hstack([u, y])
    mean = z.mean(axis=0)
    covariance = np.atleast_2d(np.cov(z.T, bias=True))
    floor = np.maximum(np.diag(covariance), 1e-12 * np.maximum(mean**2, 1e-12))
    precision = np.linalg.inv(covariance + ridge * np.diag(floor))
    precision = 0.5 * (precision + precision.T)
    far = np.sqrt(np.einsum("ri,ij,rj->r", z - mean, precision, z - mean))
    return Domain(mean, precision, float(np.quantile(far, share)))
