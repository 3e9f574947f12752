"""Unknown parameters of a machine by bounded least squares on free runs: multiple shooting, several starts.

    min over theta in bounds, x0 of each run:   sum ((y - yfree) / sigma)^2  +  sum (s - 1/2)^2

s is where a parameter stands within its bounds, 0 to 1 (of its logarithm where they lie far apart). The second sum is
a prior so weak that only directions the recording says nothing about feel it. sigma starts as a tenth of the spread
of each output and becomes that of its residuals. (Bock 1983; Ljung, System Identification, 1999, 7.3)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from agent.core.nouns import F8
from agent.fit.physics.reading import Unknown
from agent.fit.physics.trajectories import Trial

CANDIDATES = 600
EVALUATIONS = 40
SEED = 4
# Residuals are expected to be this share of an output's spread, until they are known.
EXPECTED = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """theta f8[k] in SI; s f8[k] where it is within its bounds; starts f8[runs,n]; sigma f8[q] rms of each output's
    residuals; loss: mean of their squares over the first sigma's, to tell fits apart."""

    theta: F8
    s: F8
    starts: F8
    sigma: F8
    loss: float


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """Between theta and s: linear, or by logarithms where `far`."""

    low: F8
    high: F8
    far: npt.NDArray[np.bool_]

    def theta(self, s: F8) -> F8:
        """Values of s f8[...,k]."""
        ratio = np.where(self.far, self.high / np.where(self.far, self.low, 1.0), 1.0)
        return np.asarray(np.where(self.far, self.low * ratio**s, self.low + (self.high - self.low) * s), np.float64)

    def share(self, theta: F8) -> F8:
        """s of values f8[...,k]."""
        low, high = (np.where(self.far, end, 1.0) for end in (self.low, self.high))
        far = np.log(np.where(self.far, theta, 1.0) / low) / np.where(self.far, np.log(high / low), 1.0)
        return np.asarray(np.where(self.far, far, (theta - self.low) / (self.high - self.low)), np.float64)

    def slope(self, s: F8) -> F8:
        """d theta / d s: f8[k]."""
        ratio = np.where(self.far, self.high / np.where(self.far, self.low, 1.0), np.e)
        return np.asarray(np.where(self.far, self.theta(s) * np.log(ratio), self.high - self.low), np.float64)


def scale(unknown: Sequence[Unknown]) -> Scale:
    """The scale of unknown parameters: by logarithms from a ratio of 3 between bounds over 0."""
    low, high = np.array([n.low for n in unknown]), np.array([n.high for n in unknown])
    return Scale(low, high, (low > 0) & (high > 3 * low))


def fitted(trial: Trial, scaled: Scale, starts: F8, start_sd: F8, searches: int) -> list[Fit]:
    """The fits from several starts, the best first. starts f8[runs,n]; start_sd f8[n]: how far they may be off."""
    spread = _spread(trial)
    found = [
        _search(trial, scaled, starts, start_sd, s, spread, EVALUATIONS)
        for s in _begun(trial, scaled, starts, searches)
    ]
    return sorted(found, key=lambda fit: fit.loss)


def refined(
    trial: Trial, scaled: Scale, s: F8, starts: F8, start_sd: F8, sigma: F8, evaluations: int = EVALUATIONS
) -> Fit:
    """The fit from s, weighted by residuals sigma f8[q] of an earlier one: what is measured well counts for more."""
    return _search(trial, scaled, starts, start_sd, s, sigma, evaluations)


def _begun(trial: Trial, scaled: Scale, starts: F8, searches: int) -> list[F8]:
    """The middle, and the best of many random candidates, all run at once."""
    k = len(scaled.low)
    middle = np.full(k, 0.5)
    if searches < 2 or not k:
        return [middle]
    s = np.random.default_rng(SEED).uniform(0.05, 0.95, (CANDIDATES, k))
    theta = scaled.theta(s)
    some = Trial(trial.params, trial.u[:, :4], trial.y[:, :4], trial.period_s)
    runs = some.u.shape[1]
    x = np.concatenate(
        [
            np.broadcast_to(starts[:runs, None], (runs, CANDIDATES, starts.shape[1])),
            np.broadcast_to(theta, (runs, CANDIDATES, k)),
        ],
        axis=-1,
    )
    error = some.outputs(x) - some.y[:, :, None]
    loss = np.nanmean((error / _spread(trial)) ** 2, axis=(0, 1, 3))
    return [middle, *s[np.argsort(loss)[: searches - 1]]]


