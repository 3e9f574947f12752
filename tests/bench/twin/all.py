"""Everything that is measured of the twin, one after the other: about two hours on two idle cores.

    python tests/bench/twin/all.py [--only tanks,daisy,speed_filter,...]

Each has a docstring that says what it measures, from which data, and what stands beside it.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(BENCHES), metavar="A,B")
    wanted = parser.parse_args().only.split(",")
    unknown = sorted(set(wanted) - set(BENCHES))
    if unknown:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    failed = []
    for name in wanted:
        begun = time.monotonic()
        print(f"\n== {name}", flush=True)
        code = subprocess.run([sys.executable, HERE / f"{name}.py"], check=False).returncode
        print(f"== {name}: {'done' if code == 0 else f'ended with {code}'} after {time.monotonic() - begun:.0f} s")
        failed += [name] * (code != 0)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
