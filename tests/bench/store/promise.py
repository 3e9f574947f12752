"""Kill daemon and receiver, and with `end_to_end` the broker and the database too, at random moments: nothing is lost.

python tests/bench/store/promise.py --kills 200                 # half of them in each mode, about 6 minutes
python tests/bench/store/promise.py --kills 40 --mode end_to_end --seed 7 --keep /tmp/promise
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[3]), str(Path(__file__).parents[2])]

import anyio  # noqa: E402
from promise_rig import KILLED, promised, world  # noqa: E402


async def one(folder, mode, asked, kills):
    async with world(folder, mode, asked.layout, asked.acknowledge) as whole:
        return await promised(whole, kills, asked.seed, patience_s=asked.patience)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="of all modes together")
    parser.add_argument("--mode", choices=KILLED, action="append", help="both if left out")
    parser.add_argument("--layout", choices=("named", "columns"), default="named")
    parser.add_argument("--acknowledge", choices=KILLED, help="another than the mode's: to see it fail")
    parser.add_argument("--patience", type=float, default=120, help="wait so long, in s, for what is missing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="leave journal and logs in this folder")
    asked = parser.parse_args()
    modes, good = asked.mode or list(KILLED), True
    for mode in modes:
        with tempfile.TemporaryDirectory(prefix="promise-") as passing:
            folder = (asked.keep or Path(passing)) / mode
            folder.mkdir(parents=True, exist_ok=True)
            outcome = anyio.run(partial(one, folder, mode, asked, asked.kills // len(modes)))
        print(f"acknowledge: {mode}: {outcome}; exit codes {outcome.codes}", flush=True)
        good = good and not outcome.faults
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
