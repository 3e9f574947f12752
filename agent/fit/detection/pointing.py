"""Whether contributions point: a fault in one tag at a time, put into healthy windows, beside raw z-scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8
from agent.fit.detection import detector as whole
from agent.fit.detection.detector import Detector

WINDOWS = 60
SEED = 2


@dataclass(frozen=True, slots=True, eq=False)
class Pointed:
    """Of windows with a step in tag i. alarmed f8[C]: share over the limit; first, second f8[C]: share in which tag i
    has the largest contribution, or one of the two largest; z_first, z_second: the same by raw z-scores of the
    window's mean; share f8[C, C]: mean share of each tag in the contributions, a row for each faulty tag."""

    alarmed: F8
    first: F8
    second: F8
    z_first: F8
    z_second: F8
    share: F8


def pointing(detector: Detector, runs: Sequence[F8], step: F8, windows: int = WINDOWS) -> Pointed:
    """Steps f8[C] of each tag in turn, in the tags' own units and either direction, in windows of healthy unbroken
    runs f8[n, C]. Seeded."""
    draw = np.random.default_rng(SEED)
    tags = len(detector.mean)
    healthy = _windows(detector.window, runs, windows, draw)
    rates, shares = [], []
    for tag in range(tags):
        faulty = healthy.copy()
        faulty[:, :, tag] += step[tag] * draw.choice([-1.0, 1.0], len(faulty))[:, None]
        score, contribution = (each[:, 0] for each in whole.score(detector, faulty))
        z = np.abs((faulty.mean(axis=1) - detector.mean) / detector.scale)
        ours, raw = _place(contribution, tag), _place(z, tag)
        rates.append([each.mean() for each in (score > 1.0, ours < 1, ours < 2, raw < 1, raw < 2)])
        shares.append((contribution / np.maximum(contribution.sum(axis=1, keepdims=True), 1e-12)).mean(axis=0))
    alarmed, first, second, z_first, z_second = np.array(rates).T
    return Pointed(alarmed, first, second, z_first, z_second, np.array(shares))


def _windows(window: int, runs: Sequence[F8], count: int, draw: np.random.Generator) -> F8:
    """Windows of healthy rows f8[count, W, C], from anywhere in the runs."""
    long = [run for run in runs if len(run) >= window]
    places = np.array([len(run) - window + 1 for run in long])
    chosen = draw.choice(len(long), count, p=places / places.sum())
    starts = [int(draw.integers(0, places[k])) for k in chosen]
    return np.array([long[k][start : start + window] for k, start in zip(chosen, starts, strict=True)])


def _place(value: F8, tag: int) -> F8:
    """How many tags stand before it: f8[n]."""
    return np.asarray((value > value[:, [tag]]).sum(axis=1), np.float64)
