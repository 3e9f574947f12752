"""Everything that is measured of the twin, one after the other: about two hours on two idle cores.

    python tests/bench/twin/all.py [--only tanks,daisy,speed_filter,...]

Each has a docstring that says what it measures, from which data, and what stands beside it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import one_by_one

HERE = Path(__file__).resolve().parent
BENCHES = (
    "tanks",
    "physics_tanks",
    "battery",
    "daisy",
    "speed_filter",
    "speed_life",
    "soak_filter",
    "trust",
    "life",
    "whatif_plant",
    "rig",
)


if __name__ == "__main__":
    sys.exit(one_by_one.main(HERE, BENCHES, __doc__))
