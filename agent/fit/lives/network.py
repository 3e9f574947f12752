"""A few small networks trained side by side on features, in numpy: their mean is the estimate.

    h = relu(relu(x W1 + b1) W2 + b2),  life = h W3 + b3        each member with other starting weights and rows
    Adam (Kingma and Ba 2015), decoupled decay of weights (Loshchilov and Hutter 2019), step sizes along a cosine

The same rows and seed give the same weights to the bit on the same machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8, I8

F4 = npt.NDArray[np.float32]
BATCH = 128
STEP = 3e-3
MOMENT, SQUARE = 0.9, 0.999
FARTHEST = 6.0  # spreads from the mean, to which a feature is held


@dataclass(frozen=True, slots=True)
class Size:
    """hidden: units of each hidden layer; decay of the weights; steps of training."""

    hidden: tuple[int, ...]
    decay: float
    steps: int


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """mean, scale f8[F] of features; weights f4[E, in, out], offsets f4[E, 1, out] of each layer; cap of the life."""

    mean: F8
    scale: F8
    weights: tuple[F4, ...]
    offsets: tuple[F4, ...]
    cap: float


def trained(features: F8, life: F8, members: Sequence[I8], size: Size, cap: float, seed: int) -> Network:
    """Networks for features f8[n, F] and lives f8[n], at most cap. members: the rows that each is trained on."""
    used = np.unique(np.concatenate(members))
    mean, scale = features[used].mean(axis=0), np.maximum(features[used].std(axis=0), 1e-9)
    x = _scaled(features, mean, scale)
    y = (np.minimum(life, cap) / cap * 3.0 - 1.5).astype(np.float32)
    draw = np.random.default_rng(seed)
    weights, offsets = _start(draw, len(members), (features.shape[1], *size.hidden, 1))
    moment = [np.zeros_like(p) for p in (*weights, *offsets)]
    square = [np.zeros_like(p) for p in moment]
    for step, at in enumerate(_batches(draw, members, size.steps), 1):
        slopes = _slopes(weights, offsets, x[at], y[at])
        rate = STEP * 0.5 * (1.0 + np.cos(np.pi * step / size.steps))
        for i, (p, g, m, s) in enumerate(zip((*weights, *offsets), slopes, moment, square, strict=True)):
            m += (1.0 - MOMENT) * (g - m)
            s += (1.0 - SQUARE) * (g * g - s)
            towards = m / (1.0 - MOMENT**step) / (np.sqrt(s / (1.0 - SQUARE**step)) + 1e-8)
            p -= np.float32(rate) * (towards + (size.decay * p if i < len(weights) else 0.0)).astype(np.float32)
    return Network(mean, scale, tuple(weights), tuple(offsets), cap)


def members(network: Network, features: F8) -> F8:
    """What each member says of features f8[n, F]: f8[E, n], from 0 to the cap."""
    h = _scaled(features, network.mean, network.scale)[None]
    last = len(network.weights) - 1
    for k, (W, b) in enumerate(zip(network.weights, network.offsets, strict=True)):
        h = h @ W + b
        if k < last:
            h = np.maximum(h, 0.0)
    return np.clip((h[..., 0].astype(np.float64) + 1.5) / 3.0 * network.cap, 0.0, network.cap)


def _scaled(features: F8, mean: F8, scale: F8) -> F4:
    return np.clip((features - mean) / scale, -FARTHEST, FARTHEST).astype(np.float32)


def _start(draw: np.random.Generator, count: int, sizes: tuple[int, ...]) -> tuple[list[F4], list[F4]]:
    """Starting weights of variance 2 / inputs (He et al. 2015), offsets of 0."""
    pairs = list(pairwise(sizes))
    weights = [draw.normal(0.0, np.sqrt(2.0 / a), (count, a, b)).astype(np.float32) for a, b in pairs]
    return weights, [np.zeros((count, 1, b), np.float32) for _, b in pairs]


def _batches(draw: np.random.Generator, members: Sequence[I8], steps: int) -> I8:
    """Rows of each member i8[E, B] of each step: all its rows in another order, over and over."""
    out = []
    for rows in members:
        rounds = -(-steps * BATCH // len(rows))
        out.append(np.concatenate([draw.permutation(rows) for _ in range(rounds)])[: steps * BATCH])
    return np.stack(out).reshape(len(members), steps, BATCH).swapaxes(0, 1)


def _slopes(weights: Sequence[F4], offsets: Sequence[F4], x: F4, y: F4) -> list[F4]:
    """Of the mean square error, by weights then offsets."""
    layers, last = [x], len(weights) - 1
    for k, (W, b) in enumerate(zip(weights, offsets, strict=True)):
        z = layers[-1] @ W + b
        layers.append(np.maximum(z, 0.0) if k < last else z)
    back = ((layers[-1][..., 0] - y) * np.float32(2.0 / y.shape[1]))[..., None]
    of_weights, of_offsets = list[F4](), list[F4]()
    for k in range(last, -1, -1):
        of_weights.insert(0, layers[k].swapaxes(1, 2) @ back)
        of_offsets.insert(0, back.sum(axis=1, keepdims=True))
        if k:
            back = (back @ weights[k].swapaxes(1, 2)) * (layers[k] > 0)
    return of_weights + of_offsets
