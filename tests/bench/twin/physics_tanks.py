"""Cascaded tanks: `--kind physics` with configs/twins/cascaded-tanks.yaml on the estimation half, every fold printed.

    python tests/bench/twin/physics_tanks.py [UNSEEN.csv]

Each of six contiguous blocks is held out in turn: the parameters are fitted to the others from the middle of their
bounds, then the block is run free from its inputs, 5 samples of initialisation. Blocks of 170 samples with two
overflows in all scatter widely. With the file of an unseen run, free-run RMSE in volts over it.
Published on the unseen half: ARX .685, polynomial NARX .413, NLSS .343, neural state space .33, best .25.
"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

from agent.fit.physics import Run, fit_plant
from agent.fit.recording import read
from agent.twin import simulate
from agent.twin.kind import Channel

HERE = Path(__file__).parents[3]
RECORDING = HERE.parent / "shared" / "data" / "cascaded_tanks" / "estimation.csv"
MACHINE = HERE / "configs" / "twins" / "cascaded-tanks.yaml"
TAGS = ("pump_voltage", "tank2_level")
BLOCKS, INIT, PERIOD_S = 6, 5, 4.0


def main(unseen):
    """Folds, then the fit to the whole half."""
    if not RECORDING.exists():
        sys.exit(f"no {RECORDING}")
    rows = read(RECORDING).columns(TAGS)
    edges = [len(rows) * i // BLOCKS for i in range(BLOCKS + 1)]
    folds = []
    for a, b in pairwise(edges):
        plant = fitted([part for part in (rows[:a], rows[b:]) if len(part)], searches=1)[0]
        folds.append(error(plant, rows[a:b]))
        print(f"rows {a} to {b} held out: free-run RMSE {folds[-1]:.3f} V", flush=True)
    print(f"over {BLOCKS} blocks: rms {np.sqrt(np.mean(np.square(folds))):.3f} V, {min(folds):.3f} to {max(folds):.3f}")
    plant, told = fitted([rows], searches=3)
    print("\n".join(told.lines()))
    within = all(e.low <= e.value <= e.high for e in plant.params.estimates)
    print(f"every parameter within its bounds: {'yes' if within else 'no'}")
    print(f"estimation half, free run from {INIT} samples: {error(plant, rows):.3f} V")
    if unseen:
        print(f"unseen run: {error(plant, read(unseen).columns(TAGS)):.3f} V")


def fitted(parts, searches):
    """The plant fitted to parts of the recording, and its report."""
    whole = np.vstack(parts)
    drive, level = (
        Channel(tag, "V", float(x.mean()), float(x.std()), float(x.min()), float(x.max()))
        for tag, x in zip(TAGS, whole.T, strict=True)
    )
    runs = [Run(part[:, :1], part[:, 1:]) for part in parts]
    return fit_plant(MACHINE, runs, (drive,), (level,), period_s=PERIOD_S, searches=searches)


def error(plant, rows):
    """Free-run RMSE behind the samples of initialisation, in V."""
    run = simulate.free_run(plant, rows[:, :1], rows[:, 1:], INIT)
    return float(np.sqrt(np.mean((run - rows[:, 1:])[INIT:] ** 2)))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
