"""Runs the benches of a folder one after the other, each as its own process."""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def main(folder: Path, benches: Sequence[str], about: str | None) -> int:
    """Those named by --only, else all; 1 if any failed."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(benches), metavar="A,B")
    wanted = parser.parse_args().only.split(",")
    unknown = sorted(set(wanted) - set(benches))
    if unknown:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(benches)}")
    failed = []
    for name in wanted:
        begun = time.monotonic()
        print(f"\n== {name}", flush=True)
        code = subprocess.run([sys.executable, folder / f"{name}.py"], check=False).returncode
        print(f"== {name}: {'done' if code == 0 else f'ended with {code}'} after {time.monotonic() - begun:.0f} s")
        failed += [name] * (code != 0)
    return 1 if failed else 0
