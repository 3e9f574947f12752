"""Cascaded tanks: `--kind auto` on the estimation half, five seeds, every fold printed.

    python tests/bench/twin/tanks.py [UNSEEN.csv]

With the file of an unseen run, free-run RMSE in volts over it, 5 samples of initialisation. Without it there are only
the folds of the cross-validation: blocks of 170 samples with two overflows in all, so they scatter widely.
Published on the unseen half: BLA .757, ARX .685, polynomial NARX .413, NLSS .343, neural state space .33.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from fits import SHARED, fitted, free_run, rmse

SEEDS = range(5)
INIT = 5


def main(unseen):
    """One table, one line a seed."""
    recording = SHARED / "cascaded_tanks" / "estimation.csv"
    if not recording.exists():
        sys.exit(f"no {recording}")
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in SEEDS:
            out = Path(folder) / f"{seed}.json"
            made, said = fitted(recording, ["pump_voltage"], ["tank2_level"], out, "--seed", str(seed))
            print(f"seed {seed}\n{said}")
            print(f"seed {seed}: estimation half, free run {rmse(*free_run(made, recording, INIT))[0]:.3f} V", end="")
            if unseen:
                scores.append(rmse(*free_run(made, unseen, INIT))[0])
                print(f"; unseen run {scores[-1]:.3f} V", end="")
            print(flush=True)
    if scores:
        spread = f"{min(scores):.3f} to {max(scores):.3f} V"
        print(f"unseen run over {len(scores)} seeds: mean {np.mean(scores):.3f} V, {spread}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