def _search(trial: Trial, scaled: Scale, starts: F8, start_sd: F8, s: F8, sigma: F8, evaluations: int) -> Fit:
    runs, n = starts.shape
    first = starts.copy()
    sight = _Sight(trial, scaled, first, start_sd, sigma)
    z = np.concatenate([np.zeros(runs * n), np.clip(s, 0.01, 0.99)])
    free = np.concatenate([np.full(runs * n, np.inf), np.ones(len(s))])
    low = np.concatenate([np.full(runs * n, -np.inf), np.zeros(len(s))])
    if len(z):
        z = least_squares(
            sight.residual, z, sight.jacobian, bounds=(low, free), max_nfev=evaluations, ftol=1e-7, xtol=1e-7
        ).x
    error = sight.error(z)
    rms = np.sqrt(np.nanmean(error**2, axis=(0, 1)))
    loss = float(np.mean((rms / _spread(trial)) ** 2))
    end = z[runs * n :]
    return Fit(scaled.theta(end), end, sight.starts(z), np.maximum(rms, 1e-9), loss)


def _spread(trial: Trial) -> F8:
    """Standard deviation of each output, f8[q]; 1 where it stands still."""
    spread = np.nanstd(trial.y.reshape(-1, trial.y.shape[-1]), axis=0)
    return np.asarray(np.where(spread > 0, spread, 1.0), np.float64)


class _Sight:
    """Residuals and their Jacobian at a point, of one simulation: z = [starts of each run; s]."""

    def __init__(self, trial: Trial, scaled: Scale, first: F8, start_sd: F8, sigma: F8) -> None:
        self.trial, self.scaled, self.first, self.start_sd = trial, scaled, first, start_sd
        self.sigma = sigma
        self.at: F8 | None = None
        self.seen: tuple[F8, F8] = (np.zeros(0), np.zeros((0, 0)))

    def starts(self, z: F8) -> F8:
        """f8[runs,n]."""
        runs, n = self.first.shape
        return np.asarray(self.first + self.start_sd * z[: runs * n].reshape(runs, n), np.float64)

    def error(self, z: F8) -> F8:
        """y - yfree in units: f8[rows,runs,q]."""
        theta = self.scaled.theta(z[self.first.size :])
        start = self.starts(z)
        x = np.hstack([start, np.broadcast_to(theta, (len(start), len(theta)))])
        return np.asarray(self.trial.y - self.trial.outputs(x), np.float64)

    def residual(self, z: F8) -> F8:
        """As scipy wants it."""
        return self._look(z)[0]

    def jacobian(self, z: F8) -> F8:
        """As scipy wants it."""
        return self._look(z)[1]

    def _look(self, z: F8) -> tuple[F8, F8]:
        if self.at is None or not np.array_equal(self.at, z):
            self.seen, self.at = self._compressed(z), z.copy()
        return self.seen

    def _compressed(self, z: F8) -> tuple[F8, F8]:
        """Each run's rows [J r] turned into as many as they have columns: the same sums of squares, far fewer rows."""
        (runs, n), k = self.first.shape, len(self.scaled.low)
        error, G = weighted(self.trial, self.scaled, self.starts(z), self.start_sd, z[runs * n :], self.sigma)
        residuals, jacobians = [], []
        for i in range(runs):
            whole: F8 = np.asarray(np.linalg.qr(np.column_stack([G[i], error[i]]), mode="r"), np.float64)
            J = np.zeros((len(whole), len(z)))
            J[:, i * n : (i + 1) * n], J[:, runs * n :] = whole[:, :n], whole[:, n : n + k]
            residuals.append(whole[:, -1])
            jacobians.append(J)
        # The priors: starts within start_sd, parameters within their bounds.
        centre = np.concatenate([np.zeros(runs * n), np.full(k, 0.5)])
        return np.concatenate([*residuals, z - centre]), np.vstack([*jacobians, np.eye(len(z))])


def weighted(trial: Trial, scaled: Scale, starts: F8, start_sd: F8, s: F8, sigma: F8) -> tuple[F8, F8]:
    """(yfree - y) / sigma f8[runs, rows q], 0 where there is no y, and its sensitivity to starts (in start_sd) and s:
    f8[runs, rows q, n+k]."""
    size = np.concatenate([start_sd, scaled.slope(s)])
    out, G = trial.sensitivities(starts, scaled.theta(s), size)
    there = np.isfinite(trial.y)
    error = np.where(there, out - np.where(there, trial.y, 0.0), 0.0) / sigma
    G = np.where(there[..., None], G, 0.0) / sigma[:, None]
    runs = trial.u.shape[1]
    return np.moveaxis(error, 1, 0).reshape(runs, -1), np.moveaxis(G, 1, 0).reshape(runs, -1, len(size))
