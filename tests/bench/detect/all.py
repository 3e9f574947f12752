"""Everything that is measured of detectors and of lives learned from data, one after the other: about 15 minutes.

    python tests/bench/detect/all.py [--only skab,tep,contributions,cmapss,cost,sharing]

Each has a docstring that says what it measures, from which data, and what stands beside it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import one_by_one

HERE = Path(__file__).resolve().parent
BENCHES = ("skab", "tep", "contributions", "cmapss", "cost", "sharing")


if __name__ == "__main__":
    sys.exit(one_by_one.main(HERE, BENCHES, __doc__))
