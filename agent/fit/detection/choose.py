"""Chooses a detector, its limit and its hold-out score, without labels: healthy rows not fitted on, and the same rows
with simulated faults. The candidate is taken that finds most at the stated false-alarm budget, or
a simpler one that is as good within the error of the comparison:

    found = share of faulty rows that alarm with the largest contribution at a faulty tag, mean over the faults

Every family over every folding with every setting, then the best with the best of each other make.

On a short recording there are too few rows to put faults into. There one ellipsoid over means of the whole window is
taken: that whose smallest alarming steps have the least geometric mean over the tags, which needs no such rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.core.nouns import F8, I8
from agent.fit.detection import detector as whole
from agent.fit.detection import folding, folds, mahalanobis, member, pca, similarity
from agent.fit.detection.detector import Detector, Part
from agent.fit.detection.folding import Folding
from agent.fit.detection.folds import Healthy
from agent.fit.detection.member import Member
from agent.fit.detection.threshold import Threshold, peaks, persistent, threshold
from agent.fit.recording import FitError

FAMILIES: Mapping[str, Any] = {"mahalanobis": mahalanobis, "pca": pca, "similarity": similarity}
KINDS = ("auto", *FAMILIES)
# A larger model wins where it is ahead by so many standard errors.
SURE = 2.0
# Windows that share no row, below which `auto` keeps to one ellipsoid, and below which no pairs are tried: comparing
# more on so few healthy windows picks what happened to come out low, and later rows alarm more.
ENOUGH_APART = 20
ENOUGH_FOR_PAIRS = 100


@dataclass(frozen=True, slots=True)
class Choices:
    """What was asked for, and is written into the file. See `agent.fit.detector.fit`."""

    window: int
    budget_alarms_per_day: float
    modes: tuple[str, ...]
    settle_s: float
    period_s: float
    persistence: tuple[int, int]
    hold_rows: int
    kind: str = "auto"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A family with its folding and settings."""

    family: str
    folding: Folding
    settings: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        said = ", ".join(f"{name} {value:g}" for name, value in self.settings)
        return f"{self.family} of {self.folding}, {said}"

    def fitted(self, feature: F8, tags: int) -> Member:
        """The member that healthy features make."""
        made: Member = FAMILIES[self.family].fit(feature, tags, **dict(self.settings))
        return made


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """How candidates did together. shares f8[faults]: of the faulty rows of each fault, those found; alarmed: the mean
    without regard to the tag."""

    candidates: tuple[Candidate, ...]
    shares: F8
    alarmed: float

    @property
    def found(self) -> float:
        """Mean share over the faults."""
        return float(self.shares.mean())

    def __str__(self) -> str:
        return " with ".join(str(each) for each in self.candidates)


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """The detector fitted on all rows; its limit from rows not fitted on; a hold-out test on the last fifth of the same
    method fitted, chosen and limited on the rest. held_out: the published scores that gave the limit, over it, in
    unbroken runs; last: those of the hold-out test; compared: all that was tried, the best first."""

    detector: Detector
    chosen: Judged
    threshold: Threshold
    holdout: dict[str, float]
    held_out: tuple[F8, ...]
    last: tuple[F8, ...]
    compared: tuple[Judged, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """What a candidate says of one fold: d f8 of each judged run; of faulty windows d f8[F, m] and the tag with the
    largest contribution i8[F, m]."""

    judged: list[F8]
    faulty: F8
    top: I8


_Told = Mapping[Candidate, list[_Run]]


def make(runs: Sequence[F8], choices: Choices, path: str, calibration: Sequence[F8] = ()) -> Made:
    """The detector that these unbroken runs of healthy rows f8[n, C] can carry, with the limit from `calibration`
    where there is one, else from blocks left out; FitError where there is none."""
    early, late = folds.split(runs, calibration, choices.window)
    material = folds.prepared(*early, choices.window)
    candidates = _candidates(material, choices)
    if not candidates:
        raise FitError(f"{path}: {_too_few(material, choices)}")
    compared = _compared(material, candidates, choices)
    chosen = compared[0].candidates
    trial = _finished(material, chosen, choices)[0]
    last = [persistent(whole.score(trial, run)[0], choices.persistence) for run in late]
    material = folds.prepared(runs, calibration, choices.window)
    made, found, held_out = _finished(material, chosen, choices)
    return Made(made, compared[0], found, _holdout(last, choices), tuple(held_out), tuple(last), tuple(compared))


def _candidates(material: Healthy, choices: Choices) -> list[Candidate]:
    """All that the windows can carry, of the families asked for."""
    short = _short(material, choices)
    kind = "mahalanobis" if short else choices.kind
    families = FAMILIES if kind == "auto" else {kind: FAMILIES[kind]}
    windows = min(len(fold.fitted) for fold in material.folds)
    return [
        Candidate(name, each, tuple((setting | {"trend": 0.0} if short else setting).items()))
        for each in folding.foldings(choices.window)
        if not short or sum(each.stretches) == choices.window
        for name, family in families.items()
        for setting in family.settings(material.tags * each.features, windows)
    ]


def _short(material: Healthy, choices: Choices) -> bool:
    """Whether it is for `auto` to choose, and the recording too short to compare by faults."""
    return choices.kind == "auto" and material.judged_windows < ENOUGH_APART * choices.window


def _too_few(material: Healthy, choices: Choices) -> str:
    """Four fifths of the rows choose, four fifths of their windows are fitted on, those that share a row left out."""
    rows = sum(len(run) for run in material.z)
    windows = mahalanobis.WINDOWS_A_FEATURE * material.tags + 2 * choices.window
    least = math.ceil((windows * 1.25 + choices.window) * 1.25)
    return (
        f"{rows} rows to choose by, in windows of {choices.window} rows for {material.tags} tags, are too few:"
        f" expected about {least} rows or more"
    )


def _compared(material: Healthy, candidates: Sequence[Candidate], choices: Choices) -> list[Judged]:
    """Best first; on a long recording pairs too."""
    told: dict[Candidate, list[_Run]] = {}
    judged = [_judged((each,), material, told, choices) for each in candidates]
    if _short(material, choices):
        return sorted(judged, key=lambda each: _step(each, material, choices))
    judged = _best_first(judged)
    if choices.kind == "auto" and material.judged_windows >= ENOUGH_FOR_PAIRS * choices.window:
        pairs = _pairs([each.candidates[0] for each in judged])
        judged += [_judged(pair, material, told, choices) for pair in pairs]
    return _best_first(judged)


def _step(judged: Judged, material: Healthy, choices: Choices) -> float:
    """ln of the geometric mean over tags of the smallest steps that alarm, in spreads of the tags."""
    made, _, _ = _finished(material, judged.candidates, choices)
    return float(np.log(whole.smallest_step(made) / made.scale).mean())


def _pairs(singles: Sequence[Candidate]) -> list[tuple[Candidate, Candidate]]:
    """The best with the best of each other family, and with the best of each other folding."""
    first = singles[0]
    others = dict.fromkeys(
        next(each for each in singles if key(each) == value)
        for key in (_family, _folding)
        for value in dict.fromkeys(key(each) for each in singles)
    )
    return [(first, other) for other in others if other != first]


def _family(candidate: Candidate) -> object:
    return candidate.family


def _folding(candidate: Candidate) -> object:
    return candidate.folding


def _best_first(judged: Sequence[Judged]) -> list[Judged]:
    """In front the simplest that the best does not beat beyond doubt, then by the mean share."""
    ordered = sorted(judged, key=lambda each: -each.found)
    simplest = min((each for each in ordered if not _beats(ordered[0], each)), key=_size)
    return [simplest, *(each for each in ordered if each is not simplest)]


def _beats(one: Judged, other: Judged) -> bool:
    """Whether the difference, fault by fault, is beyond doubt."""
    more = one.shares - other.shares
    return bool(more.mean() > SURE * more.std() / math.sqrt(len(more)))


def _size(each: Judged) -> tuple[int, int, float, float]:
    """Simple is: one member, few features, a short memory (there are more windows apart to learn from, and it lets go
    soonest); among equals the better."""
    foldings = [candidate.folding for candidate in each.candidates]
    return len(foldings), sum(f.features for f in foldings), sum(f.memory for f in foldings), -each.found


def _judged(
    candidates: tuple[Candidate, ...], material: Healthy, told: dict[Candidate, list[_Run]], choices: Choices
) -> Judged:
    """How much is found by candidates together, each at its own limit, at the limit of the larger score."""
    for each in candidates:
        if each not in told:
            told[each] = [_told(each, material, k, thinned=True) for k in range(len(material.folds))]
    own, combined = _limits(candidates, told, choices)
    found, alarmed = list[float](), list[float]()
    for k, fold in enumerate(material.folds):
        a, top = _larger(
            [(told[c][k].faulty / limit, told[c][k].top) for c, limit in zip(candidates, own, strict=True)]
        )
        over = persistent(a, choices.persistence)[:, fold.onset :] > combined.limit
        right = np.array(
            [np.isin(at[fold.onset :], fault.tags) for at, fault in zip(top, fold.put, strict=True)], np.bool_
        )
        found += (over & right).mean(axis=1).tolist()
        alarmed += over.mean(axis=1).tolist()
    return Judged(candidates, np.array(found), float(np.mean(alarmed)))


def _told(candidate: Candidate, material: Healthy, k: int, *, thinned: bool) -> _Run:
    fold = material.folds[k]
    feature = material.features(candidate.folding)
    fitted = fold.thinned if thinned else fold.fitted
    made = candidate.fitted(feature[fitted], material.tags)
    faulty = folding.features(fold.faulty, candidate.folding)
    return _Run(
        judged=[member.distance(made, feature[part]) for part in fold.judged],
        faulty=member.distance(made, faulty),
        top=member.explained(made, faulty, material.tags).argmax(axis=-1),
    )


def _limits(candidates: Sequence[Candidate], told: _Told, choices: Choices) -> tuple[list[float], Threshold]:
    """The limit of each candidate's own d, and that of the largest d over its limit."""
    own = [_threshold([d for run in told[each] for d in run.judged], choices).limit for each in candidates]
    return own, _threshold(_combined(candidates, told, own), choices)


def _combined(candidates: Sequence[Candidate], told: _Told, own: Sequence[float]) -> list[F8]:
    runs = [[d / limit for run in told[each] for d in run.judged] for each, limit in zip(candidates, own, strict=True)]
    return [np.maximum.reduce(parts) for parts in zip(*runs, strict=True)]


def _larger(parts: Sequence[tuple[F8, I8]]) -> tuple[F8, I8]:
    best, top = parts[0]
    for a, other in parts[1:]:
        top = np.where(a > best, other, top)
        best = np.maximum(a, best)
    return best, top


def _threshold(runs: Sequence[F8], choices: Choices) -> Threshold:
    """For scores in unbroken runs, which are not yet persistent."""
    return threshold(
        [persistent(run, choices.persistence) for run in runs],
        budget_alarms_per_day=choices.budget_alarms_per_day,
        period_s=choices.period_s,
        apart=choices.window,
    )


def _finished(
    material: Healthy, chosen: tuple[Candidate, ...], choices: Choices
) -> tuple[Detector, Threshold, list[F8]]:
    """Fitted on all windows to fit on, with its limit and the published scores of the rows that gave it, over it."""
    told = {each: [_told(each, material, k, thinned=False) for k in range(len(material.folds))] for each in chosen}
    own, found = _limits(chosen, told, choices)
    parts = tuple(
        Part(
            each.folding, each.fitted(material.features(each.folding)[material.all], material.tags), limit * found.limit
        )
        for each, limit in zip(chosen, own, strict=True)
    )
    held_out = [persistent(run, choices.persistence) / found.limit for run in _combined(chosen, told, own)]
    return Detector(material.mean, material.scale, parts), found, held_out


def _holdout(runs: Sequence[F8], choices: Choices) -> dict[str, float]:
    score = np.concatenate(runs) if runs else np.empty(0)
    return {
        "rows": len(score),
        "hours": len(score) * choices.period_s / 3600.0,
        "alarms": len(peaks(runs, 1.0, choices.window)),
        "over_percent": 100.0 * float(np.mean(score > 1.0)) if len(score) else 0.0,
        "largest": float(score.max()) if len(score) else 0.0,
    }
