"""DaISy cstr and exchanger: first half fit by one command, second half free run, 30 samples of initialisation.

    python tests/bench/twin/daisy.py [cstr] [exchanger]

NRMSE is RMSE over the standard deviation of the scored half, mean over outputs. nfoursid: cstr .128, exchanger .302.
The second half is for scoring alone: a method is chosen by the blocks of the first.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from fits import SHARED, fitted, free_run, rmse

SETS = {
    "cstr": (["coolant_flow_l_min"], ["concentration_mol_l", "temperature_k"]),
    "exchanger": (["liquid_flow"], ["outlet_temperature"]),
}
INIT = 30


def halves(path, folder):
    """Both halves as files of their own."""
    head, *rows = path.read_text().splitlines()
    middle = len(rows) // 2
    first, second = Path(folder) / f"{path.stem}-1.csv", Path(folder) / f"{path.stem}-2.csv"
    first.write_text("\n".join([head, *rows[:middle]]) + "\n")
    second.write_text("\n".join([head, *rows[middle:]]) + "\n")
    return first, second


def main(names):
    """One line a set."""
    for name in names:
        path = SHARED / "daisy" / f"{name}.csv"
        if not path.exists():
            sys.exit(f"no {path}")
        with tempfile.TemporaryDirectory() as folder:
            first, second = halves(path, folder)
            made, said = fitted(first, *SETS[name], Path(folder) / "twin.json")
            print(said)
            y, run = free_run(made, second, INIT)
        each = rmse(y, run) / np.std(y, axis=0)
        print(f"{name}: NRMSE {np.mean(each):.3f} over the second half; {np.round(each, 4).tolist()}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(SETS))
