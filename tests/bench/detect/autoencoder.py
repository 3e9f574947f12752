"""Whether a small autoencoder would win: the choice of `edgetwin fit detector`, with it among the families.

    python tests/bench/detect/autoencoder.py [--hours 4]

    f^ = V tanh(U f + b) + c        U f[h, F], V f[F, h]; h a quarter or a half of the features, at most 24
    d2 = (f - f^ - m)' M (f - f^ - m)        m, M of the residuals of healthy windows

trained by L-BFGS on the squared error with a little decay, the last fifth of the windows saying when to stop. What
counts is what counts in a fit: the share of rows with simulated faults that alarm at the right tag at the stated
budget, on healthy blocks that were not fitted on. No label and no row of a real fault is read. On recordings as
short as those of SKAB no family with a memory is tried, this one neither.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rows import ROOT, SHARED, tennessee
from scipy.optimize import minimize

from agent.fit.detection import choose, ellipsoid, folds, member
from agent.fit.detection.member import Member
from agent.fit.recording import read

DECAY = 1e-4
STEPS = 200
MOST_UNITS = 24
TAGS = [
    *("pump/speed", "pump/flow", "pump/pressure", "valve/position"),
    *("upper/level", "lower/level", "motor/current", "motor/vibration"),
]


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """The trained network, in the place of a memory."""

    centre: np.ndarray
    spread: np.ndarray
    parts: tuple[np.ndarray, ...]


def settings(features, windows):
    """Units of the hidden layer."""
    if features * 4 > windows or features < 4:
        return []
    return [{"units": float(h)} for h in sorted({min(features // k, MOST_UNITS) for k in (4, 2)})]


def fit(healthy, tags, *, units):
    """The network and the ellipsoid of what it leaves."""
    spread, centre = ellipsoid.spreads(healthy), healthy.mean(axis=0)
    z = (healthy - centre) / spread
    network = Network(centre, spread, trained(z, int(units)))
    left = residual(network, healthy)
    beside = left - left.mean(axis=0)
    covariance = beside.T @ beside / len(beside) + np.diag(ellipsoid.allowance(z)) + 1e-4 * np.eye(len(centre))
    return Member(ellipsoid.of(left.mean(axis=0), np.linalg.inv(covariance), tags), network)


def trained(z, units):
    """(U, b, V, c) that rebuild the last fifth best."""
    draw, features = np.random.default_rng(0), z.shape[1]
    shapes = [(features, units), (units,), (units, features), (features,)]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    train, kept = z[: len(z) * 4 // 5], z[len(z) * 4 // 5 :]

    def split(flat):
        return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)]

    def loss(flat):
        U, b, V, c = split(flat)
        hidden = np.tanh(train @ U + b)
        error = hidden @ V + c - train
        back = (error @ V.T) * (1.0 - hidden**2)
        slopes = [train.T @ back, back.sum(0), hidden.T @ error, error.sum(0)]
        gradient = np.concatenate([s.ravel() for s in slopes]) / len(train) + DECAY * flat
        return 0.5 * np.square(error).sum() / len(train) + 0.5 * DECAY * flat @ flat, gradient

    best = [np.inf, None]

    def look(flat):
        U, b, V, c = split(flat)
        error = float(np.square(np.tanh(kept @ U + b) @ V + c - kept).mean())
        if error < best[0]:
            best[:] = [error, flat.copy()]

    start = np.concatenate([(draw.normal(size=shape) / np.sqrt(shape[0])).ravel() for shape in shapes])
    minimize(loss, start, jac=True, method="L-BFGS-B", callback=look, options={"maxiter": STEPS})
    return tuple(split(best[1]))


def residual(network, feature):
    """Features less what the network makes of them, in spreads."""
    U, b, V, c = network.parts
    z = (feature - network.centre) / network.spread
    return z - (np.tanh(z @ U + b) @ V + c)


def seen(made, feature):
    """`member.seen` that knows the network too."""
    return residual(made.memory, feature) if isinstance(made.memory, Network) else remembered(made, feature)


remembered = member.seen
member.seen = seen


class AsFamily:
    """The functions above as a family's module."""

    settings, fit = staticmethod(settings), staticmethod(fit)


choose.FAMILIES = {**choose.FAMILIES, "autoencoder": AsFamily}


def compared(name, runs, calibration, period_s):
    """Prints the best of each family, and the best of all."""
    choices = choose.Choices(30, 1.0, ("running",), 60.0, period_s, (3, 5), 3)
    early, _ = folds.split(runs, calibration, choices.window)
    material = folds.prepared(*early, choices.window)
    judged = choose._compared(material, choose._candidates(material, choices), choices)
    print(
        f"\n{name}: {sum(map(len, runs))} rows, {runs[0].shape[1]} tags, {len(judged)} candidates; chosen: {judged[0]}"
    )
    best = {}
    for each in sorted(judged, key=lambda each: -each.found):
        best.setdefault(tuple(c.family for c in each.candidates), each)
    for families, each in best.items():
        error = each.shares.std() / np.sqrt(len(each.shares))
        print(f"  {100 * each.found:5.1f} +- {100 * error:.1f} %  {' with '.join(families):32} {each}")


def rig(hours, folder):
    """Unbroken runs of the demonstration rig, running."""
    path = folder / "healthy.csv"
    command = [sys.executable, "-m", "hil.record", "--out", path, "--hours", str(hours), "--seed", "3", "--schedule"]
    subprocess.run(command, check=True, cwd=ROOT)
    recording = read(path)
    running = recording.columns(["drive/state"])[:, 0] == 2.0
    starts = np.flatnonzero(np.diff(running.astype(int), prepend=0, append=0))
    value = recording.columns(TAGS)
    return [value[a + 30 : b] for a, b in zip(starts[::2], starts[1::2], strict=True) if b - a > 400]


def main():
    """A table a recording."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=4.0, help="of the rig's recording")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        compared("two-tank rig", rig(args.hours, Path(name)), (), 1.0)
    if (SHARED / "tep").exists():
        compared("Tennessee Eastman", [tennessee("d00")], [tennessee("d00_te")], 180.0)


if __name__ == "__main__":
    main()
