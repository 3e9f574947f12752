"""Which component departs from its model, how much, how sure: single-fault likelihoods over a window of residuals.

Over the whitened residuals w of the window, for a template T of one fault of size theta ~ N(0, scale^2):

    G = (T'w)^2 / T'T                       what the fault explains of w'w, its size being T'w / T'T
    U = max(G / c) (1 + mismatch^2 - G / X) what it leaves, X being the part of w'w that is more than noise
    log L = -nu / 2 log(1 + U / nu)         about -U / 2 where little is seen, as for normal noise of variance c
    log p = log L - log(1 + scale^2 / v) / 2 + log prior,      v = c (1 + U / nu) / T'T, the variance of the size

A likelihood of nu degrees of freedom (Student's: the scale of what no signature gets right is not known) and an error
of `mismatch` in every signature keep a large fault from making two like signatures look different. A fault is as likely
as the likeliest of its profiles and onsets (the generalised likelihood ratio, Willsky and Jones 1976; its size is
marginal, Gustafsson 1996); one-sided faults count the part of theta that has their sign. c is the variance of what the
best fault leaves in a row, times what healthy rows show in the fault's own direction (inflation). Faults that are alike
in all this share the probability, and the finding says that it cannot tell them apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8
from agent.twin.departure.signature import Signatures, Templates, decorrelation, templates, whitened

SURE = 0.9
LEAST_ROWS = 8
TRUSTED = 0.5
ABSURD = 1e3
EVIDENCE = 3.0
EXPLAINED = 0.4
SIGMAS = 5.0
FREEDOM = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """rows f8[window,p]: normalised residuals, the newest last; NaN where none."""

    rows: F8


@dataclass(frozen=True, slots=True)
class Suspect:
    """A fault that may be: its probability, and if it is, its size and the standard deviation of that, in `unit`."""

    name: str
    component: str
    unit: str
    probability: float
    size: float
    spread: float


@dataclass(frozen=True, slots=True)
class Finding:
    """text: one line for people. suspects: most probable first, together SURE. reason: why there are none."""

    text: str
    suspects: tuple[Suspect, ...] = ()
    reason: str = ""

    @property
    def sure(self) -> bool:
        """Whether one fault alone explains it."""
        return len(self.suspects) == 1


def begin(signatures: Signatures) -> State:
    """Nothing seen. The templates are made here, so that no cycle waits for them."""
    if signatures.faults:
        _complete(signatures)
    return State(np.full((signatures.window, len(signatures.spread)), np.nan))


def fold(signatures: Signatures, state: State, z: F8, *, trust: float = 1.0, periods: int = 1) -> State:
    """The window after a row of normalised residuals z f8[p] (NaN where absent), `periods` after the last one."""
    gap = min(max(periods, 1), signatures.window)
    row = np.clip(z, -ABSURD, ABSURD) if trust >= TRUSTED else np.full_like(z, np.nan)
    absent = np.full((gap - 1, len(z)), np.nan)
    return replace(state, rows=np.vstack([state.rows[gap:], absent, row]))


def finding(signatures: Signatures, state: State, *, departed: bool = True) -> Finding:
    """Which fault the window speaks for. departed: whether a deviation or CUSUM is beyond its limit."""
    if not departed:
        return _silent("no departure")
    if not signatures.faults:
        return _silent("this twin has no signatures of faults")
    w = whitened(signatures, state.rows)
    if np.isfinite(w).any(axis=1).sum() < LEAST_ROWS:
        return _silent(f"fewer than {LEAST_ROWS} usable rows")
    return _spoken(signatures, weighed(signatures, w))


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """By fault f8[faults]: log of its evidence times its prior, size, spread. seen: log of the best likelihood ratio to
    no fault, with its prior; explained: share of what departs that this one explains."""

    evidence: F8
    size: F8
    spread: F8
    seen: float
    explained: float


def weighed(signatures: Signatures, w: F8) -> Weighed:
    """All faults over a window w f8[rows,p], whitened by output."""
    t = templates(signatures)
    N, D, energy, count = projected(signatures, t, w)
    D = np.maximum(D, 1e-12)
    G = N**2 / D
    best = float(np.max(G))
    misfit = max((energy - best) / count, 1.0)
    c = t.inflation * misfit
    X = max(energy - count, best, 1e-12)
    U = float(np.max(G / c)) * (1.0 + signatures.mismatch**2 - G / X)
    theta, v = N / D, c * (1.0 + U / FREEDOM) / D
    log_p = -0.5 * FREEDOM * np.log1p(U / FREEDOM) - 0.5 * np.log1p(t.scale**2 / v) + np.log(t.prior)
    log_p += _one_sided(t.side, theta / np.sqrt(v))
    evidence, size, spread = _by_fault(len(signatures.faults), t.fault, log_p, theta, v)
    # What noise alone can make of a sum of squares is not something that a fault must explain.
    excess = X - SIGMAS * math.sqrt(2.0 * count)
    seen = float(np.max(0.5 * G / c + np.log(t.prior)))
    return Weighed(evidence, size, spread, seen, best / max(excess, best, 1e-12))


def projected(signatures: Signatures, t: Templates, w: F8) -> tuple[F8, F8, float, int]:
    """(T'w f8[templates], T'T f8[templates], w'w, number of residuals) over the residuals that are there.

    Products are weighted by the inverse covariance of the outputs that are there in each row.
    """
    present = np.isfinite(w)
    M = _decorrelations(signatures, present)
    seen = np.einsum("kij,kj->ki", M, np.where(present, w, 0.0))
    weighted = np.einsum("kij,ki->kj", M, seen)
    # An abrupt fault that began at row s shows its step from there on: T'w for all s at once.
    ahead = np.vstack([weighted, np.zeros_like(weighted)])
    shifted = np.lib.stride_tricks.sliding_window_view(ahead, len(w), axis=0)[: t.onsets]
    steps = np.einsum("sjk,fkj->fs", shifted, t.step, optimize=True)
    N = np.concatenate([steps.ravel(), t.other.reshape(len(t.other), -1) @ weighted.ravel()])
    D = _complete(signatures) if present.all() else _energies(t, M)
    return N, D, float(np.sum(seen**2)), int(present.sum())


def _decorrelations(signatures: Signatures, present: npt.NDArray[np.bool_]) -> F8:
    """M f8[rows,p,p] of each row."""
    kinds, which = np.unique(present, axis=0, return_inverse=True)
    return np.array([decorrelation(signatures, mask) for mask in kinds])[which.ravel()]


def _energies(t: Templates, M: F8) -> F8:
    """T'T f8[templates] where the rows are weighted by M f8[rows,p,p]."""
    rows = len(M)
    steps = [np.sum(np.einsum("kij,fkj->fki", M[s:], t.step[:, : rows - s]) ** 2, axis=(1, 2)) for s in range(t.onsets)]
    other = np.einsum("kij,tkj->tki", M, t.other)
    return np.concatenate([np.transpose(steps).ravel(), np.einsum("tki,tki->t", other, other)])


@lru_cache(maxsize=64)
def _complete(signatures: Signatures) -> F8:
    """T'T f8[templates] for windows in which nothing is absent."""
    t = templates(signatures)
    return _energies(t, _decorrelations(signatures, np.ones(t.step.shape[1:], np.bool_)))


def _one_sided(side: F8, ratio: F8) -> F8:
    """log 2 Phi(side ratio), 0 for a fault of either sign."""
    phi = np.array([math.erfc(-s * r / math.sqrt(2.0)) for s, r in zip(side, ratio, strict=True)])
    return np.asarray(np.where(side == 0.0, 0.0, np.log(np.maximum(phi, 1e-300))), np.float64)


def _by_fault(count: int, fault: npt.NDArray[np.intp], evidence: F8, m: F8, v: F8) -> tuple[F8, F8, F8]:
    """Over the templates of each fault: the largest log evidence, size and spread of their mixture."""
    best, size, spread = np.empty(count), np.empty(count), np.empty(count)
    for f in range(count):
        own = fault == f
        top = float(np.max(evidence[own]))
        weight = np.exp(evidence[own] - top)
        best[f] = top
        weight /= np.sum(weight)
        size[f] = float(weight @ m[own])
        spread[f] = math.sqrt(max(float(weight @ (v[own] + m[own] ** 2)) - size[f] ** 2, 0.0))
    return best, size, spread


def _spoken(signatures: Signatures, found: Weighed) -> Finding:
    if found.explained < EXPLAINED:
        return _silent(f"no known fault explains it: the best leaves {1.0 - found.explained:.0%}")
    if found.seen < EVIDENCE:
        return _silent("too little seen to tell one fault from none")
    probability = np.exp(found.evidence - np.max(found.evidence))
    probability /= np.sum(probability)
    suspects, total = [], 0.0
    for f in np.argsort(-probability, kind="stable"):
        known = signatures.faults[f]
        numbers = (float(probability[f]), float(found.size[f]), float(found.spread[f]))
        suspects.append(Suspect(known.name, known.component, known.unit, *numbers))
        total += float(probability[f])
        if total >= SURE:
            break
    return Finding(_words(suspects), tuple(suspects))


def _words(suspects: list[Suspect]) -> str:
    first = suspects[0]
    if len(suspects) == 1:
        return f"{first.name} {_amount(first)} ({first.probability:.0%})"
    return "cannot tell " + " from ".join(f"{s.name} {_amount(s)} ({s.probability:.0%})" for s in suspects)


def _amount(s: Suspect) -> str:
    digits = max(0, 1 - math.floor(math.log10(s.spread))) if s.spread > 0 else 3
    return f"{s.size:+.{min(digits, 9)}f} ± {s.spread:.{min(digits, 9)}f} {s.unit}".rstrip()


def _silent(reason: str) -> Finding:
    return Finding("", (), reason)
