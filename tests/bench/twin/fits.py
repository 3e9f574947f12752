"""What the benches of fits share: one command makes a twin, and a free run over rows it has not seen scores it."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from agent.fit.recording import read
from agent.twin import simulate, twin

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data"


def fitted(recording, inputs, outputs, out, *more):
    """`edgetwin fit twin` as a person would type it, and what it printed."""
    command = [sys.executable, "-m", "agent.cli", "fit", "twin", str(recording), "--out", str(out)]
    command += ["--inputs", ",".join(inputs), "--outputs", ",".join(outputs), *more]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return twin.load(Path(out).read_bytes()), done.stdout


def free_run(made, recording, init_samples):
    """Measured and simulated outputs of a recording, the rows that a start may use left out: f8[rows,p] each."""
    plant, seen = made.plant, read(recording)
    u, y = (seen.columns([c.tag for c in channels]) for channels in (plant.inputs, plant.outputs))
    run = simulate.free_run(plant, u, y, init_samples)[:, : y.shape[1]]
    return y[init_samples:], run[init_samples:]


def rmse(y, run):
    """Of each output: f8[p]."""
    return np.sqrt(np.mean((y - run) ** 2, axis=0))
