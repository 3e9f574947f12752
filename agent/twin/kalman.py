"""The Kalman filter for rows that may be missing: predict, and one scalar measurement at a time.

    predict   x- = A x + b          P- = A P A' + Q
    measure   s  = c P- c' + r      K  = P- c' / s      nu = y - c x- - d
              x  = x- + K nu        P  = (I - K c) P- (I - K c)' + K r K'      (Joseph: Bucy and Joseph 1968)

R is diagonal, so each output is taken by itself: a missing one is left out, and no matrix is inverted.
Joseph's form keeps P symmetric positive definite whatever K is.
"""

from __future__ import annotations

import math

import numpy as np

from agent.core.nouns import F8

# chi-square with one degree of freedom passes 10.83 once in 1000.
GATE = 10.83


def predict(x: F8, P: F8, A: F8, b: F8, Q: F8) -> tuple[F8, F8]:
    """One period on: x f8[n], P f8[n,n]; b f8[n] is all that the inputs add."""
    P = A @ P @ A.T + Q
    return A @ x + b, 0.5 * (P + P.T)


def innovation(x: F8, P: F8, c: F8, y: float, r: float) -> tuple[float, float]:
    """What a measurement y (less its feed-through) says beyond c x, and the variance s expected of it."""
    return y - float(c @ x), float(c @ P @ c) + r


def measure(x: F8, P: F8, c: F8, nu: float, r: float, s: float) -> tuple[F8, F8]:
    """The state after one scalar measurement of row c f8[n] with innovation nu and noise variance r."""
    K = (P @ c) / s
    F = np.eye(len(x)) - np.outer(K, c)
    P = F @ P @ F.T + r * np.outer(K, K)
    return x + K * nu, 0.5 * (P + P.T)


def bounded(nu: float, s: float, sigmas: float) -> float:
    """Huber's bound: a wild innovation counts no more than one of `sigmas` standard deviations."""
    most = sigmas * math.sqrt(s)
    return min(max(nu, -most), most)
