"""The filter through a long ordeal: random systems, holes, late samples, odd clocks, wild values, jumps of the truth.

    python tests/bench/twin/soak_filter.py [--steps 1000000] [--seed 1]

Prints how many steps were taken, the smallest singular value of the covariance's root met (in standard deviations;
over 0: positive definite) and the longest time a sensor that was there had all its values refused.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "unit"))

from filter_rig import PLANTS, any_plant, ordeal, soundness

from agent.twin.filtering import begin, revise, step

EACH = 5000
# A tank and a battery cost more than matrices: most systems are linear.
SHARES = {"linear": 0.7, "points": 0.1, "tank": 0.1, "battery": 0.1}


def through(plant, seed, count):
    """Steps taken, least soundness, longest refusal, steps with a settled gain, samples dropped."""
    least, longest, settled, now = np.inf, 0, 0, None
    row = np.zeros(len(plant.outputs), int)
    for k, (sample, late, how) in enumerate(ordeal(plant, seed, count)):
        if now is None:
            now = begin(plant, sample)
        elif late:
            now = revise(plant, now, sample)
        else:
            now, said = step(plant, now, sample, **how)
            row = np.where(np.isfinite(said.nu), np.where(said.rejected, row + 1, 0), row)
            longest = max(longest, int(row.max()))
        settled += now.now.settled
        if k % 5 == 0 or not now.now.settled:
            least = min(least, soundness(now.belief))
    return count, least, longest, settled, now.dropped


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--steps", type=int, default=1_000_000)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    warnings.simplefilter("error")
    begun, all_least = time.monotonic(), np.inf
    for name in PLANTS:
        systems = max(1, round(chosen.steps * SHARES[name] / EACH))
        runs = [through(any_plant(name, s), s, EACH) for s in range(chosen.seed, chosen.seed + systems)]
        steps, least, longest, settled, dropped = (np.array(column) for column in zip(*runs, strict=True))
        all_least = min(all_least, least.min())
        print(
            f"{name}: {systems} systems, {steps.sum()} steps ({settled.sum() / steps.sum():.0%} with a settled gain), "
            f"least singular value {least.min():.2g}, longest refusal {longest.max()} samples, "
            f"{dropped.sum()} too late",
            flush=True,
        )
    print(f"positive definite throughout: {bool(all_least > 0)}; {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
