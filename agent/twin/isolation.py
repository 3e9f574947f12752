"""Which component departs from its model, how much, how sure: single-fault likelihoods over a window of residuals.

For a template T of one fault with size theta, over the whitened residuals w of the window (theta ~ N(0, scale^2)):

    w = theta T + noise of variance c       n = T'w / c,  d = T'T / c
    v = 1 / (d + 1 / scale^2)               theta | w ~ N(v n, v)
    log p(w | fault) / p(w | none) = n^2 v / 2 - log(1 + scale^2 d) / 2

One-sided faults add log 2 Phi(sign v n / sqrt v). The posterior of a fault sums over its profiles and onsets (Willsky
and Jones 1976 for the likelihood ratio; Gustafsson 1996 for the marginal one). The variance c is more than 1:

    c = inflation + misfit + mismatch^2 max G        G = (T'w)^2 / T'T

inflation: what healthy rows show in this direction; misfit: what the best fault leaves unexplained, each row; and an
error of `mismatch` in every signature, so that a large fault does not make two like signatures look different. Two
faults that are alike in all this share the probability, and the finding says that it cannot tell them apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8
from agent.twin.signature import Signatures, Templates, decorrelation, templates, whitened

SURE = 0.9
LEAST_ROWS = 8
TRUSTED = 0.5
ABSURD = 1e3
EVIDENCE = 3.0
EXPLAINED = 0.4
SIGMAS = 5.0


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
    """Nothing seen."""
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
    return _spoken(signatures, *weighed(signatures, w))


def weighed(signatures: Signatures, w: F8) -> tuple[F8, F8, F8, float]:
    """By fault: log of evidence over that of no fault, times its prior f8[faults]; size and spread f8[faults]. And
    the share of what departs that the best one explains. w f8[rows,p]: whitened by output."""
    t = templates(signatures)
    N, D, energy, count = projected(signatures, t, w)
    D = np.maximum(D, 1e-12)
    G = N**2 / D
    best = float(np.max(G))
    misfit = max((energy - best) / count - 1.0, 0.0)
    c = t.inflation + misfit + signatures.mismatch**2 * best
    n, d = N / c, D / c
    v = 1.0 / (d + 1.0 / t.scale**2)
    m = v * n
    evidence = 0.5 * n * m - 0.5 * np.log1p(t.scale**2 * d) + np.log(t.prior) + _one_sided(t.side, m / np.sqrt(v))
    sums, size, spread = _by_fault(len(signatures.faults), t.fault, evidence, m, v)
    # What noise alone can make of a sum of squares is not something that a fault must explain.
    excess = energy - count - SIGMAS * math.sqrt(2.0 * count)
    return sums, size, spread, best / max(excess, best, 1e-12)


def projected(signatures: Signatures, t: Templates, w: F8) -> tuple[F8, F8, float, int]:
    """(T'w f8[templates], T'T f8[templates], w'w, number of residuals) over the residuals that are there."""
    present = np.isfinite(w)
    if present.all():
        T, D, M = _complete(signatures)
        seen = (w @ M.T).ravel()
        return T @ seen, D, float(seen @ seen), w.size
    kinds, which = np.unique(present, axis=0, return_inverse=True)
    N, D, energy = np.zeros(len(t.fault)), np.zeros(len(t.fault)), 0.0
    for k, mask in enumerate(kinds):
        rows = which.ravel() == k
        M = decorrelation(signatures, mask)
        seen, T = np.where(mask, w[rows], 0.0) @ M.T, t.value[:, rows] @ M.T
        N += np.einsum("trp,rp->t", T, seen)
        D += np.einsum("trp,trp->t", T, T)
        energy += float(np.sum(seen**2))
    return N, D, energy, int(present.sum())


@lru_cache(maxsize=64)
def _complete(signatures: Signatures) -> tuple[F8, F8, F8]:
    """Templates f8[templates, rows p] for windows in which nothing is absent, their T'T, and M f8[p,p]."""
    M = decorrelation(signatures, np.ones(len(signatures.spread), np.bool_))
    value = templates(signatures).value @ M.T
    T = value.reshape(len(value), -1)
    return T, np.asarray(np.einsum("ti,ti->t", T, T), np.float64), M


def _one_sided(side: F8, ratio: F8) -> F8:
    """log 2 Phi(side ratio), 0 for a fault of either sign."""
    phi = np.array([math.erfc(-s * r / math.sqrt(2.0)) for s, r in zip(side, ratio, strict=True)])
    return np.asarray(np.where(side == 0.0, 0.0, np.log(np.maximum(phi, 1e-300))), np.float64)


def _by_fault(count: int, fault: npt.NDArray[np.intp], evidence: F8, m: F8, v: F8) -> tuple[F8, F8, F8]:
    """Sums over the templates of each fault: log evidence, size, spread (of the mixture)."""
    sums, size, spread = np.empty(count), np.empty(count), np.empty(count)
    for f in range(count):
        own = fault == f
        top = float(np.max(evidence[own]))
        weight = np.exp(evidence[own] - top)
        sums[f] = top + math.log(float(np.sum(weight)))
        weight /= np.sum(weight)
        size[f] = float(weight @ m[own])
        spread[f] = math.sqrt(max(float(weight @ (v[own] + m[own] ** 2)) - size[f] ** 2, 0.0))
    return sums, size, spread


def _spoken(signatures: Signatures, evidence: F8, size: F8, spread: F8, explained: float) -> Finding:
    if explained < EXPLAINED:
        return _silent(f"no known fault explains it: the best leaves {1.0 - explained:.0%}")
    if float(np.max(evidence)) < EVIDENCE:
        return _silent("too little seen to tell one fault from none")
    probability = np.exp(evidence - np.max(evidence))
    probability /= np.sum(probability)
    suspects, total = [], 0.0
    for f in np.argsort(-probability, kind="stable"):
        known = signatures.faults[f]
        numbers = (float(probability[f]), float(size[f]), float(spread[f]))
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
