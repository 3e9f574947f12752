"""What each single fault would do to the residuals: its signature, and the templates made of it for a window.

A signature is the response phi of the normalised residuals z f8[p] to a fault of size 1 that begins at once, given at
a few lags and linear between them; after the last it stays. A fault that grew from nothing to its present size over a
time of `age` periods answers with the mean of phi over the time since it began:

    step  T_k = phi_t                      t = k - onset, age = periods since the onset
    ramp  T_k = (phi_0 + ... + phi_t) / age

Templates are whitened as the residuals are (Gustafsson 1996, marginalised likelihood ratios, needs white noise):

    w_k = M ((z_k - a_1 z_(k-1) - ... - a_q z_(k-q)) / sigma_w),     M' M = covariance^-1
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8

# An abrupt fault is whitened to a spike at its onset: every row is tried. What is smooth is tried in steps of a share.
YOUNGEST, SHARE = 4, 0.12


@dataclass(frozen=True, slots=True, eq=False)
class Fault:
    """One fault of one component. unit: of its size; side: +1 or -1 where it has one sign only, else 0; prior: how
    likely before anything is seen, over the sum of all; scale: standard deviation of its size, in `unit`.

    response f8[lags,p]: of z to a fault of size 1; inflation f8[ages], at least 1: variance of the healthy matched
    filter over that of white noise, for what whitening leaves in the slow parts, by periods since the onset.
    """

    name: str
    component: str
    unit: str
    side: int
    prior: float
    scale: float
    response: F8
    inflation: F8


@dataclass(frozen=True, slots=True, eq=False)
class Signatures:
    """window: rows looked at; lags: periods of the responses; ages: periods of the inflations, to the oldest onset.

    a f8[p,q], spread f8[p], covariance f8[p,p]: whitening of z without a clip; mismatch: relative error of a response,
    by which two faults must differ to be told apart.
    """

    window: int
    lags: tuple[int, ...]
    ages: tuple[int, ...]
    a: F8
    spread: F8
    covariance: F8
    mismatch: float
    faults: tuple[Fault, ...]

    def problems(self, p: int) -> list[str]:
        """What is wrong with it for p outputs."""
        q = self.a.shape[1] if self.a.ndim == 2 else 0
        lags, ages = len(self.lags), len(self.ages)
        checks = (
            (self.a.shape == (p, q) and q > 0 and self.spread.shape == (p,), f"isolation whitening of {p} outputs"),
            (self.covariance.shape == (p, p) and bool(np.all(self.spread > 0)), f"isolation covariance of {p} outputs"),
            (self.window > q and _rising(self.lags, 0) and _rising(self.ages, 1), "a window, rising lags and ages"),
            (all(f.response.shape == (lags, p) for f in self.faults), f"responses of {lags} lags and {p} outputs"),
            (all(f.inflation.shape == (ages,) for f in self.faults), f"inflations of {ages} ages"),
            (all(f.prior > 0 and f.scale > 0 and np.all(f.inflation > 0) for f in self.faults), "faults over 0"),
            (len({f.name for f in self.faults}) == len(self.faults), "each fault once"),
        )
        wrong = [text for good, text in checks if not good]
        if not wrong and np.min(np.linalg.eigvalsh(self.covariance)) <= 0:
            wrong.append("isolation covariance positive definite")
        return wrong


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """What can be seen of single faults in a window of `rows` whitened rows, whitened by output only.

    step f8[faults,rows,p]: of an abrupt fault from its onset on, which may be at any row; other f8[k,rows,p]: of ramps,
    and of abrupt faults older than the window. By template, those of `step` first (fault by fault, the onset at row 0,
    1, ... `onsets` - 1): fault, age i8[t]; inflation, side, scale f8[t]; prior f8[t]: of the fault over its templates.
    """

    step: F8
    other: F8
    onsets: int
    fault: npt.NDArray[np.intp]
    age: npt.NDArray[np.intp]
    inflation: F8
    side: F8
    scale: F8
    prior: F8


@lru_cache(maxsize=64)
def templates(signatures: Signatures) -> Templates:
    """All templates of a file."""
    s, count = signatures, len(signatures.faults)
    rows = s.window - s.a.shape[1]
    young, ages = max(rows - YOUNGEST + 1, 1), _geometric(YOUNGEST, s.ages[-1])
    drawn = [(f, age, ramp) for f in range(count) for ramp in (True, False) for age in ages if ramp or age > rows]
    fault = np.concatenate([np.repeat(np.arange(count), young), np.array([f for f, _, _ in drawn], np.intp)])
    age = np.concatenate([np.tile(rows - np.arange(young), count), np.array([a for _, a, _ in drawn], np.intp)])
    each, total = np.bincount(fault, minlength=count), sum(f.prior for f in s.faults)
    return Templates(
        step=np.array([whitened(s, _profile(s, f, rows, ramp=False)) for f in s.faults]),
        other=np.array([whitened(s, _profile(s, s.faults[f], a, ramp=r)) for f, a, r in drawn]),
        onsets=young,
        fault=fault,
        age=age,
        inflation=np.array([np.interp(a, s.ages, s.faults[f].inflation) for f, a in zip(fault, age, strict=True)]),
        side=np.array([float(f.side) for f in s.faults])[fault],
        scale=np.array([f.scale for f in s.faults])[fault],
        prior=np.array([f.prior / total / n for f, n in zip(s.faults, each, strict=True)])[fault],
    )


def _geometric(first: int, last: int) -> tuple[int, ...]:
    ages = [first]
    while ages[-1] < last:
        ages.append(min(math.ceil(ages[-1] * (1.0 + SHARE)), last))
    return tuple(ages)


def whitened(signatures: Signatures, z: F8) -> F8:
    """z f8[...,rows,p] less what its past foretells, in standard deviations: f8[...,rows-q,p]."""
    q = signatures.a.shape[1]
    rows = z.shape[-2] - q
    foreseen = sum(signatures.a[:, i] * z[..., q - 1 - i : q - 1 - i + rows, :] for i in range(q))
    return np.asarray((z[..., q:, :] - foreseen) / signatures.spread, np.float64)


def decorrelation(signatures: Signatures, present: npt.NDArray[np.bool_]) -> F8:
    """M f8[p,p] with M' M the inverse of the covariance of the outputs that are present; zero for the others."""
    p = len(signatures.spread)
    M = np.zeros((p, p))
    if present.any():
        at = np.flatnonzero(present)
        precision = np.linalg.inv(signatures.covariance[np.ix_(at, at)])
        M[np.ix_(at, at)] = np.linalg.cholesky(precision).T
    return M


def _profile(s: Signatures, fault: Fault, age: int, *, ramp: bool) -> F8:
    """z f8[window,p] of a fault that began `age` periods ago, the newest row last."""
    lag = np.arange(age)
    phi = np.column_stack([np.interp(lag, s.lags, column) for column in fault.response.T])
    seen = np.cumsum(phi, axis=0) / age if ramp else phi
    z = np.zeros((s.window, len(s.spread)))
    rows = min(age, s.window)
    z[s.window - rows :] = seen[age - rows :]
    return z


def _rising(numbers: tuple[int, ...], least: int) -> bool:
    return bool(numbers) and numbers[0] >= least and all(a < b for a, b in pairwise(numbers))
